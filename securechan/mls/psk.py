"""RFC 9420 §8.4: pre-shared keys: secrets from outside, or of an earlier epoch, mixed into a new one."""

from __future__ import annotations

from collections.abc import Sequence
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


class PreSharedKeyID(Struct):
    """Which key, with a nonce of Nh bytes that makes its use here unique."""

    kind: PSKType
    psk: Annotated[
        ExternalPSK | ResumptionPSK,
        select("kind", {PSKType.EXTERNAL: ExternalPSK, PSKType.RESUMPTION: ResumptionPSK}),
    ]
    psk_nonce: Opaque


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
