"""What the documents of trust say, role by role: typed contents, and every rule that one document alone can break.

    role              contents            says
    root              RootContents        the keys of root, targets, snapshot, timestamp
    timestamp         TimestampContents   which snapshot is current
    snapshot          SnapshotContents    which documents stand together
    targets           Federation          policy, agencies, relays, communities
    <agency>          AgencyContents      who may write the agency's roster
    <agency>-roster   Roster              the agency's devices, tombstones, cards

python-tuf's metadata model parses; this file adds what TUF leaves open: our key kinds, exact delegations (``A`` speaks
for ``A/*`` and for nothing else), and records. Each record is a TUF target whose file is delivered inline: ``custom``
is the record, ``length`` and ``hashes`` are of the record's one JSON form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias, assert_never

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from securechan.errors import Invalid, Malformed, Untrusted
from securechan.trust import names, strict
from securechan.trust.keys import Kind, TrustKey
from securechan.trust.records import (
    AgencyRecord,
    CommunityBinding,
    DeviceRecord,
    Policy,
    Record,
    RelayRecord,
    SealedCard,
    Tombstone,
)

HASH: Final = "sha384"
MAX_KEYS: Final = 16  # of one role
MAX_TOMBSTONES: Final = 2000
POLICY: Final = "federation/policy"
ONLINE: Final = ("timestamp", "snapshot")
TOP: Final = ("root", "timestamp", "snapshot", "targets")


@dataclass(frozen=True, slots=True)
class Signatories:
    """Who may sign for a role: public keys by key id, and how many of them must."""

    keys: Mapping[str, bytes]
    threshold: int


@dataclass(frozen=True, slots=True)
class RootContents:
    """The four top roles' signatories."""

    roles: Mapping[str, Signatories]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Another document as timestamp or snapshot names it: version, length in bytes, SHA-384."""

    version: int
    length: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class TimestampContents:
    """The current snapshot."""

    snapshot: Stamp


@dataclass(frozen=True, slots=True)
class SnapshotContents:
    """The documents that stand together, by role."""

    stamps: Mapping[str, Stamp]


@dataclass(frozen=True, slots=True)
class Federation:
    """What ``targets`` says."""

    policy: Policy
    agencies: Mapping[str, AgencyRecord]
    signatories: Mapping[str, Signatories]
    relays: Mapping[str, RelayRecord]
    communities: Mapping[str, CommunityBinding]


@dataclass(frozen=True, slots=True)
class AgencyContents:
    """What an agency's own document says: who may write its roster."""

    roster: Signatories


@dataclass(frozen=True, slots=True)
class Roster:
    """What an agency's roster says. ``tombstones`` are in the order of revocation."""

    agency: str
    devices: Mapping[str, DeviceRecord]
    tombstones: tuple[Tombstone, ...]
    cards: Mapping[str, bytes]


Contents: TypeAlias = RootContents | TimestampContents | SnapshotContents | Federation | AgencyContents | Roster


# -------------------------------------------------------------------------------------------------------------- reading


def agency_of(role: str) -> str | None:
    """The agency that a role belongs to; None for the four top roles. Raises Untrusted for what is no role."""
    if role in TOP:
        return None
    agency = role.removesuffix(names.ROSTER_SUFFIX)
    if not names.is_agency(agency):
        raise Untrusted(f"{role[:60]!a} is no role", code="unknown-role", hint="ask who published it")
    return agency


def read(role: str, agency: str | None, signed: Root | Timestamp | Snapshot | Targets) -> Contents:
    """What a document says. Raises Malformed, Invalid, Untrusted."""
    match signed:
        case Root():
            return _root(signed)
        case Timestamp():
            if signed.snapshot_meta.unrecognized_fields:
                raise Malformed("timestamp: fields that do not belong")
            return TimestampContents(_stamp("timestamp", signed.snapshot_meta))
        case Snapshot():
            return _snapshot(signed)
        case Targets():
            if agency is None:
                return _federation(signed)
            return _agency(agency, signed) if role == agency else _roster(agency, signed)
        case _:
            assert_never(signed)


def _signatories(what: str, role: Role, keys: Mapping[str, object], kind: Kind) -> Signatories:
    """Raises Untrusted for wrong kinds, thresholds that can't be met, too many keys."""
    if role.unrecognized_fields:
        raise Malformed(f"{what}: fields that do not belong")
    keyids: object = role.keyids  # as typed as the JSON that it comes from
    if not isinstance(keyids, list):
        raise Malformed(f"{what}: key ids are a list")
    found: dict[str, bytes] = {}
    for keyid in keyids:
        if not isinstance(keyid, str):
            raise Malformed(f"{what}: key ids are texts")
        key = keys.get(keyid)
        if not isinstance(key, TrustKey) or key.kind is not kind:
            raise Untrusted(f"{what}: names a key that is not here or not a {kind.value}", code="wrong-key")
        found[keyid] = key.public
    if type(role.threshold) is not int or not 1 <= role.threshold <= len(found) <= MAX_KEYS:
        raise Untrusted(f"{what}: needs {role.threshold!a} of {len(found)} keys", code="threshold")
    return Signatories(MappingProxyType(found), role.threshold)


