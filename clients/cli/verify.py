"""``securechan verify``: compare keys with another officer, and vouch for devices that wait."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.doing import do
from clients.cli.frame import group, here
from clients.render import safe, table

app = group("Compare keys with another officer, in person or by telephone.")


@app.command()
def show(officer: Annotated[str | None, typer.Argument(help="liaison-1@cert-hr; all without.")] = None) -> None:
    """Words to compare; or whom you compared with.

    With an officer: the words that both of you must see alike. Without: whom you have compared with, and which devices
    wait."""
    data = do("verify.show", online=False, officer=officer)
    here().emit(data, lambda: _words(data) if officer else _listed(data))


def _words(data: dict[str, Any]) -> str:
    changed = "  !! the keys have changed since you compared them" if data["state"] == "changed" else ""
    lines = [f"{data['officer']}  {data['state']}{changed}", "", f"    {' '.join(data['words'])}", ""]
    lines += [f"{safe(each['device'])}  {', '.join(key[:16] for key in each['keys'])}" for each in data["devices"]]
    lines.append(f"the same words on both sides: securechan verify confirm {data['officer']}")
    return "\n".join(lines)


def _listed(data: dict[str, Any]) -> str:
    rows = [(safe(each["officer"]), each["state"], each["since"] or "") for each in data["officers"]]
    lines = [table(rows, head=("officer", "state", "since"))] if rows else ["nobody to compare with yet"]
    lines += [
        f"waiting  {safe(each['device'])} of {safe(each['officer'])} for {safe(each['name'])}:"
        f" securechan verify confirm --device {safe(each['device'])}"
        for each in data["waiting"]
    ]
    return "\n".join(lines)


@app.command()
def confirm(
    officer: Annotated[str | None, typer.Argument(help="The officer whose words you compared.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="A device that waits: agency/device.")] = None,
    words: Annotated[str | None, typer.Option("--words", help="The words that the other side read to you.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Say that the keys are right.

    Of an officer: that you have compared the words. Of a device that waits: that it is its officer's."""
    me = here()
    if (officer is None) == (device is None):
        raise typer.BadParameter("name an officer or --device", param_hint="OFFICER")
    if words is None:
        who = f"{device} is its officer's own device" if device else f"you both saw the same words for {officer}"
        me.confirm(f"did you make sure, by voice or in person, that {who}?", yes)
    data = do("verify.confirm", online=device is not None, officer=officer, device=device, words=words)
    said = f"let in  {device}" if device else f"verified  {officer}"
    me.emit(data, said)
