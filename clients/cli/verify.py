"""``securechan verify``: compare keys with another officer, and vouch for devices that wait."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.doing import do
from clients.cli.frame import group, here
from clients.render import safe, table

app = group("Compare keys with another officer, in person or by telephone.")


@app.command()
def show(
    officer: Annotated[str | None, typer.Argument(help="liaison-1@cert-hr; all without.")] = None,
    words: Annotated[bool, typer.Option("--words", help="Words to be read out: so without an option, too.")] = False,
    qr: Annotated[bool, typer.Option("--qr", help="A QR code that the other side's camera reads.")] = False,
) -> None:
    """What to compare; or whom you compared with.

    With an officer: the words that both of you must see alike, or the same as a QR code. Without: whom you have
    compared with, and which devices wait."""
    if qr and officer is None:
        raise typer.BadParameter("name the officer to compare with", param_hint="OFFICER")
    data = do("verify.show", online=False, officer=officer)
    here().emit(data, lambda: _to_compare(data, words=words or not qr, qr=qr) if officer else _listed(data))


def _to_compare(data: dict[str, Any], *, words: bool, qr: bool) -> str:
    changed = "  !! the keys have changed since you compared them" if data["state"] == "changed" else ""
    lines = [f"{data['officer']}  {data['state']}{changed}", ""]
    if words:
        lines += [f"    {' '.join(data['words'])}", ""]
    if qr:
        from clients.cli.qr import drawn

        lines += [drawn(data["code"]), "", data["code"], ""]
    lines += [f"{safe(each['device'])}  {', '.join(key[:16] for key in each['keys'])}" for each in data["devices"]]
    if words:
        lines.append(f"the same words on both sides: securechan verify confirm {data['officer']}")
    if qr:
        lines.append(f"with what their camera reads, they: securechan verify confirm {data['own']} --scanned TEXT")
        lines.append(f"once they tell you that it is right: securechan verify confirm {data['officer']}")
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
    scanned: Annotated[
        str | None, typer.Option("--scanned", help="What the QR code on the other side's screen says; - is stdin.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Say that the keys are right.

    Of an officer: that you have compared the words, or scanned the code. Of a device that waits: that it is its
    officer's."""
    me = here()
    if (officer is None) == (device is None):
        raise typer.BadParameter("name an officer or --device", param_hint="OFFICER")
    if scanned == "-":
        scanned = me.read_in("-", 4096).decode(errors="replace")
    if words is None and scanned is None:
        who = f"{device} is its officer's own device" if device else f"you both saw the same words for {officer}"
        me.confirm(f"did you make sure, by voice or in person, that {who}?", yes)
    data = do("verify.confirm", online=device is not None, officer=officer, device=device, words=words, scanned=scanned)
    said = f"let in  {device}" if device else f"verified  {officer}"
    me.emit(data, said)
