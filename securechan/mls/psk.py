"""RFC 9420 §8.4: pre-shared keys: secrets from outside, or of an earlier epoch, mixed into a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from securechan.codec import U16, U64, Opaque, Struct, select
from securechan.crypto.secret import Secret
from securechan.crypto.suite import Suite
from securechan.mls.labels import expand_with_label
from securechan.mls.registry import PSKType, ResumptionUsage


class ExternalPSK(Struct):
    """A key that the application knows by this id."""

    psk_id: Opaque


class ResumptionPSK(Struct):
    """The resumption key of an epoch that the members went through together."""

    usage: ResumptionUsage
    psk_group_id: Opaque
    psk_epoch: U64


@dataclass(frozen=True, slots=True)
class EpochId:
    """An epoch of a group: by this name its resumption key is called for."""

    group_id: bytes
    epoch: int


PskName = bytes | EpochId  # of a key from outside, or of an epoch's resumption key
PskStore = Mapping[PskName, bytes]


class PreSharedKeyID(Struct):
    """Which key, with a nonce of Nh bytes that makes its use here unique."""

    kind: PSKType
    psk: Annotated[
        ExternalPSK | ResumptionPSK,
        select("kind", {PSKType.EXTERNAL: ExternalPSK, PSKType.RESUMPTION: ResumptionPSK}),
    ]
    psk_nonce: Opaque

    @classmethod
    def fresh(cls, suite: Suite, name: PskName, usage: ResumptionUsage = ResumptionUsage.APPLICATION) -> PreSharedKeyID:
        """For one use of that key: under a new nonce. ``usage`` is of resumption keys only."""
        nonce = suite.random(suite.hash_length)
        if isinstance(name, EpochId):
            return cls(PSKType.RESUMPTION, ResumptionPSK(usage, name.group_id, name.epoch), nonce)
        return cls(PSKType.EXTERNAL, ExternalPSK(name), nonce)

    @property
    def name(self) -> PskName:
        """What the key is kept under."""
        if isinstance(self.psk, ResumptionPSK):
            return EpochId(self.psk.psk_group_id, self.psk.psk_epoch)
        return self.psk.psk_id

    @property
    def links(self) -> bool:
        """§11.2, §11.3: whether its use is to bind a new group to the one it comes of."""
        return isinstance(self.psk, ResumptionPSK) and self.psk.usage is not ResumptionUsage.APPLICATION


class PSKLabel(Struct):
    """What a key is bound to: its id, and its place among the keys of the commit."""

    id: PreSharedKeyID
    index: U16
    count: U16


def psk_secret(suite: Suite, psks: Sequence[tuple[PreSharedKeyID, bytes]]) -> Secret:
    """All keys of a commit as one secret of Nh bytes; zeros where there are none."""
    zero = bytes(suite.hash_length)
    secret = Secret(zero)
    for index, (psk_id, psk) in enumerate(psks):
        extracted = suite.extract(zero, psk)
        label = PSKLabel(psk_id, index, len(psks)).encode()
        secret = suite.extract(expand_with_label(suite, extracted, "derived psk", label, suite.hash_length), secret)
    return secret
