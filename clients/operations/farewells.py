"""Devices that their own officers want out: lost, stolen, or needed no more.

    another device of the officer ──letter "device-revocation"──► administrators: pending ──► admin revoke

It is a wish and no more: an administrator speaks with the officer, as one does who is told of a theft. A letter comes
sealed, and signed with a key that the roster lists; it counts for devices of the sender's own officer alone. It is
forgotten once the device is gone, when this administrator denies it, or after some weeks in which nobody thought it
right.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Self, get_args

from clients.operations.newcomer import OFFICE
from clients.vault import Put, Vault
from securechan.errors import Denied, Invalid, Malformed
from securechan.trust.names import split_device
from securechan.trust.records import Reason
from securechan.trust.view import View

KIND: Final = "device-revocation"  # of an opaque letter: JSON with device and reason
REASONS: Final[tuple[Reason, ...]] = tuple(each for each in get_args(Reason) if each != "rotated")
KEPT: Final = 30 * 86400  # seconds
_SHELF: Final = "farewell/"


@dataclass(frozen=True, slots=True)
class Farewell:
    """``by``, a device of the same officer, wants ``device`` out; since ``at``, Unix seconds."""

    device: str
    reason: str
    by: str
    at: int

    @classmethod
    def decode(cls, content: bytes, *, by: str, at: int) -> Self:
        """A letter of that sender. Raises Malformed."""
        try:
            said = json.loads(content)
            found = cls(str(said["device"]), str(said["reason"]), by, at)
            split_device(found.device)
        except (Invalid, ValueError, KeyError, TypeError, RecursionError):
            raise Malformed("this asks for no device to be revoked") from None
        if found.reason not in REASONS:
            raise Malformed("this asks for a device to be revoked, and not for a known reason")
        return found

    def encode(self) -> bytes:
        """The letter."""
        return json.dumps({"device": self.device, "reason": self.reason}).encode()

    @property
    def ident(self) -> str:
        """What a person names it by."""
        return hashlib.sha256(f"{self.device}\0{self.by}\0{self.reason}".encode()).hexdigest()[:8]

    def json(self, view: View) -> dict[str, Any]:
        """For people and scripts."""
        return {"id": self.ident, **asdict(self), "officer": view.device(self.device).address}


def reason(said: str) -> Reason:
    """Raises Invalid (``usage``) for what is none."""
    known = next((each for each in REASONS if each == said), None)
    if known is None:
        raise Invalid(f"{said[:40]!a} is no reason", hint=f"one of {', '.join(REASONS)}", code="usage")
    return known


def check(view: View, device: str, by: str) -> None:
    """Return if ``by`` may wish that ``device`` be revoked. Raises Denied, Untrusted for who is not listed."""
    if view.device(device).address != view.device(by).address:
        raise Denied(
            f"{device[:120]} is no device of this officer",
            hint="its own officer asks for it, or an administrator revokes it: securechan admin revoke",
            code="role-denied",
        )


def take(vault: Vault, view: View, sender: str, content: bytes, now: int) -> None:
    """Keep a letter's wish. Raises as `Farewell.decode` and `check`."""
    farewell = Farewell.decode(content, by=sender, at=now)
    check(view, farewell.device, sender)
    vault.adopt([Put(OFFICE, _SHELF + farewell.device, json.dumps(asdict(farewell)).encode())])


def forget(vault: Vault, farewell: Farewell) -> None:
    """It waits no more here; who still wants it asks again."""
    vault.adopt([Put(OFFICE, _SHELF + farewell.device, None)])


def standing(vault: Vault, view: View, now: int) -> list[Farewell]:
    """Those whose device is still there."""
    found: list[Farewell] = []
    for row, content in vault.all(OFFICE).items():
        if not row.startswith(_SHELF):
            continue
        farewell = Farewell(**json.loads(content))
        if view.find(farewell.device) is None or farewell.at + KEPT < now:
            forget(vault, farewell)
        else:
            found.append(farewell)
    return found
