"""Officers of the federation: their addresses for everyone, their names for who holds the directory keys."""

from __future__ import annotations

from typing import Any, Final

from clients.operations import directory
from clients.operations.engine import Operation, Params, Work
from securechan.errors import NotFound, SecurechanError
from securechan.trust.cards import ContactCard, DirectoryKey, open_card
from securechan.trust.names import split_officer


async def ls(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Officers, of one ``agency`` or all."""
    agency = Params(said).text("agency", "")
    view = work.agent.view
    if agency:
        view.agency(agency)
    held = directory.keys(work.vault)
    return {"contacts": [_contact(work, held, each) for each in view.officers(agency or None)]}


async def show(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """One officer with card and devices."""
    officer = Params(said).text("officer")
    split_officer(officer)
    records = work.agent.view.devices_of(officer)
    if not records:
        raise NotFound(
            f"{officer} has no device in this federation",
            hint="securechan contact ls shows who there is; somebody new is known after: securechan sync",
        )
    return _contact(work, directory.keys(work.vault), officer) | {"devices": sorted(record.name for record in records)}


def _contact(work: Work, held: tuple[DirectoryKey, ...], address: str) -> dict[str, Any]:
    officer, agency = split_officer(address)
    view = work.agent.view
    record = view.agency(agency).record
    said: dict[str, Any] = {
        "officer": address,
        "agency": agency,
        "agency_title": record.title,
        "roles": sorted({role for each in view.devices_of(address) for role in each.roles}),
    }
    card = _card(held, agency, officer, view.cards(agency).get(officer))
    if card is not None:
        said |= {"name": card.name, "duty": card.duty, "phone": card.phone, "mail": card.mail, "note": card.note}
    return said


def _card(held: tuple[DirectoryKey, ...], agency: str, officer: str, sealed: bytes | None) -> ContactCard | None:
    if sealed is None:
        return None
    try:
        return open_card(held, agency, officer, sealed)
    except SecurechanError:
        return None  # sealed under a key that this device was not given: the handle is all it may know


OPERATIONS: Final[dict[str, Operation]] = {"ls": ls, "show": show}
