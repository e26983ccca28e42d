"""The trust view: who is admitted, as one frozen value.

    View.bootstrap(root 1) ── apply(publication) ──► View ── apply(publication) ──► View …

Every client and the relay replay the one trust log in order; equal positions mean equal views. ``apply`` either gives
the next view or raises and leaves the old one as it was; why it refuses is in ``workflow``. It has no ``now``: a
publication's verdict is the same for everyone at any time, and a refused one is skipped by all alike (``skip``). Time
comes in where something is to be done: ``may_admit``, ``may_send``, ``check_fresh``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final, Protocol, Self

from securechan.codec import U64, Struct, fixed, opaque, text, vec
from securechan.errors import Malformed, Untrusted
from securechan.trust import document as doc
from securechan.trust import freshness, names, strict, workflow
from securechan.trust.contents import ONLINE, RootContents, Signatories, agency_of
from securechan.trust.document import Document
from securechan.trust.freshness import Expiry, Permission
from securechan.trust.records import (
    AgencyRecord,
    CommunityBinding,
    DeviceRecord,
    Policy,
    RelayRecord,
    Tombstone,
)
from securechan.trust.workflow import Held, Roots

_NO_HASH: Final = bytes(48)


class PositionLike(Protocol):
    """A place in the trust log."""

    @property
    def sequence(self) -> int:
        """Of the entry."""

    @property
    def chain(self) -> bytes:
        """The chain value after it, 48 bytes."""


class Place(Struct):
    """A position as the view keeps it in the vault."""

    sequence: U64
    chain: Annotated[bytes, fixed(48)]


class SavedDocument(Struct):
    """One document, byte for byte."""

    role: Annotated[str, text(128)]
    content: Annotated[bytes, opaque(strict.MAX_DOCUMENT)]


class _Saved(Struct):
    place: Place
    roots: Annotated[tuple[SavedDocument, ...], vec((1 << 30) - 1)]
    documents: Annotated[tuple[SavedDocument, ...], vec((1 << 30) - 1)]


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency: its record, and who signs for it. ``version`` and ``roster_version`` are 0 before it published."""

    record: AgencyRecord
    authority: Signatories
    roster: Signatories | None
    version: int
    roster_version: int

    @property
    def name(self) -> str:
        """``"cert-hr"``."""
        return self.record.agency


@dataclass(frozen=True, slots=True)
class _Index:
    """What queries look up; made again only when documents other than snapshot and timestamp change."""

    agencies: Mapping[str, Agency]
    devices: Mapping[str, DeviceRecord]
    by_agency: Mapping[str, tuple[DeviceRecord, ...]]
    by_officer: Mapping[str, tuple[DeviceRecord, ...]]
    by_key: Mapping[bytes, DeviceRecord]
    revoked: Mapping[bytes, Tombstone]
    gone: Mapping[str, Tombstone]


