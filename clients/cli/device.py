"""``securechan device``: devices as the trust records list them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.doing import do
from clients.cli.frame import group, here
from clients.cli.office import Yes, carried_out
from clients.render import safe, table

app = group("My devices and those of others.")


@app.command()
def ls(
    who: Annotated[str | None, typer.Argument(help="An officer (liaison-1@cert-hr) or an agency; you without.")] = None,
) -> None:
    """List devices of an officer or an agency.

    Of an agency those that are revoked too."""
    officer = who if who and "@" in who else None
    data = do("device.ls", online=False, officer=officer, agency=who if who and officer is None else None)
    here().show(data, lambda: _listed(data))


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


@app.command()
def revoke(
    device: Annotated[str, typer.Argument(help="The device, as in cert-hr/liaison-1-laptop.")],
    reason: Annotated[str, typer.Option("--reason", help="lost, left or revoked.")] = "lost",
    yes: Yes = False,
) -> None:
    """Have a device of mine taken out, for ever.

    It was lost or stolen, or is needed no more. An administrator's device revokes it at once; any other asks the
    agency's administrators to."""
    me = here()
    me.confirm(f"have {device} revoked? Once it is, this can't be undone.", yes)
    data = do("device.revoke", device=device, reason=reason)
    me.emit(data, lambda: "\n".join(_revoked(data)))


def _revoked(data: dict[str, Any]) -> list[str]:
    if not data["asked"]:
        return [f"revoked    {data['device']}", *carried_out(data)]
    return [
        f"asked      {', '.join(data['asked'])} to revoke {data['device']} ({data['reason']})",
        "next       tell an administrator by telephone: it stays admitted until then (securechan admin revoke)",
    ]
