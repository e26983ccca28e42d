"""RFC 9420 §8.2: the running hashes over all commits, which make two histories two groups."""

from __future__ import annotations

from securechan.codec import Opaque, Struct, write_vector
from securechan.crypto.suite import Suite
from securechan.mls.framing import AuthenticatedContent


class InterimTranscriptHashInput(Struct):
    """§8.2."""

    confirmation_tag: Opaque


def confirmed_hash(suite: Suite, interim: bytes, commit: AuthenticatedContent) -> bytes:
    """§8.2: the confirmed transcript hash after ``commit``; ``interim`` is the interim hash before it."""
    out = bytearray(interim)
    out += commit.wire_format.to_bytes(2, "big")
    commit.content.write_to(out)
    write_vector(out, commit.auth.signature)
    return suite.hash(out)


def interim_hash(suite: Suite, confirmed: bytes, confirmation_tag: bytes) -> bytes:
    """§8.2: the interim transcript hash that the next commit starts from."""
    return suite.hash(confirmed + InterimTranscriptHashInput(confirmation_tag).encode())