@dataclass(frozen=True, slots=True)
class View:
    """The state of trust at a position. Equal if its position and documents are."""

    root_id: bytes
    position: PositionLike
    roots: Roots = field(repr=False)
    held: Held = field(repr=False)
    _index: _Index = field(repr=False, compare=False)

    # --------------------------------------------------------------------------------------------------- its history

    @classmethod
    def bootstrap(cls, root: bytes, *, root_id: bytes | None = None, position: PositionLike | None = None) -> Self:
        """The view before the first publication, from root version 1. ``root_id`` (48 bytes) is what an invite or
        the relay's record says; where it is given, nothing else is believed. Raises Untrusted, Malformed."""
        first = workflow.first_root(root)
        if root_id is not None and first.digest != root_id:
            raise Untrusted(
                "this is the root of another federation",
                code="wrong-root",
                hint="check the invite: its root hash is not that of the relay's federation",
            )
        place = Place(0, _NO_HASH) if position is None else position
        return cls(first.digest, place, (first,), MappingProxyType({}), _index({}))

    def apply(self, documents: Iterable[tuple[str, bytes]], *, position: PositionLike) -> View:
        """The view after a publication that stands at ``position``. Raises Untrusted (codes: ``workflow``), Malformed,
        Invalid; then this view goes on as it is."""
        roots, held = workflow.step(self.roots, self.held, documents)
        return View(self.root_id, position, roots, held, self._index_after(roots, held))

    def _index_after(self, roots: Roots, held: Held) -> _Index:
        offline = {role: document for role, document in held.items() if role not in ONLINE}
        before = {role: document for role, document in self.held.items() if role not in ONLINE}
        return self._index if offline == before and roots == self.roots else _index(held)

    def skip(self, position: PositionLike) -> View:
        """The view after a publication that ``apply`` refused: only the position moves."""
        return View(self.root_id, position, self.roots, self.held, self._index)

    def encode(self) -> bytes:
        """For the vault; `decode` verifies it all again."""
        place = Place(self.position.sequence, self.position.chain)
        roots = tuple(SavedDocument(root.role, root.content) for root in self.roots)
        return _Saved(place, roots, tuple(SavedDocument(d.role, d.content) for d in self.held.values())).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises Malformed, Invalid, Untrusted."""
        saved = _Saved.decode(data)
        if not saved.roots:
            raise Malformed("a trust view without a root")
        first = workflow.first_root(saved.roots[0].content)
        roots = (first, *(doc.parse("root", root.content) for root in saved.roots[1:]))
        held = MappingProxyType({d.role: doc.parse(d.role, d.content) for d in saved.documents})
        workflow.check_all(roots, held)
        view = cls(first.digest, saved.place, roots, held, _index(held))
        if view.encode() != data:  # a document twice, or under another's name
            raise Malformed("a trust view in another form than its own")
        return view

    # ------------------------------------------------------------------------------------------------- the federation

    @property
    def started(self) -> bool:
        """Whether anything has been published."""
        return bool(self.held)

    @property
    def root_version(self) -> int:
        return self.roots[-1].version

    @property
    def version(self) -> int:
        """The snapshot's; 0 before the first publication."""
        return self.held["snapshot"].version if self.held else 0

    @property
    def policy(self) -> Policy:
        """The federation's policy. Raises Untrusted before the first publication, as do all that follow from it."""
        return workflow.federation(self.held).policy

    @property
    def relays(self) -> Mapping[str, RelayRecord]:
        """By name."""
        return workflow.federation(self.held).relays

    @property
    def publisher(self) -> RelayRecord | None:
        """The one relay that signs snapshot and timestamp."""
        return next((relay for relay in self.relays.values() if relay.publisher), None)

    @property
    def communities(self) -> Mapping[str, CommunityBinding]:
        """By name."""
        return workflow.federation(self.held).communities

    @property
    def agencies(self) -> Mapping[str, Agency]:
        """By name; empty before the first publication."""
        return self._index.agencies

    def agency(self, name: str) -> Agency:
        """Raises Untrusted where the federation has no such agency."""
        found = self.agencies.get(name)
        if found is None:
            raise Untrusted(
                f"{name[:60]!a} is no agency of this federation",
                code="unknown-agency",
                hint="check the name; a new agency is admitted by the federation's administrators",
            )
        return found

    def document(self, role: str) -> Document | None:
        """The document that stands for ``role``."""
        return self.roots[-1] if role == "root" else self.held.get(role)

    def documents(self) -> tuple[Document, ...]:
        """All that stand: the newest root first, without those of agencies that left."""
        agencies = self.agencies
        return (
            self.roots[-1],
            *(d for d in self.held.values() if (agency := agency_of(d.role)) is None or agency in agencies),
        )

    def signatories(self, role: str) -> Signatories:
        """Who signs for ``role``. Raises Untrusted where there is no such role."""
        root = self.roots[-1].contents
        agency = agency_of(role)
        found: Signatories | None
        if agency is None:
            found = root.roles.get(role) if isinstance(root, RootContents) else None
        else:
            member = self.agency(agency)
            found = member.authority if role == agency else member.roster
        if found is None:
            raise Untrusted(f"nobody signs for {role} yet", code="unknown-role")
        return found

    def office(self, role: str, key_id: str) -> bytes:
        """The public key (composite) of a key holder of ``role``, who may read and publish trust. Raises Untrusted."""
        public = self.signatories(role).keys.get(key_id) if role not in {"root", *ONLINE} else None
        if public is None:
            raise Untrusted(
                f"{key_id[:16]!a} is no key of {role}", code="unknown-key", hint="the key may have been rotated"
            )
        return public

    # ----------------------------------------------------------------------------------------------------- the devices

    def find(self, name: str) -> DeviceRecord | None:
        """The device ``"agency/device"``, if it is listed."""
        return self._index.devices.get(name)

    def device(self, name: str) -> DeviceRecord:
        """The device ``"agency/device"``. Raises Untrusted: ``revoked`` or ``unknown-device``."""
        record = self._index.devices.get(name)
        if record is None:
            stone = self._index.gone.get(name)
            if stone is not None:
                raise Untrusted(
                    f"{name} was revoked ({stone.reason})", code="revoked", hint="enrol a new device under a new name"
                )
            raise Untrusted(
                f"{name[:120]!a} is no device of this federation", code="unknown-device", hint="sync, or check the name"
            )
        return record

    def devices(self, agency: str | None = None) -> tuple[DeviceRecord, ...]:
        """Listed devices, of one agency or all."""
        return tuple(self._index.devices.values()) if agency is None else self._index.by_agency.get(agency, ())

    def devices_of(self, address: str) -> tuple[DeviceRecord, ...]:
        """Listed devices of ``"officer@agency"``."""
        return self._index.by_officer.get(address, ())

    def officers(self, agency: str | None = None) -> tuple[str, ...]:
        """Addresses of officers with a listed device, in order."""
        return tuple(sorted({record.address for record in self.devices(agency)}))

    def by_key(self, key: bytes) -> DeviceRecord | None:
        """The listed device that has a signature key with this hash."""
        return self._index.by_key.get(key)

    def tombstoned(self, key: bytes) -> Tombstone | None:
        """The tombstone of a signature key's hash."""
        return self._index.revoked.get(key)

    def revoked(self, name: str) -> Tombstone | None:
        """The tombstone of a device ``"agency/device"`` that is gone."""
        return self._index.gone.get(name)

    def tombstones(self, agency: str) -> tuple[Tombstone, ...]:
        """An agency's tombstones, in the order of revocation."""
        roster = workflow.rosters(self.held).get(agency) if self.held else None
        return () if roster is None else roster.tombstones

    def cards(self, agency: str) -> Mapping[str, bytes]:
        """Sealed contact cards by officer."""
        roster = workflow.rosters(self.held).get(agency) if self.held else None
        return {} if roster is None else roster.cards

    def roster_version(self, agency: str) -> int:
        """0 before the agency's first roster."""
        found = self.held.get(names.roster_role(agency))
        return 0 if found is None else found.version

    def roster_hash(self, agency: str) -> bytes:
        """SHA-384 of the roster document; zeros before the first."""
        found = self.held.get(names.roster_role(agency))
        return _NO_HASH if found is None else found.digest

    # ------------------------------------------------------------------------------------------------------------ time

    def check_fresh(self, now: int) -> tuple[Expiry, ...]:
        """How fresh each document is at ``now``, what expires first, first."""
        policy = self.policy
        found = (freshness.expiry(document, policy, now) for document in self.documents())
        return tuple(sorted(found, key=lambda expiry: (expiry.expires, expiry.role)))

    def require_fresh(self, now: int) -> None:
        """Raises Untrusted ``frozen`` where the publisher has stopped renewing, or somebody holds it back."""
        freshness.allows((self.held["timestamp"],), self.policy, now, grace=False).require()

    def _chain(self, agency: str) -> tuple[Document, ...]:
        roles = ("timestamp", "snapshot", "targets", agency, names.roster_role(agency))
        return (self.roots[-1], *(self.held[role] for role in roles if role in self.held))

    def may_admit(self, now: int, agency: str, device: str | None = None) -> Permission:
        """Whether something new of ``agency`` (a device, given its name) may be taken in: nothing may on expiry."""
        return self._may(now, agency, device, grace=False)

    def may_send(self, now: int, device: str) -> Permission:
        """Whether one may go on sending to ``"agency/device"``, in grace too (then ``reason`` says why to worry)."""
        return self._may(now, device.partition("/")[0], device, grace=True)

    def _may(self, now: int, agency: str, device: str | None, *, grace: bool) -> Permission:
        try:
            if names.roster_role(self.agency(agency).name) not in self.held:
                raise Untrusted(f"{agency} has published no roster", code="unknown-agency", hint="wait for it")
            record = None if device is None else self.device(device)
        except Untrusted as error:
            return Permission(False, error.code, error.message, error.hint)
        if record is not None and record.not_after is not None and record.not_after <= now:
            return Permission(
                False, "expired", f"{record.name} was admitted for a time that is over", "ask its administrator"
            )
        return freshness.allows(self._chain(agency), self.policy, now, grace=grace)


