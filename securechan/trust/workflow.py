"""One publication: the ordered rules by which documents replace documents.

TUF's client workflow (specification §5.3 to §5.6) over documents that came together instead of over downloads: root
rotations first, each signed by two versions; then timestamp, snapshot, targets, agencies, rosters, each signed by what
its delegator says now, each newer than what it replaces, all of them exactly those that the snapshot names.

The verdict is the same for every member, whenever it looks: it depends on the documents before, on the documents given
and on nothing else. No clock, no setting: a publication from last year applies today, and ``freshness`` says what an
expired document still allows.

    code                refused because
    wrong-signature     none of the keys that the delegator names signed it
    threshold           fewer key holders signed than are needed, or policy wants more of them
    rollback            not newer than what it replaces
    mixed               documents that the snapshot does not name together
    hash-mismatch       a document or record is not what its hash names
    unknown-role        nobody delegates to it
    wrong-key           a key of another kind, of another role or of two agencies
    wrong-delegation    a delegation in another form than ours
    foreign-path        a role speaks for what is another's
    look-alike          two agencies' names read alike
    policy              more of something than policy allows
    duplicate-key       two devices with one key
    tombstoned          a revoked key or device comes back
    tombstone           a revocation vanishes, changes or concerns another's device; a key vanishes without one
    identity-moved      a device passes to another officer
    identity-changed    all keys of a device change at once
    too-large           more documents or bytes than one publication may have
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Final, TypeAlias

from securechan.errors import Untrusted
from securechan.trust import document as doc
from securechan.trust import names
from securechan.trust.contents import (
    ONLINE,
    AgencyContents,
    Federation,
    RootContents,
    Roster,
    Signatories,
    SnapshotContents,
    Stamp,
    TimestampContents,
    agency_of,
)
from securechan.trust.document import Document
from securechan.trust.records import Tombstone

MAX_DOCUMENTS: Final = 256
MAX_PUBLICATION: Final = 2 << 20  # bytes: a TRUST entry holds no more

Held: TypeAlias = Mapping[str, Document]
Roots: TypeAlias = tuple[Document, ...]


def first_root(content: bytes) -> Document:
    """Root version 1, signed by its own keys. Raises Malformed, Untrusted."""
    root = doc.parse("root", content)
    if root.version != 1:
        raise Untrusted(f"the first root document is version {root.version}, not 1", code="mixed")
    doc.verify(root, root)
    return root


def step(roots: Roots, held: Held, documents: Iterable[tuple[str, bytes]]) -> tuple[Roots, Held]:
    """What is held after a publication. Raises Untrusted, Malformed, Invalid; then nothing of it holds."""
    given, rotations = _split(documents)
    before = roots[-1]
    for content in rotations:
        roots = (*roots, next_root(roots[-1], content))
    root = roots[-1]

    after = dict(held)
    timestamp = given.get("timestamp")
    if timestamp is None:
        raise Untrusted("a publication without a timestamp", code="mixed")
    doc.verify(root, timestamp)
    # A thief of the online keys may have signed a version that no honest publisher reaches. New keys start afresh
    # (TUF §5.3.11); what key holders sign offline keeps its count.
    afresh = any(_signs(before, role) != _signs(root, role) for role in ONLINE)
    if not afresh:
        _check_newer(held, timestamp)
    after["timestamp"] = timestamp

    snapshot = given.get("snapshot") or held.get("snapshot")
    if snapshot is None:
        raise Untrusted("the first publication has no snapshot", code="mixed")
    _check_stamp(_stamp_of(timestamp), snapshot)
    doc.verify(root, snapshot)
    if "snapshot" in given and not afresh:
        _check_newer(held, snapshot)
    after["snapshot"] = snapshot

    for role, document in given.items():
        if role not in ONLINE:
            _check_newer(held, document)
            after[role] = document
    _check_together(after)
    _check_signed(root, after, held, _verified(before, held))
    if any(role not in ONLINE for role in given) or rotations:
        check_rules(root, after)
        for agency in _rosters(after):
            role = names.roster_role(agency)
            if role in given:
                check_succession(held.get(role), after[role])
    return roots, MappingProxyType(after)


def check_all(roots: Roots, held: Held) -> None:
    """What is held, from the beginning, except what only its history shows. Raises as `step` does."""
    for previous, root in pairwise(roots):
        _check_rotation(previous, root)
    if not held:
        return
    for role in ONLINE:
        if role not in held:
            raise Untrusted(f"there is no {role}", code="mixed")
        doc.verify(roots[-1], held[role])
    _check_stamp(_stamp_of(held["timestamp"]), held["snapshot"])
    _check_together(held)
    _check_signed(roots[-1], held, held, {})
    check_rules(roots[-1], held)


def _split(documents: Iterable[tuple[str, bytes]]) -> tuple[dict[str, Document], list[bytes]]:
    given: dict[str, Document] = {}
    roots: list[bytes] = []
    size = 0
    for count, (role, content) in enumerate(documents, 1):
        size += len(content)
        if count > MAX_DOCUMENTS or size > MAX_PUBLICATION:
            raise Untrusted("a publication with more documents or bytes than allowed", code="too-large")
        if role == "root":
            roots.append(content)
        elif role in given:
            raise Untrusted(f"{role} stands twice in one publication", code="mixed")
        else:
            given[role] = doc.parse(role, content)
    return given, roots


def next_root(previous: Document, content: bytes) -> Document:
    """The root version after ``previous``, signed by both. Raises Untrusted, Malformed."""
    root = doc.parse("root", content)
    _check_rotation(previous, root)
    return root


def _check_rotation(previous: Document, root: Document) -> None:
    if root.version <= previous.version:
        raise Untrusted(f"root {root.version} after root {previous.version}", code="rollback")
    if root.version != previous.version + 1:
        raise Untrusted(
            f"root {root.version} after root {previous.version}",
            code="mixed",
            hint="root versions follow each other without gaps",
        )
    doc.verify(previous, root)
    doc.verify(root, root)


def _check_newer(held: Held, document: Document) -> None:
    old = held.get(document.role)
    if old is not None and document.version <= old.version:
        raise Untrusted(
            f"{document.role} {document.version} comes after {document.role} {old.version}",
            code="rollback",
            hint="someone shows an older state: compare positions with another agency",
        )


def _check_stamp(stamp: Stamp, document: Document) -> None:
    what = f"{document.role} {document.version}"
    if stamp.version != document.version:
        raise Untrusted(f"{what} stands where version {stamp.version} is named", code="mixed")
    if stamp.length != len(document.content) or stamp.digest != document.digest:
        raise Untrusted(f"{what} is not the one that is named", code="hash-mismatch")


def _stamp_of(timestamp: Document) -> Stamp:
    return doc.expect(timestamp, TimestampContents).snapshot


def _check_together(held: Held) -> None:
    """The snapshot names every document that stands, and nothing else."""
    snapshot = doc.expect(held["snapshot"], SnapshotContents)
    standing = {role for role in held if role not in ONLINE}
    if standing != set(snapshot.stamps):
        odd = min(standing ^ set(snapshot.stamps))
        raise Untrusted(f"{odd} is {'not ' if odd in standing else ''}named by the snapshot", code="mixed")
    if "targets" not in standing:
        raise Untrusted("there is no targets document", code="mixed")
    for role, stamp in snapshot.stamps.items():
        _check_stamp(stamp, held[role])


def _signs(delegator: Document, role: str) -> Signatories | None:
    return doc.signatories(delegator, role)


def _delegator(root: Document, held: Held, role: str) -> Document | None:
    if role == "targets":
        return root
    agency = agency_of(role)
    return held["targets"] if role == agency else held.get(agency or "")


Verified: TypeAlias = Mapping[str, tuple[Document, Signatories | None]]


def _verified(root: Document, held: Held) -> Verified:
    """What verified before, and by whom: the same document under the same signatories verifies again."""
    known: dict[str, tuple[Document, Signatories | None]] = {}
    for role, document in held.items():
        if role not in ONLINE and _delegates(held, role):
            delegator = _delegator(root, held, role)
            known[role] = (document, _signs(delegator, role) if delegator is not None else None)
    return known


def _delegates(held: Held, role: str) -> bool:
    """Whether the federation has the agency that ``role`` belongs to. Documents of a removed one are kept unused, so
    that it can't come back older than it went."""
    return role == "targets" or agency_of(role) in federation(held).agencies