def _root(root: Root) -> RootContents:
    roles = {
        name: _signatories(f"root: {name}", role, root.keys, Kind.ROOT_PAIR if name == "root" else Kind.COMPOSITE)
        for name, role in root.roles.items()
    }
    if set(root.keys) != {keyid for role in roles.values() for keyid in role.keys}:
        raise Untrusted("root: holds keys that no role uses", code="wrong-key")
    online = {keyid for name in ONLINE for keyid in roles[name].keys}
    if online & set(roles["targets"].keys):
        raise Untrusted("root: a key of the federation is also an online key", code="wrong-key")
    return RootContents(MappingProxyType(roles))


def _stamp(what: str, meta: MetaFile) -> Stamp:
    hashes = meta.hashes
    if (
        type(meta.version) is not int
        or type(meta.length) is not int
        or meta.length > strict.MAX_DOCUMENT
        or hashes is None
        or set(hashes) != {HASH}
        or meta.unrecognized_fields
    ):
        raise Malformed(f"{what}: a document is named by version, length and {HASH}")
    try:
        digest = bytes.fromhex(hashes[HASH])
    except ValueError:
        raise Malformed(f"{what}: a hash is not hexadecimal") from None
    if digest.hex() != hashes[HASH]:
        raise Malformed(f"{what}: a hash is not in its one form")
    return Stamp(meta.version, meta.length, digest)


def _snapshot(snapshot: Snapshot) -> SnapshotContents:
    stamps: dict[str, Stamp] = {}
    for file, meta in snapshot.meta.items():
        role = file.removesuffix(".json")
        if role == file or role in {"root", *ONLINE}:
            raise Untrusted(f"snapshot: lists {file[:60]!a}", code="unknown-role")
        agency_of(role)
        stamps[role] = _stamp("snapshot", meta)
    return SnapshotContents(MappingProxyType(stamps))


def _delegated(what: str, delegations: Delegations | None, agencies: Iterable[str]) -> dict[str, Signatories]:
    """Signatories by role, of delegations that are exactly ours: role → its agency's paths, terminating."""
    if delegations is None or delegations.roles is None or delegations.unrecognized_fields:
        raise Untrusted(f"{what}: delegates in a form that is not ours", code="wrong-delegation")
    expected = dict(zip(delegations.roles, agencies, strict=False))
    found: dict[str, Signatories] = {}
    listed: list[tuple[object, DelegatedRole]] = list(delegations.roles.items())  # names as typed as the JSON
    for name, role in listed:
        if not isinstance(name, str):
            raise Malformed(f"{what}: a role's name is a text")
        agency = expected.get(name, "")
        if role.terminating is not True or role.paths != [f"{agency}/*"] or role.path_hash_prefixes is not None:
            raise Untrusted(f"{what}: {name[:60]!a} may speak for other paths than its own", code="foreign-path")
        found[name] = _signatories(f"{what}: {name}", role, delegations.keys, Kind.COMPOSITE)
    used = [keyid for role in found.values() for keyid in role.keys]
    if set(delegations.keys) != set(used) or len(used) != len(set(used)):
        raise Untrusted(f"{what}: holds a key that no agency or more than one agency uses", code="wrong-key")
    return found


def _custom(what: str, target: TargetFile) -> object:
    """The record of a target, whose length and hash are those of the record's one form."""
    custom = target.custom
    if set(target.unrecognized_fields) != {"custom"}:
        raise Malformed(f"{what}: a target has a record and nothing else")
    body = strict.dump(custom)
    if type(target.length) is not int or target.length != len(body) or target.hashes != {HASH: _hex(body)}:
        raise Untrusted(f"{what}: its record is not what its hash names", code="hash-mismatch")
    return custom


def _hex(body: bytes) -> str:
    return hashlib.sha384(body).hexdigest()


def target(path: str, record: Record) -> TargetFile:
    """The target that carries a record."""
    custom = record.custom()
    body = strict.dump(custom)
    return TargetFile(len(body), {HASH: _hex(body)}, path, {"custom": custom})


