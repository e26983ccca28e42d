"""Contact cards: whose directory keys this device holds, what the cards say, how keys are handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clients.operations.newcomer import DIRECTORY
from clients.vault import Put, Vault
from securechan.errors import NotFound
from securechan.trust.cards import ContactCard, DirectoryKey, open_card, open_share, seal_share
from securechan.trust.records import DeviceRecord
from securechan.trust.view import View

if TYPE_CHECKING:
    from securechan.crypto.signature import SigningKey

KIND: Final = "directory-keys"  # of an opaque letter


def keys(vault: Vault) -> tuple[DirectoryKey, ...]:
    """All directory keys that this device holds, the oldest first."""
    return tuple(DirectoryKey.decode(value) for value in vault.all(DIRECTORY).values())


def own(vault: Vault, agency: str) -> DirectoryKey:
    """The newest of the agency. Raises NotFound."""
    found = [key for key in keys(vault) if key.agency == agency]
    if not found:
        raise NotFound(
            f"this device has no directory key of {agency}",
            hint="another administrator shares it: securechan admin contact share",
        )
    return found[-1]


def keep(vault: Vault, *new: DirectoryKey) -> None:
    """Remember these."""
    vault.adopt([Put(DIRECTORY, f"{key.agency}/{key.id.hex()}", key.encode()) for key in new])


def read(vault: Vault, view: View, agency: str, officer: str) -> ContactCard | None:
    """What the card of an officer says; None where there is no card. Raises NotFound without its key."""
    sealed = view.cards(agency).get(officer)
    return None if sealed is None else open_card(keys(vault), agency, officer, sealed)


def tell(card: ContactCard) -> dict[str, Any]:
    """A card for scripts."""
    return card.custom()


def hand_on(vault: Vault, recipient: DeviceRecord, sender: str, key: SigningKey) -> bytes:
    """All keys that this device holds, for another device. Raises NotFound where there are none."""
    held = keys(vault)
    if not held:
        raise NotFound("this device holds no directory key", hint="make one: securechan admin contact set")
    return seal_share(held, recipient, sender=sender, key=key)


def take(vault: Vault, view: View, device: str, inbox_private: bytes, content: bytes) -> int:
    """Keep the keys that another administrator has handed on; how many were new. Raises where they aren't believed."""
    shared = open_share(content, inbox_private, device).verify(view)
    held = {key.id for key in keys(vault)}
    new = [key for key in shared if key.id not in held]
    if new:
        keep(vault, *new)
    return len(new)