def _check_signed(root: Document, held: Held, before: Held, known: Verified) -> None:
    for role, document in held.items():
        if role in ONLINE:
            continue
        if not _delegates(held, role):
            if before.get(role) != document:
                raise Untrusted(f"{role}: the federation has no such agency", code="unknown-role")
            continue
        delegator = _delegator(root, held, role)
        if delegator is None:
            raise Untrusted(f"{role}: nobody delegates to it", code="unknown-role")
        if known.get(role) != (document, _signs(delegator, role)):
            doc.verify(delegator, document)


def federation(held: Held) -> Federation:
    """What the targets document says. Raises Untrusted before the first publication."""
    targets = held.get("targets")
    if targets is None:
        raise Untrusted("the federation has not published anything yet", code="not-started", hint="wait for its relay")
    return doc.expect(targets, Federation)


def _roster(document: Document) -> Roster:
    return doc.expect(document, Roster)


def agency_contents(held: Held, agency: str) -> AgencyContents | None:
    """What an agency's own document says, if there is one."""
    document = held.get(agency)
    return None if document is None else doc.expect(document, AgencyContents)


def _rosters(held: Held) -> Iterator[str]:
    for agency in federation(held).agencies:
        if names.roster_role(agency) in held:
            yield agency


def rosters(held: Held) -> dict[str, Roster]:
    """The rosters of the federation's agencies."""
    return {agency: _roster(held[names.roster_role(agency)]) for agency in _rosters(held)}


