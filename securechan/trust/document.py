"""One TUF document: its bytes in their one form, and whether its delegator's keys signed them.

    role              signed by (root pairs or composite keys)
    root              root pairs, m of n, of this and the last version
    timestamp         the publisher's online key
    snapshot          the publisher's online key
    targets           the federation's administrators, m of n
    <agency>          the agency's authority, m of n
    <agency>-roster   the agency's administrators, m of n

A ``Document`` is well formed and obeys every rule that can be checked without looking at another document (what it says
is `securechan.trust.contents`); ``verify`` looks at the delegator. python-tuf counts the signatures.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final, TypeVar

from tuf.api.metadata import (
    Metadata,
    Root,
    Targets,
)
from tuf.api.serialization import DeserializationError, SerializationError

from securechan.errors import Malformed, Untrusted
from securechan.trust import names, strict
from securechan.trust.contents import (
    MAX_KEYS,
    AgencyContents,
    Contents,
    Federation,
    RootContents,
    Signatories,
    agency_of,
    read,
)

MAX_SIGNATURES: Final = 2 * MAX_KEYS  # a root rotation carries those of two versions
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Document:
    """A signed document. ``expires`` is in Unix seconds, ``digest`` SHA-384 of its bytes. Equal by role and bytes."""

    role: str
    content: bytes = field(repr=False)
    digest: bytes = field(compare=False, repr=False)
    version: int = field(compare=False)
    expires: int = field(compare=False)
    contents: Contents = field(compare=False, repr=False)
    metadata: Metadata[Any] = field(compare=False, repr=False)  # never handed out: python-tuf's objects are mutable

    @property
    def signed_by(self) -> frozenset[str]:
        """Key ids of its signatures, good or not."""
        return frozenset(self.metadata.signatures)


# -------------------------------------------------------------------------------------------------------------- reading


def parse(role: str, content: bytes) -> Document:
    """What ``content`` is as ``role``, its signatures unchecked. Raises Malformed, Invalid, Untrusted."""
    agency = agency_of(role)
    raw = strict.load(content, role)
    signed, signatures = raw.get("signed"), raw.get("signatures")
    if set(raw) != {"signed", "signatures"} or not isinstance(signed, dict) or not isinstance(signatures, list):
        raise Malformed(f"{role}: not a signed document")
    _check_signatures(role, signatures)
    version = signed.get("version")
    if type(version) is not int:
        raise Malformed(f"{role}: its version is no whole number")
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(content)
        same = metadata.signed.to_dict() == signed
    except (DeserializationError, ValueError, TypeError, AttributeError) as error:
        raise Malformed(f"{role}: no TUF document: {_cause(error)}") from None
    if not same or metadata.signed.unrecognized_fields:
        raise Malformed(f"{role}: fields that do not belong, or dates not in their one form")
    expected = role if agency is None else "targets"
    if metadata.signed.type != expected:
        raise Untrusted(f"{role}: a document of type {metadata.signed.type} in its place", code="mixed")
    contents = read(role, agency, metadata.signed)
    expires = int(metadata.signed.expires.replace(tzinfo=UTC).timestamp())
    return Document(role, content, hashlib.sha384(content).digest(), version, expires, contents, metadata)


C = TypeVar("C", bound=Contents)


def expect(document: Document, kind: type[C]) -> C:
    """The contents, which are of this kind. Raises Malformed where they aren't."""
    if not isinstance(document.contents, kind):
        raise Malformed(f"{document.role} {document.version} says nothing of the kind that is asked of it")
    return document.contents


def _check_signatures(role: str, signatures: list[strict.Json]) -> None:
    if len(signatures) > MAX_SIGNATURES:
        raise Malformed(f"{role}: {len(signatures)} signatures, at most {MAX_SIGNATURES} are allowed")
    before = ""
    for signature in signatures:
        if not isinstance(signature, dict) or set(signature) != {"keyid", "sig"}:
            raise Malformed(f"{role}: a signature has a key id and a value, nothing else")
        keyid, value = signature["keyid"], signature["sig"]
        if not isinstance(keyid, str) or not isinstance(value, str) or not keyid > before:
            raise Malformed(f"{role}: signatures stand in the order of their key ids, each once")
        if not _HEX.fullmatch(value):  # its one form: else whoever passes a document on could make it look like another
            raise Malformed(f"{role}: a signature is a text of lower-case hex digits")
        before = keyid


def _cause(error: BaseException) -> str:
    inner = error.__cause__ or error
    return f"{type(inner).__name__.lower()} {str(inner)[:120]!a}"


# ----------------------------------------------------------------------------------------------------------- verifying


def payload(document: Document) -> bytes:
    """The bytes that its signatures sign."""
    return payload_of(document.role, document.metadata)


def payload_of(role: str, metadata: Metadata[Any]) -> bytes:
    """Canonical JSON of the signed part. Raises Malformed where there is none."""
    try:
        return metadata.signed_bytes
    except SerializationError:
        raise Malformed(f"{role}: has no canonical form") from None


def signatories(delegator: Document, role: str) -> Signatories | None:
    """Who signs for ``role`` according to ``delegator``; None if it says nothing of it."""
    match delegator.contents:
        case RootContents(roles):
            return roles.get(role)
        case Federation() as federation:
            return federation.signatories.get(role)
        case AgencyContents(roster):
            return roster if role == names.roster_role(delegator.role) else None
        case _:
            return None


def signers(delegator: Document, document: Document) -> tuple[frozenset[str], int]:
    """(key ids whose signatures verify, how many are needed), by the delegator's word."""
    signed = delegator.metadata.signed
    if signatories(delegator, document.role) is None or not isinstance(signed, Root | Targets):
        raise Untrusted(
            f"{document.role}: {delegator.role} {delegator.version} delegates nothing to it", code="unknown-role"
        )
    result = signed.get_verification_result(document.role, payload(document), document.metadata.signatures)
    return frozenset(result.signed), result.threshold


def verify(delegator: Document, document: Document) -> None:
    """Returns if enough of the keys that ``delegator`` names signed ``document``. Raises Untrusted."""
    good, needed = signers(delegator, document)
    if len(good) >= needed:
        return
    if not good:
        raise Untrusted(
            f"{document.role} {document.version} is not signed by the keys that {delegator.role} names for it",
            code="wrong-signature",
            hint="it was forged, altered, or made before keys were rotated: ask its administrators to sign again",
        )
    raise Untrusted(
        f"{document.role} {document.version} is signed by {len(good)} of the {needed} key holders needed",
        code="threshold",
        hint="let another key holder sign it",
    )
