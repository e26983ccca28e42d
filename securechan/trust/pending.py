"""A roster that waits for a second administrator: proposed by one, seen and signed by another.

Where an agency's threshold is two, the first administrator's client sends its signed draft to the others (an inbox
message, or a file), together with the enrolment requests behind it. The second sees the same six words and the same
differences, signs the same bytes, and publishes. The proposal is signed by the proposer's device, so that nobody else
can put a draft before an administrator.
"""

from __future__ import annotations

from typing import Annotated, Final

from securechan.codec import U64, Struct, fixed, opaque, text, vec
from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.errors import Denied, Invalid, Stale, Untrusted
from securechan.trust import document as doc
from securechan.trust import names, strict
from securechan.trust.contents import Roster
from securechan.trust.diff import diff
from securechan.trust.draft import Draft, Signing
from securechan.trust.enrolment import EnrolRequest, six_words
from securechan.trust.records import SUITE, key_hash
from securechan.trust.view import View

_LABEL: Final = b"securechan/1 pending roster"


class PendingRoster(Struct):
    """A proposed roster. ``requests`` are those of the devices that it adds."""

    agency: Annotated[str, text(40)]
    content: Annotated[bytes, opaque(strict.MAX_DOCUMENT)]
    requests: Annotated[tuple[EnrolRequest, ...], vec(1 << 21)]
    note: Annotated[str, text(1000)]
    proposer: Annotated[str, text(160)]
    proposer_key: Annotated[bytes, fixed(48)]
    time: U64
    signature: Annotated[bytes, opaque(8192)]

    @classmethod
    def make(
        cls,
        draft: Draft,
        requests: tuple[EnrolRequest, ...],
        *,
        proposer: str,
        key: SigningKey,
        now: int,
        note: str = "",
    ) -> PendingRoster:
        """Signed by ``proposer`` ("agency/device")."""
        agency = draft.role.removesuffix(names.ROSTER_SUFFIX)
        fields = (agency, draft.content, requests, note, proposer, key_hash(key.public), now)
        return cls(*fields, COMPOSITE.sign(key, contexts.REQUEST, _LABEL + cls(*fields, b"").encode()))

    @property
    def draft(self) -> Draft:
        """The roster with the signatures it has so far."""
        return Draft(names.roster_role(self.agency), self.content)

    def verify(self, view: View) -> Draft:
        """The draft, if it may be put before an administrator: proposed by one of the agency, the next version of what
        stands, and each device it adds asked for itself. Raises Untrusted, Denied, Stale, BadSignature, Malformed,
        Invalid."""
        proposer = view.device(self.proposer)
        if "admin" not in proposer.roles or proposer.agency != names.check_agency(self.agency):
            raise Denied(f"{self.proposer} is no administrator of {self.agency}")
        if self.proposer_key not in proposer.hashes(SUITE):
            raise Untrusted(f"{self.proposer} has no such key", code="unknown-key", hint="sync, then try again")
        plain = (
            self.agency,
            self.content,
            self.requests,
            self.note,
            self.proposer,
            self.proposer_key,
            self.time,
        )
        message = _LABEL + PendingRoster(*plain, b"").encode()
        COMPOSITE.verify(proposer.public(self.proposer_key), contexts.REQUEST, message, self.signature)
        draft = self.draft
        document = draft.document
        if document.version != view.roster_version(self.agency) + 1:
            raise Stale(
                f"the draft is roster {document.version}, version {view.roster_version(self.agency)} stands",
                hint="the proposer must make it again from the current roster",
            )
        self._check_requests(view, doc.expect(document, Roster))
        return draft

    def _check_requests(self, view: View, roster: Roster) -> None:
        asked = {}
        for request in self.requests:
            request.verify()
            if request.proposal.root_id != view.root_id:
                raise Invalid(f"{request.name} asked another federation", rule="SPEC enrolment")
            asked[request.name] = request
        for record in roster.devices.values():
            if view.find(record.name) is not None:
                continue
            answer = asked.get(record.name)
            if answer is None:
                raise Untrusted(
                    f"the draft adds {record.name}, which asked for nothing",
                    code="unknown-device",
                    hint="do not sign: ask the proposer",
                )
            wanted = answer.record(since=record.since, roles=record.roles, not_after=record.not_after)
            if wanted != record:
                raise Untrusted(
                    f"the draft adds {record.name} otherwise than it asked for",
                    code="identity-changed",
                    hint="do not sign: ask the proposer",
                )

    def words(self) -> dict[str, tuple[str, ...]]:
        """The six words of each request, by device name."""
        return {request.name: six_words(request) for request in self.requests}

    def diff(self, view: View) -> tuple[str, ...]:
        """What the draft changes, in words."""
        return diff(view, self.draft)

    def signing(self, view: View) -> Signing:
        """How far the draft is. Raises Untrusted where the agency has published nothing."""
        authority = view.document(self.agency)
        if authority is None:
            raise Untrusted(f"{self.agency} has published nothing yet", code="unknown-agency", hint="sync first")
        return self.draft.signing(authority)
