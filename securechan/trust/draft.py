"""A document on its way to enough signatures.

    made (authority) ── sign ──► sign ──► … ── merge copies ──► enough ──► published

A draft is a value; signing gives another. Key holders may sign one after the other or each a copy that is then merged:
signatures stand in the order of their key ids, so the result has the same bytes either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tuf.api.metadata import Metadata, Signed

from securechan.errors import Conflict, Untrusted
from securechan.trust import document as doc
from securechan.trust import strict
from securechan.trust.contents import Signatories
from securechan.trust.document import Document
from securechan.trust.keys import TrustSigner


@dataclass(frozen=True, slots=True)
class Signing:
    """How far a draft is: who of those that ``delegator`` names has signed, and how many must."""

    role: str
    version: int
    delegator: str
    signed: frozenset[str]
    waiting: frozenset[str]
    needed: int

    @property
    def missing(self) -> int:
        """Signatures still needed."""
        return max(0, self.needed - len(self.signed))


@dataclass(frozen=True, slots=True)
class Draft:
    """A document for ``role`` with some or all of its signatures."""

    role: str
    content: bytes

    @classmethod
    def of(cls, role: str, signed: Signed) -> Draft:
        """An unsigned draft. Raises as `document.parse` where our own document breaks a rule."""
        draft = cls(role, strict.dump({"signatures": [], "signed": signed.to_dict()}))
        doc.parse(role, draft.content)
        return draft

    @property
    def document(self) -> Document:
        """Parsed. Raises Malformed, Invalid, Untrusted for a draft from elsewhere."""
        return doc.parse(self.role, self.content)

    @property
    def version(self) -> int:
        return self.document.version

    def sign(self, *signers: TrustSigner) -> Draft:
        """With these signatures too. Does not ask whether the keys may sign: see ``signing``."""
        document = self.document
        payload = doc.payload(document)
        made = {signer.keyid: signer.sign(payload).signature for signer in signers}
        return self._with(document, made, replace=True)

    def merge(self, other: Draft) -> Draft:
        """With the signatures of a copy. Raises Conflict where it isn't a copy."""
        mine, theirs = self.document, other.document
        if other.role != self.role or doc.payload(mine) != doc.payload(theirs):
            raise Conflict(
                f"{self.role} {mine.version} and {other.role} {theirs.version} differ in what they say",
                hint="all key holders must sign copies of one draft",
            )
        signatures = theirs.metadata.signatures.items()
        return self._with(mine, {keyid: signature.signature for keyid, signature in signatures}, replace=False)

    def _with(self, document: Document, more: dict[str, str], *, replace: bool) -> Draft:
        held = {keyid: signature.signature for keyid, signature in document.metadata.signatures.items()}
        both = {**held, **more} if replace else {**more, **held}
        return Draft(self.role, with_signatures(document.metadata, both))

    def signing(self, delegator: Document) -> Signing:
        """How far it is by the word of ``delegator`` (a root that follows another: ask both)."""
        document = self.document
        good, needed = doc.signers(delegator, document)
        named = doc.signatories(delegator, self.role) or Signatories({}, needed)
        waiting = frozenset(named.keys) - good
        what = f"{delegator.role} {delegator.version}"
        return Signing(self.role, document.version, what, good, waiting, needed)

    def pair(self) -> tuple[str, bytes]:
        """(role, content), as publications hold it."""
        return self.role, self.content


def with_signatures(metadata: Metadata[Any], signatures: dict[str, str]) -> bytes:
    """The one form of a document with these signatures."""
    listed = [{"keyid": keyid, "sig": signatures[keyid]} for keyid in sorted(signatures)]
    return strict.dump({"signatures": listed, "signed": metadata.signed.to_dict()})


def date(seconds: int) -> datetime:
    """TUF's date of a Unix time."""
    return datetime.fromtimestamp(seconds, UTC)


def pairs(drafts: Iterable[Draft]) -> tuple[tuple[str, bytes], ...]:
    """Documents of drafts."""
    return tuple(draft.pair() for draft in drafts)


def _named(signing: Signing) -> str:
    own = signing.delegator == f"{signing.role} {signing.version}"
    return "it" if own else signing.delegator


def enough(signings: Sequence[Signing]) -> None:
    """Returns if nothing is missing. Raises Untrusted ``threshold``."""
    for signing in signings:
        if signing.missing:
            raise Untrusted(
                f"{signing.role} {signing.version} has {len(signing.signed)} of {signing.needed} signatures of the"
                f" key holders that {_named(signing)} names: {signing.missing} more must sign",
                code="threshold",
                hint="let another key holder sign",
            )
