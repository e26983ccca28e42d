"""Files that carry documents between people: a bundle is finished, a ceremony is being signed.

    Bundle      root versions and documents, complete: what a relay adopts, what ``root publish`` sends
    Ceremony    drafts, with the state that they change, so that a key holder on a machine without a network sees what
                it signs, signs, and passes the file on; copies that were signed apart are merged

Both are JSON in the one form. Nothing in them is secret, and nothing in them is believed: documents carry their own
signatures, and a ceremony's base is checked against the root id that the key holder knows.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from securechan.errors import Conflict, Denied, Malformed, Stale
from securechan.trust import strict
from securechan.trust.contents import agency_of
from securechan.trust.diff import diff
from securechan.trust.document import Document
from securechan.trust.draft import Draft, Signing, enough, pairs
from securechan.trust.keys import TrustSigner
from securechan.trust.parcels import as_list, b64, load_file, read_drafts
from securechan.trust.view import View

_BUNDLE: Final = "securechan federation bundle"
_CEREMONY: Final = "securechan signing ceremony"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Documents that take effect together, root versions first."""

    documents: tuple[tuple[str, bytes], ...]

    @property
    def root(self) -> bytes:
        """The first root document, for `View.bootstrap`. Raises Malformed where there is none."""
        for role, content in self.documents:
            if role == "root":
                return content
        raise Malformed("a bundle without a root document", hint="ask for the federation's first bundle")

    @property
    def rest(self) -> tuple[tuple[str, bytes], ...]:
        """What follows the first root: to be published over it."""
        first = self.root
        return tuple(pair for pair in self.documents if pair != ("root", first))

    def encode(self) -> bytes:
        """JSON for a file."""
        return strict.dump({"kind": _BUNDLE, "v": 1, "documents": _listed(self.documents)})

    @classmethod
    def decode(cls, data: bytes) -> Bundle:
        """Raises Malformed, Invalid, Untrusted; signatures are checked when it is adopted or published."""
        value = load_file(data, _BUNDLE)
        found = cls(pairs(read_drafts(value.get("documents"))))
        if found.encode() != data:
            raise Malformed("bundle: fields that do not belong")
        return found

    @classmethod
    def of(cls, drafts: Iterable[Draft]) -> Bundle:
        """Of complete drafts, roots first."""
        return cls(tuple(sorted(pairs(drafts), key=lambda pair: pair[0] != "root")))


def _listed(documents: Iterable[tuple[str, bytes]]) -> list[list[str]]:
    return [[role, base64.b64encode(content).decode("ascii")] for role, content in documents]


@dataclass(frozen=True, slots=True)
class Ceremony:
    """Drafts that are to take effect together, and the view that they change (None: there is no federation yet)."""

    base: View | None
    drafts: tuple[Draft, ...]

    def _drafted(self) -> dict[str, Document]:
        """What is drafted, parsed once: signatures that come to it change nothing in what it delegates."""
        return {draft.role: draft.document for draft in self.drafts}

    def _delegators(self, role: str, drafted: Mapping[str, Document]) -> tuple[Document, ...]:
        """Whose word counts for a draft: of a new root, the old one's and its own."""
        standing = drafted.get("root") or (self.base.roots[-1] if self.base is not None else None)
        if role == "root":
            old = () if self.base is None else (self.base.roots[-1],)
            return (*old, drafted[role])
        agency = agency_of(role)
        delegator = "targets" if role == agency else agency
        if role == "targets":
            found = standing
        else:
            held = None if self.base is None or delegator is None else self.base.document(delegator)
            found = drafted.get(delegator or "") or held
        if found is None:
            raise Malformed(f"{role}: the ceremony lacks what delegates to it", hint="make it from the current state")
        return (found,)

    def status(self) -> tuple[Signing, ...]:
        """How far each draft is; a root that follows another is listed for both."""
        drafted = self._drafted()
        return tuple(
            draft.signing(delegator) for draft in self.drafts for delegator in self._delegators(draft.role, drafted)
        )

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not any(signing.missing for signing in self.status())

    def sign(self, *signers: TrustSigner) -> Ceremony:
        """With these keys' signatures on every draft that waits for them. Raises Denied for a key that none wants."""
        drafts, drafted = list(self.drafts), self._drafted()
        for signer in signers:
            wanted = [
                number
                for number, draft in enumerate(drafts)
                if any(signer.keyid in draft.signing(by).waiting for by in self._delegators(draft.role, drafted))
            ]
            if not wanted:
                raise Denied(
                    f"no draft here waits for the key {signer.keyid[:16]}",
                    code="wrong-key",
                    hint="it has signed already, or the role is another's",
                )
            for number in wanted:
                drafts[number] = drafts[number].sign(signer)
        return Ceremony(self.base, tuple(drafts))

    def merge(self, other: Ceremony) -> Ceremony:
        """With the signatures of a copy. Raises Conflict where it is none."""
        mine, theirs = [draft.role for draft in self.drafts], {draft.role: draft for draft in other.drafts}
        if sorted(mine) != sorted(theirs) or self.base != other.base:
            raise Conflict("these files are of different ceremonies", hint="merge copies of one file")
        return Ceremony(self.base, tuple(draft.merge(theirs[draft.role]) for draft in self.drafts))

    def describe(self) -> tuple[str, ...]:
        """What the drafts change, in words, for who is asked to sign."""
        return tuple(line for draft in self.drafts for line in diff(self.base, draft))

    def bundle(self) -> Bundle:
        """The finished documents; a new federation's begin with its root. Raises Untrusted ``threshold``."""
        enough(self.status())
        return Bundle.of(self.drafts)

    def encode(self) -> bytes:
        """JSON for a file."""
        base = b"" if self.base is None else self.base.encode()
        return strict.dump(
            {
                "kind": _CEREMONY,
                "v": 1,
                "base": base64.b64encode(base).decode("ascii"),
                "drafts": _listed(pairs(self.drafts)),
            }
        )

    @classmethod
    def decode(cls, data: bytes, *, root_id: bytes | None = None) -> Ceremony:
        """Raises Malformed, Invalid, Untrusted; Stale for drafts that don't follow the state they are compared with.
        With ``root_id``, only that federation's ceremony is believed."""
        value = load_file(data, _CEREMONY)
        base = b64(value.get("base"))
        view = View.decode(base) if base else None
        if root_id is not None and (view is None or view.root_id != root_id):
            raise Conflict("this ceremony is of another federation", hint="check who sent the file")
        drafts = read_drafts(as_list(value.get("drafts")))
        if len({draft.role for draft in drafts}) != len(drafts):
            raise Malformed("a ceremony with two drafts of one role")
        for draft in drafts:
            _check_next(view, draft)
        found = cls(view, drafts)
        if found.encode() != data:
            raise Malformed("ceremony: fields that do not belong")
        return found


def _check_next(base: View | None, draft: Draft) -> None:
    """A draft is the version right after the one that it is compared with. A base that is out of date would show who
    signs no change at all, where in truth everything since is undone. Raises Stale."""
    if draft.role not in ("root", "targets") and (base is None or agency_of(draft.role) not in base.agencies):
        return  # the papers of an agency that is to be admitted have a count of their own
    standing = None if base is None else base.document(draft.role)
    expected = 1 if standing is None else standing.version + 1
    if draft.version != expected:
        raise Stale(
            f"this ceremony would make {draft.role} {draft.version} of version {expected - 1}",
            hint="do not sign: it hides what happened in between; have it made again from the current state",
        )
