"""Who founded a conversation, under the founder's signature, for as long as the group lives.

    FOUNDING  GroupContext extension 0xF512: topic, name, founder's device, the hash of its key, its signature

The federation may bind a community's name to the devices that may found it. A joiner is added by whoever's turn it is,
so the Welcome's sender proves nothing about the founder; this does, and no commit may change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from securechan.codec import Struct, fixed, opaque, text, vec
from securechan.crypto.contexts import REQUEST
from securechan.crypto.suite import HYBRID
from securechan.errors import Invalid, Untrusted
from securechan.mls.extensions import Extension, find
from securechan.trust.records import key_hash
from securechan.trust.view import View
from securechan.wire.chain import Position

FOUNDING: Final = 0xF512
LABEL: Final = b"securechan/1 founding"


class Succession(Struct):
    """That this group goes on for another: which one, how far its log was read, why, and who was left out."""

    topic: Annotated[bytes, fixed(32)]
    last: Position
    reason: Annotated[str, text(255)]
    without: Annotated[tuple[Annotated[str, text(160)], ...], vec(1 << 16)]


class Act(Struct):
    """What is signed, after `LABEL`."""

    topic: Annotated[bytes, fixed(32)]
    name: Annotated[str, text(64)]
    founder: Annotated[str, text(160)]
    key: Annotated[bytes, fixed(48)]
    succeeds: Succession | None


class Founding(Struct):
    """The content of the extension."""

    act: Act
    signature: Annotated[bytes, opaque(8192)]

    @classmethod
    def sign(
        cls, topic: bytes, name: str, founder: str, private: bytes, succeeds: Succession | None = None
    ) -> Founding:
        """By the founder's device key."""
        act = Act(topic, name, founder, key_hash(HYBRID.signature.public(private)), succeeds)
        return cls(act, HYBRID.signature.sign(private, REQUEST, LABEL + act.encode()))

    def extension(self) -> Extension:
        return Extension(FOUNDING, self.encode())


def act_of(extensions: Sequence[Extension]) -> Act | None:
    """What a group says of its founding, unverified: `founder` says whether it was founded so. Raises `Malformed`."""
    data = find(tuple(extensions), FOUNDING)
    return None if data is None else Founding.decode(data).act


def founder(extensions: Sequence[Extension], topic: bytes, name: str, view: View) -> str:
    """The device that founded this conversation under this name, as far as trust can tell. Raises `Invalid`,
    `Malformed`, `Untrusted`, `BadSignature`."""
    data = find(tuple(extensions), FOUNDING)
    if data is None:
        raise Invalid("a group that does not say who founded it")
    founding = Founding.decode(data)
    act = founding.act
    if (act.topic, act.name) != (topic, name):
        raise Invalid("it was founded as another conversation, or under another name")
    record = view.device(act.founder)
    if act.key not in record.hashes():
        raise Untrusted(f"{act.founder} founded it with a key that its agency does not list", code="unknown-key")
    HYBRID.signature.verify(record.public(act.key), REQUEST, LABEL + act.encode(), founding.signature)
    return act.founder
