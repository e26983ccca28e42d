"""Contact cards of an agency's officers: names and duties, which no relay can read."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.frame import group, here
from clients.cli.office import Out, carried_out, do, keep_file
from clients.render import count

app = group("Contact cards of the agency's officers.")


@app.command("set")
def set_card(
    officer: Annotated[str, typer.Argument(help="Whose card: a handle, as in liaison-1.")],
    name: Annotated[str, typer.Option("--name", help="The officer's name.")] = "",
    duty: Annotated[str, typer.Option("--duty", help="What the officer does.")] = "",
    phone: Annotated[str, typer.Option("--phone", help="A telephone number.")] = "",
    mail: Annotated[str, typer.Option("--mail", help="A mail address.")] = "",
    note: Annotated[str, typer.Option("--note", help="Anything else.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the card away.")] = False,
    out: Out = None,
) -> None:
    """Write an officer's contact card.

    Only devices that hold the agency's directory key can read it."""
    if not remove and not name:
        raise typer.BadParameter("a card needs a name (--name), or --remove")
    params = {
        "officer": officer,
        "name": name,
        "duty": duty,
        "phone": phone,
        "mail": mail,
        "note": note,
        "remove": remove,
    }
    data = do("contact-set", params)
    keep_file(data, out)
    here().emit(data, "\n".join([f"card       {data['officer']}{'  removed' if remove else ''}", *carried_out(data)]))


@app.command("share")
def share(
    to: Annotated[
        str, typer.Argument(help="A device, or an agency (its administrators); else all devices of your agency.")
    ] = "",
) -> None:
    """Hand on the keys with which cards are read."""
    data = do("contact-share", {"to": to}, "sending")
    here().emit(data, f"shared     {count(data['keys'], 'key')} with {', '.join(data['sent_to']) or 'nobody'}")