def all_tombstones(held: Held) -> tuple[Tombstone, ...]:
    """Every tombstone, those of agencies that have left included."""
    return tuple(
        stone
        for document in held.values()
        if isinstance(document.contents, Roster)
        for stone in document.contents.tombstones
    )


# --------------------------------------------------------------------------------------------- rules between documents


def check_rules(root: Document, held: Held) -> None:
    """What documents that stand together must obey. Raises Untrusted."""
    members = federation(held)
    least = members.policy.thresholds
    roles = doc.expect(root, RootContents).roles
    _check_threshold("root", roles["root"], least.root)
    _check_threshold("targets", roles["targets"], least.targets)
    owner = dict.fromkeys(roles["targets"].keys, "the federation")
    for role in ONLINE:
        owner.update(dict.fromkeys(roles[role].keys, "the publisher"))
    for agency, signatories in members.signatories.items():
        _check_threshold(agency, signatories, least.agency)
        _own_keys(owner, agency, signatories)
        contents = agency_contents(held, agency)
        if contents is not None:
            _check_threshold(names.roster_role(agency), contents.roster, least.roster)
            _own_keys(owner, agency, contents.roster)
    _check_devices(members, rosters(held), all_tombstones(held))


def _check_threshold(role: str, signatories: Signatories, least: int) -> None:
    if signatories.threshold < least:
        raise Untrusted(
            f"{role} is signed by {signatories.threshold}, policy wants {least}",
            code="threshold",
            hint="raise the threshold before the policy",
        )


def _own_keys(owner: dict[str, str], agency: str, signatories: Signatories) -> None:
    for keyid in signatories.keys:
        if owner.setdefault(keyid, agency) != agency:
            raise Untrusted(f"{agency} uses a key of {owner[keyid]}", code="wrong-key", hint="make keys of its own")


def _check_devices(members: Federation, all_rosters: Mapping[str, Roster], stones: Iterable[Tombstone]) -> None:
    holder = {key: stone.agency for stone in stones for key in stone.keys}
    for agency, roster in all_rosters.items():
        if len(roster.devices) > members.policy.devices_per_agency:
            raise Untrusted(
                f"{agency} has {len(roster.devices)} devices, policy allows {members.policy.devices_per_agency}",
                code="policy",
                hint="revoke devices that are not used, or ask the federation to allow more",
            )
        for record in roster.devices.values():
            for key in (*record.hashes(None), record.inbox):
                if holder.setdefault(key, agency) != agency:
                    raise Untrusted(
                        f"{record.name} has a key of {holder[key]}", code="duplicate-key", hint="make fresh keys"
                    )


def check_succession(before: Document | None, after: Document) -> None:
    """What a roster may do to the one before: nothing vanishes silently, nobody becomes another, and only what was
    listed is revoked (an agency must not bury keys that are another's). Raises Untrusted."""
    new = _roster(after)
    _check_succession(Roster(new.agency, {}, (), {}) if before is None else _roster(before), new)


def _check_succession(old: Roster, new: Roster) -> None:
    what = names.roster_role(new.agency)
    count = len(old.tombstones)
    if new.tombstones[:count] != old.tombstones:
        raise Untrusted(f"{what}: a tombstone was changed or dropped", code="tombstone")
    revoked: dict[str, set[bytes]] = {}
    for stone in new.tombstones[count:]:
        before = old.devices.get(stone.device)
        if before is None or before.officer != stone.officer or not set(stone.keys) <= set(before.hashes(None)):
            raise Untrusted(
                f"{what}: revokes {stone.device}, which had no such keys", code="tombstone", hint="revoke only your own"
            )
        revoked.setdefault(stone.device, set()).update(stone.keys)
    for name, before in old.devices.items():
        after = new.devices.get(name)
        kept = set(after.hashes(None)) if after is not None else set()
        lost = set(before.hashes(None)) - kept
        if lost != revoked.get(name, set()):
            raise Untrusted(f"{what}: keys of {name} vanish without a tombstone", code="tombstone")
        if after is None:
            continue
        if after.officer != before.officer:
            raise Untrusted(
                f"{what}: {name} passes from {before.officer} to {after.officer}",
                code="identity-moved",
                hint="revoke the device and enrol another",
            )
        for suite in before.keys:
            if not set(before.hashes(suite)) & set(after.hashes(suite)):
                raise Untrusted(
                    f"{what}: all keys of {name} change at once",
                    code="identity-changed",
                    hint="publish the new key beside the old one, then drop the old",
                )
