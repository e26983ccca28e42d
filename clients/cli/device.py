"""``securechan device``: devices as the trust records list them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.doing import do
from clients.cli.frame import group, here
from clients.render import safe, table

app = group("My devices and those of others.")


@app.callback()
def _device() -> None:
    """My devices and those of others."""


@app.command()
def ls(
    who: Annotated[str | None, typer.Argument(help="An officer (liaison-1@cert-hr) or an agency; you without.")] = None,
) -> None:
    """Devices of an officer or an agency, and the revoked ones of an agency."""
    officer = who if who and "@" in who else None
    data = do("device.ls", online=False, officer=officer, agency=who if who and officer is None else None)
    here().emit(data, lambda: _listed(data))


def _listed(data: dict[str, Any]) -> str:
    rows = [
        (
            safe(each["device"]) + (" (this one)" if each["own"] else ""),
            safe(each["officer"]),
            ", ".join(each["roles"]),
            f"since {each['since']}",
            ", ".join(key[:16] for key in each["keys"]),
        )
        for each in data["devices"]
    ]
    lines = [table(rows, head=("device", "officer", "roles", "listed", "keys"))] if rows else ["none"]
    lines += [f"revoked  {safe(each['device'])}  {each['reason']}  {each['at']}" for each in data["revoked"]]
    return "\n".join(lines)
