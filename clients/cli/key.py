"""``securechan key``: this device's keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.doing import do
from clients.cli.frame import group, here
from clients.render import safe, table

app = group("This device's keys: list, rotate.")


@app.command()
def ls() -> None:
    """Signature keys and the epochs of conversations."""
    data = do("key.ls", online=False)
    here().emit(data, lambda: _listed(data))


def _listed(data: dict[str, Any]) -> str:
    keys = [(key["key"][:24], key["algorithm"], key["state"], str(key["made"])) for key in data["keys"]]
    epochs = [(safe(each["name"]), each["suite"], str(each["epoch"])) for each in data["conversations"]]
    lines = [f"device {data['device']}", table(keys, head=("key", "algorithm", "state", "made"))]
    if epochs:
        lines.append(table(epochs, head=("conversation", "suite", "epoch")))
    return "\n".join(lines)


@app.command()
def rotate(
    epochs: Annotated[bool, typer.Option("--epochs", help="Renew epoch keys in every conversation.")] = False,
    signature: Annotated[
        bool, typer.Option("--signature", help="Make a new signature key; an administrator lists it.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Both.")] = False,
    conversation: Annotated[str | None, typer.Option("--in", help="Epoch keys of this conversation only.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 60.0,
) -> None:
    """Renew this device's keys. Without an option: epoch keys."""
    both = everything or not (epochs or signature)
    data = do(
        "key.rotate",
        epochs=epochs or both,
        signature=signature or everything,
        conversation=conversation,
        timeout=timeout,
    )
    here().emit(data, lambda: _rotated(data))


def _rotated(data: dict[str, Any]) -> str:
    lines = [
        f"later    {safe(each['name'])}: renewed lately; the relay takes the next commit at {each['again_at']}"
        if each["again_at"]
        else f"renewed  {safe(each['name'])}  epoch {each['before']} → {each['epoch']}"
        for each in data.get("conversations", ())
    ]
    if "signature" in data:
        lines.append(
            f"asked    for key {data['signature']['key'][:24]} to be listed: an administrator runs"
            " securechan admin pending; it is used as soon as it is listed"
        )
    return "\n".join(lines) or "there is no conversation to renew keys in"