def _federation(targets: Targets) -> Federation:
    policy: Policy | None = None
    agencies: dict[str, AgencyRecord] = {}
    relays: dict[str, RelayRecord] = {}
    communities: dict[str, CommunityBinding] = {}
    for path, entry in targets.targets.items():
        custom = _custom(f"targets: {path[:80]}", entry)
        folder, _, name = path.partition("/")
        what = f"targets: {path[:80]}"
        if path == POLICY:
            policy = Policy.read(custom, what)
        elif folder == "agencies":
            agencies[name] = _named(AgencyRecord.read(custom, what), "agency", name)
        elif folder == "relays":
            relays[name] = _named(RelayRecord.read(custom, what), "name", name)
        elif folder == "communities":
            communities[name] = _named(CommunityBinding.read(custom, what), "name", name)
        else:
            raise Untrusted(f"targets: there is no path {path[:80]!a}", code="foreign-path")
    if policy is None:
        raise Invalid("targets: holds no policy", rule="SPEC trust records")
    signatories = (
        {}
        if targets.delegations is None and not agencies
        else _delegated(
            "targets", targets.delegations, (targets.delegations.roles or ()) if targets.delegations else ()
        )
    )
    if set(signatories) != set(agencies):
        raise Untrusted("targets: agencies and delegations are not the same", code="wrong-delegation")
    if len(agencies) > policy.agencies:
        raise Untrusted(f"targets: {len(agencies)} agencies, policy allows {policy.agencies}", code="policy")
    if sum(relay.publisher for relay in relays.values()) > 1:
        raise Untrusted("targets: more than one publisher", code="policy")
    _check_apart(agencies)
    frozen = MappingProxyType
    return Federation(policy, frozen(agencies), frozen(signatories), frozen(relays), frozen(communities))


def _named(record: Any, attribute: str, name: str) -> Any:
    if getattr(record, attribute) != name:
        raise Untrusted(f"targets: a record under another's name {name[:60]!a}", code="foreign-path")
    return record


def _check_apart(agencies: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in agencies:
        other = seen.setdefault(names.look_alike(name), name)
        if other != name:
            raise Untrusted(
                f"the agencies {other} and {name} look alike", code="look-alike", hint="admit one under another name"
            )


def _agency(agency: str, targets: Targets) -> AgencyContents:
    if targets.targets:
        raise Untrusted(f"{agency}: an agency's document holds no records", code="foreign-path")
    role = names.roster_role(agency)
    found = _delegated(agency, targets.delegations, (agency,))
    if set(found) != {role}:
        raise Untrusted(f"{agency}: delegates to others than its roster", code="wrong-delegation")
    return AgencyContents(found[role])


def _roster(agency: str, targets: Targets) -> Roster:
    what = names.roster_role(agency)
    if targets.delegations is not None:
        raise Untrusted(f"{what}: a roster delegates nothing", code="wrong-delegation")
    devices: dict[str, DeviceRecord] = {}
    stones: dict[int, Tombstone] = {}
    cards: dict[str, bytes] = {}
    for path, entry in targets.targets.items():
        folder, _, name = path.partition("/")
        if folder != agency:
            raise Untrusted(f"{what}: speaks for {path[:80]!a}", code="foreign-path")
        custom = _custom(f"{what}: {name[:80]}", entry)
        where = f"{what}: {name[:80]}"
        if name.startswith("+"):
            stones[_ordinal(what, name)] = _own(what, agency, Tombstone.read(custom, where))
        elif name.startswith("@"):
            if not names.is_handle(name[1:]):
                raise Untrusted(f"{what}: a card for {name[:60]!a}", code="foreign-path")
            cards[name[1:]] = SealedCard.read(custom, where).sealed
        else:
            record = _own(what, agency, DeviceRecord.read(custom, where))
            if record.device != name:
                raise Untrusted(f"{what}: a device under another's name {name[:60]!a}", code="foreign-path")
            devices[name] = record
    if sorted(stones) != list(range(1, len(stones) + 1)) or len(stones) > MAX_TOMBSTONES:
        raise Untrusted(f"{what}: tombstones are numbered from 1 without gaps", code="tombstone")
    roster = Roster(
        agency, MappingProxyType(devices), tuple(stones[n] for n in sorted(stones)), MappingProxyType(cards)
    )
    _check_roster(what, roster)
    return roster


def _own(what: str, agency: str, record: Any) -> Any:
    if record.agency != agency:
        raise Untrusted(f"{what}: a record of {record.agency}", code="foreign-path")
    return record


def _ordinal(what: str, name: str) -> int:
    digits = name[1:]
    if not digits.isascii() or not digits.isdecimal() or digits.startswith("0") or len(digits) > 5:
        raise Untrusted(f"{what}: there is no path {name[:60]!a}", code="foreign-path")
    return int(digits)


def _check_roster(what: str, roster: Roster) -> None:
    """No key twice, none that is revoked, no device that is gone."""
    revoked = {key for stone in roster.tombstones for key in stone.keys}
    gone = {stone.device for stone in roster.tombstones if stone.final}
    hint = "make fresh keys for every device, under a name not used before"
    seen: set[bytes] = set()
    for record in roster.devices.values():
        for key in (*record.hashes(None), record.inbox):
            if key in revoked:
                raise Untrusted(f"{what}: {record.device} comes with a revoked key", code="tombstoned", hint=hint)
            if key in seen:
                raise Untrusted(f"{what}: {record.device} has another device's key", code="duplicate-key", hint=hint)
            seen.add(key)
        if record.device in gone:
            raise Untrusted(f"{what}: {record.device} was revoked", code="tombstoned", hint=hint)
