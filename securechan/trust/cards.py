"""Names and duties of officers, encrypted: what the relay, and who seizes it, must not read.

A roster shows handles (``liaison-1``). Who that is stands in a contact card, sealed with AES-256-GCM under its agency's
*directory key* and bound to agency and officer. A device gets the directory keys that its approver holds, its own
agency's and others', sealed with its approval; ``share`` hands them on later, when one was rotated.

Cards are padded to a multiple of 256 bytes: the length of a name is told to nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from securechan.codec import Opaque, Struct, fixed, opaque, text, vec
from securechan.crypto import contexts
from securechan.crypto.aead import AES256GCM
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.crypto.suite import HYBRID
from securechan.errors import CannotOpen, Denied, Malformed, NotFound, Untrusted
from securechan.trust import names, strict
from securechan.trust.records import DeviceRecord, Record, Title, key_hash

if TYPE_CHECKING:
    from securechan.trust.view import View  # costs python-tuf at run time

_CARD: Final = b"securechan/1 contact card"
_KEY: Final = b"securechan/1 directory key"
_SHARE: Final = b"securechan/1 directory share"
_PAD: Final = 256


class DirectoryKey(Struct):
    """An agency's directory key."""

    agency: Annotated[str, text(40)]
    key: Annotated[bytes, fixed(32)]

    @classmethod
    def new(cls, agency: str) -> DirectoryKey:
        """A fresh one. Raises Invalid for what is no agency's name."""
        return cls(names.check_agency(agency), Secret.random(32))

    @property
    def id(self) -> bytes:
        """16 bytes that name it and reveal nothing of it."""
        return hashlib.sha384(_KEY + self.agency.encode() + b"\0" + bytes(self.key)).digest()[:16]

    def __repr__(self) -> str:
        return f"DirectoryKey({self.agency}, {self.id.hex()[:8]})"


class ContactCard(Record):
    """Who an officer is, as the agency tells the federation."""

    officer: Annotated[str, Field(max_length=64)]
    name: Title
    duty: Title = ""
    phone: Title = ""
    mail: Title = ""
    note: Annotated[str, Field(max_length=1000)] = ""


class _Sealed(Struct):
    key_id: Annotated[bytes, fixed(16)]
    nonce: Annotated[bytes, fixed(12)]
    ciphertext: Annotated[bytes, opaque(4000)]


def seal_card(key: DirectoryKey, card: ContactCard) -> bytes:
    """The card for the agency's roster (``authority.roster(cards=…)``)."""
    names.check_handle(card.officer)
    body = strict.dump(card.custom())
    nonce = Secret.random(12)
    padded = body + b" " * (-len(body) % _PAD)
    sealed = AES256GCM.seal(key.key, nonce, _bound(key.agency, card.officer, key.id), padded)
    return _Sealed(key.id, bytes(nonce), sealed).encode()


def open_card(keys: Iterable[DirectoryKey], agency: str, officer: str, sealed: bytes) -> ContactCard:
    """The card of ``officer`` at ``agency``. Raises NotFound without its key, CannotOpen, Malformed, Invalid."""
    wire = _Sealed.decode(sealed)
    key = next((key for key in keys if key.agency == agency and key.id == wire.key_id), None)
    if key is None:
        raise NotFound(
            f"no directory key opens the card of {names.officer_address(officer, agency)}",
            hint="ask your administrator to share the directory keys",
        )
    body = AES256GCM.open(key.key, wire.nonce, _bound(agency, officer, wire.key_id), wire.ciphertext)
    card = ContactCard.read(strict.load(body.rstrip(b" "), "contact card"), "contact card")
    if card.officer != officer:
        raise Malformed(f"the card of {officer} names {card.officer[:60]!a}")
    return card


def _bound(agency: str, officer: str, key_id: bytes) -> bytes:
    return _CARD + key_id + names.officer_address(officer, agency).encode()


# ----------------------------------------------------------------------------------------------------- sharing the keys


class KeyShare(Struct):
    """Directory keys from an administrator's device to another device."""

    recipient: Annotated[str, text(160)]
    sender: Annotated[str, text(160)]
    sender_key: Annotated[bytes, fixed(48)]
    keys: Annotated[tuple[DirectoryKey, ...], vec(1 << 17)]
    signature: Annotated[bytes, opaque(8192)]

    def verify(self, view: View) -> tuple[DirectoryKey, ...]:
        """The keys, if an administrator of the federation sent them. Raises Untrusted, Denied, BadSignature."""
        sender = view.device(self.sender)
        if "admin" not in sender.roles:
            raise Denied(f"{sender.name} is no administrator and shares no directory keys")
        if self.sender_key not in sender.hashes():
            raise Untrusted(f"{sender.name} has no such key", code="unknown-key", hint="sync, then try again")
        COMPOSITE.verify(sender.public(self.sender_key), contexts.REQUEST, self._signed(), self.signature)
        return self.keys

    def _signed(self) -> bytes:
        return _SHARE + KeyShare(self.recipient, self.sender, self.sender_key, self.keys, b"").encode()

    def signed_with(self, key: SigningKey) -> KeyShare:
        """With the sender's signature."""
        signature = COMPOSITE.sign(key, contexts.REQUEST, self._signed())
        return KeyShare(self.recipient, self.sender, self.sender_key, self.keys, signature)


class _Envelope(Struct):
    enc: Annotated[bytes, opaque(2048)]
    ciphertext: Opaque


def seal_share(keys: Iterable[DirectoryKey], recipient: DeviceRecord, *, sender: str, key: SigningKey) -> bytes:
    """Directory keys for one device's inbox, signed by an administrator's device ``sender`` ("agency/device")."""
    share = KeyShare(recipient.name, sender, key_hash(key.public), tuple(keys), b"").signed_with(key)
    info = _SHARE + recipient.name.encode()
    return _Envelope(*HYBRID.hpke.seal(recipient.inbox, info, b"", share.encode())).encode()


def open_share(sealed: bytes, inbox_private: bytes, recipient: str) -> KeyShare:
    """The share for ``recipient`` ("agency/device"); then `KeyShare.verify`. Raises CannotOpen, Malformed, Invalid."""
    envelope = _Envelope.decode(sealed)
    info = _SHARE + recipient.encode()
    share = KeyShare.decode(HYBRID.hpke.open(inbox_private, envelope.enc, info, b"", envelope.ciphertext))
    if share.recipient != recipient:
        raise CannotOpen("these directory keys are for another device")
    for key in share.keys:
        names.check_agency(key.agency)
    return share