def _index(held: Held) -> _Index:
    agencies: dict[str, Agency] = {}
    devices: dict[str, DeviceRecord] = {}
    by_agency: dict[str, tuple[DeviceRecord, ...]] = {}
    by_officer: dict[str, tuple[DeviceRecord, ...]] = {}
    by_key: dict[bytes, DeviceRecord] = {}
    revoked: dict[bytes, Tombstone] = {}
    gone: dict[str, Tombstone] = {}
    if held:
        federation = workflow.federation(held)
        for name, record in federation.agencies.items():
            contents = workflow.agency_contents(held, name)
            agencies[name] = Agency(
                record,
                federation.signatories[name],
                None if contents is None else contents.roster,
                0 if name not in held else held[name].version,
                0 if names.roster_role(name) not in held else held[names.roster_role(name)].version,
            )
        for agency, roster in workflow.rosters(held).items():
            by_agency[agency] = tuple(roster.devices.values())
            for device in roster.devices.values():
                devices[device.name] = device
                by_officer[device.address] = (*by_officer.get(device.address, ()), device)
                by_key.update(dict.fromkeys(device.hashes(None), device))
        for stone in workflow.all_tombstones(held):
            revoked.update(dict.fromkeys(stone.keys, stone))
            if stone.final:
                gone[stone.name] = stone
    return _Index(agencies, devices, by_agency, by_officer, by_key, revoked, gone)
