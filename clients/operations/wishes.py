"""Other keys that devices ask their administrators to list: the administrators' half of ``key rotate --signature``.

    device: a new key ──letter "key-rotation"──► administrator: pending, relist ──► roster lists both
    device: every leaf updated ──letter──► administrator: pending, relist ──► roster lists the new one alone

A letter comes sealed, and signed with a key that the roster lists; it counts only for the device that sent it. The last
letter of a device replaces those before it; a wish that trust has fulfilled is forgotten.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final, Self

from clients.operations.newcomer import OFFICE
from clients.vault import Put, Vault
from securechan.agent.rotation import KEY_REQUEST as KIND
from securechan.errors import Denied, Invalid, Malformed
from securechan.trust.authority import add_key, drop_key
from securechan.trust.names import split_device
from securechan.trust.records import SUITE, DeviceRecord, key_hash
from securechan.trust.view import View

__all__ = ("KIND", "Wish", "standing", "take")
_SHELF: Final = "wish/"


@dataclass(frozen=True, slots=True)
class Wish:
    """A device wants ``add`` listed beside its key, or ``drop`` listed no more: public keys, either may be empty."""

    device: str
    add: bytes
    drop: bytes

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Raises Malformed."""
        try:
            said = json.loads(content)
            wish = cls(str(said["device"]), bytes.fromhex(said["add"]), bytes.fromhex(said["drop"]))
            split_device(wish.device)
        except (Invalid, ValueError, KeyError, TypeError, RecursionError):
            raise Malformed("this is no wish for another key") from None
        if bool(wish.add) == bool(wish.drop):
            raise Malformed("a wish is for one key: to be listed, or to be dropped")
        return wish

    @property
    def ident(self) -> str:
        """What a person names it by."""
        return hashlib.sha256(self.device.encode() + b"\0" + self.add + b"\0" + self.drop).hexdigest()[:8]

    def fulfilled(self, record: DeviceRecord | None) -> bool:
        """Whether nothing is left to be done: the device is gone, or its record says what it wanted."""
        if record is None:
            return True
        listed = record.keys.get(SUITE, ())
        return self.add in listed if self.add else self.drop not in listed

    def grant(self, record: DeviceRecord) -> DeviceRecord:
        """The record as the device wants it. Raises Conflict where it can't be so, Invalid for what is no key."""
        return add_key(record, SUITE, self.add) if self.add else drop_key(record, SUITE, key_hash(self.drop))

    def json(self, record: DeviceRecord) -> dict[str, Any]:
        """For people and scripts: hashes of keys, not keys."""
        return {
            "id": self.ident,
            "device": self.device,
            "officer": record.address,
            "add": key_hash(self.add).hex() if self.add else "",
            "drop": key_hash(self.drop).hex() if self.drop else "",
        }


def take(vault: Vault, sender: str, content: bytes, agency: str) -> None:
    """Keep a letter's wish. Raises Malformed, Denied where it isn't the sender's to wish."""
    wish = Wish.decode(content)
    if wish.device != sender or not sender.startswith(f"{agency}/"):
        raise Denied(f"{sender} asks for another key of {wish.device[:120]}", code="role-denied")
    vault.adopt([Put(OFFICE, _SHELF + wish.device, content)])


def standing(vault: Vault, view: View) -> list[Wish]:
    """Wishes that are not fulfilled yet."""
    found: list[Wish] = []
    for row, content in vault.all(OFFICE).items():
        if not row.startswith(_SHELF):
            continue
        wish = Wish.decode(content)
        if wish.fulfilled(view.find(wish.device)):
            vault.adopt([Put(OFFICE, row, None)])
        else:
            found.append(wish)
    return found
