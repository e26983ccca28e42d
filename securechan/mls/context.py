"""RFC 9420 §8.1: the group context, what all members agree on in an epoch; every secret of the epoch depends on it."""

from __future__ import annotations

from securechan.codec import U16, U64, Kept, Opaque
from securechan.mls.extensions import Extensions
from securechan.mls.registry import ProtocolVersion


class GroupContext(Kept):
    """§8.1."""

    version: ProtocolVersion
    cipher_suite: U16
    group_id: Opaque
    epoch: U64
    tree_hash: Opaque
    confirmed_transcript_hash: Opaque
    extensions: Extensions
