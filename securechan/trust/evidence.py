"""Proof for later that a key was listed: what makes a bulletin verifiable without a relay, years on.

The evidence is the root chain from version 1, targets, the agency's document and its roster, byte for byte. Who knows
the federation's root id can verify it alone: each document by its delegator, the root chain by itself. It says that the
agency's administrators listed that key at that roster version. It does not say *when* a signature was made, nor what
later rosters revoked: for that, bring a later evidence (``revoked`` then names the tombstone), or evidence of time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

from securechan.codec import Struct, text, vec
from securechan.errors import Malformed, NotFound, Untrusted
from securechan.trust import document as doc
from securechan.trust import names, workflow
from securechan.trust.contents import Roster
from securechan.trust.records import DeviceRecord, Tombstone
from securechan.trust.view import SavedDocument, View

MAX_EVIDENCE: Final = 64 << 20  # bytes


class _Evidence(Struct):
    label: Annotated[str, text(64)]
    roots: Annotated[tuple[SavedDocument, ...], vec(MAX_EVIDENCE)]
    documents: Annotated[tuple[SavedDocument, ...], vec(MAX_EVIDENCE)]


_LABEL: Final = "securechan/1 evidence"


@dataclass(frozen=True, slots=True)
class Holding:
    """What evidence shows. ``expires``: the first moment (Unix seconds) at which one of its documents had expired.
    ``tombstone`` is set where this roster revokes the key; then the key was listed in an earlier one."""

    device: str
    officer: str
    key_hash: bytes
    record: DeviceRecord | None
    tombstone: Tombstone | None
    roster_version: int
    roster_hash: bytes
    root_version: int
    expires: int

    @property
    def public(self) -> bytes:
        """The signature public key. Raises Untrusted where the key is revoked in this roster."""
        if self.record is None:
            raise Untrusted(
                f"{self.device} was revoked by roster {self.roster_version}",
                code="revoked",
                hint="bring the evidence of the roster that the bulletin names, and evidence of its time",
            )
        return self.record.public(self.key_hash)

    def fresh(self, at: int) -> bool:
        """Whether none of the documents had expired at ``at``."""
        return at < self.expires


def evidence(view: View, agency: str) -> bytes:
    """The evidence for all devices of ``agency`` as they stand. Raises Untrusted, NotFound before its first roster."""
    view.agency(agency)
    roles = ("targets", agency, names.roster_role(agency))
    if roles[-1] not in view.held:
        raise NotFound(f"{agency} has published no roster", hint="sync first")
    roots = tuple(SavedDocument("root", root.content) for root in view.roots)
    return _Evidence(_LABEL, roots, tuple(SavedDocument(role, view.held[role].content) for role in roles)).encode()


def verify_evidence(data: bytes, *, root_id: bytes, device: str, key_hash: bytes) -> Holding:
    """What ``data`` shows of ``device`` ("agency/device") and its signature key's hash. Raises Malformed, Invalid, and
    Untrusted where it is of another federation, wrongly signed, or shows nothing of that key."""
    if len(data) > MAX_EVIDENCE:
        raise Malformed(f"evidence of {len(data)} bytes, at most {MAX_EVIDENCE} are allowed")
    found = _Evidence.decode(data)
    if found.label != _LABEL:
        raise Malformed("this is no evidence of a roster")
    agency, handle = names.split_device(device)
    roles = ("targets", agency, names.roster_role(agency))
    if not found.roots or tuple(saved.role for saved in found.documents) != roles:
        raise Untrusted(
            f"the evidence is not about {agency}", code="unknown-agency", hint="ask its agency for evidence"
        )
    if hashlib.sha384(found.roots[0].content).digest() != root_id:
        raise Untrusted(
            "the evidence is of another federation, or damaged",
            code="wrong-root",
            hint="compare root ids by telephone; where they are equal, fetch the file again",
        )
    root = workflow.first_root(found.roots[0].content)
    for saved in found.roots[1:]:
        root = workflow.next_root(root, saved.content)
    targets, authority, roster = (doc.parse(saved.role, saved.content) for saved in found.documents)
    for delegator, document in ((root, targets), (targets, authority), (authority, roster)):
        doc.verify(delegator, document)
    contents = doc.expect(roster, Roster)
    record = contents.devices.get(handle)
    listed = record is not None and key_hash in record.hashes(None)
    stone = next((s for s in contents.tombstones if s.device == handle and key_hash in s.keys), None)
    if stone is None and not listed:
        raise Untrusted(
            f"roster {roster.version} of {agency} shows no such key of {handle}",
            code="unknown-key",
            hint="the evidence may be of an earlier or later roster than the signature",
        )
    officer = stone.officer if stone is not None else "" if record is None else record.officer
    return Holding(
        device,
        officer,
        key_hash,
        record if listed else None,
        stone,
        roster.version,
        roster.digest,
        root.version,
        min(document.expires for document in (root, targets, authority, roster)),
    )
