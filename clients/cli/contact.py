"""``securechan contact``: officers of the federation and their contact cards."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.doing import do
from clients.cli.frame import group, here
from clients.render import safe, stranger, table

app = group("Officers of the federation and their contact cards.")


@app.command()
def ls(agency: Annotated[str | None, typer.Argument(help="Only of this agency.")] = None) -> None:
    """Officers of the federation.

    They have names where this device holds their agency's directory key."""
    data = do("contact.ls", online=False, agency=agency)
    rows = [
        (each["officer"], ", ".join(each["roles"]), stranger(each.get("name", "")), stranger(each.get("duty", "")))
        for each in data["contacts"]
    ]
    here().show(data, lambda: table(rows, head=("officer", "roles", "name", "duty")))


@app.command()
def show(officer: Annotated[str, typer.Argument(help="liaison-1@cert-hr")]) -> None:
    """One officer: card, agency, devices."""
    data = do("contact.show", online=False, officer=officer)
    here().emit(data, lambda: _shown(data))


def _shown(data: dict[str, Any]) -> str:
    lines = [f"officer  {data['officer']}  ({', '.join(data['roles'])})", f"agency   {safe(data['agency_title'])}"]
    card = ("name", "duty", "phone", "mail", "note")
    lines += [f"{field:7}  {safe(data[field])}" for field in card if data.get(field)]
    return "\n".join([*lines, f"devices  {', '.join(map(safe, data['devices']))}"])
