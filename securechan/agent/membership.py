"""Who belongs and who is there: the difference, and whose turn it is to settle it.

Membership is declared (the policy, and the trust view) and then reconciled: enrolment, replacement, revocation and
healing are this one function. Every member computes it for itself; those who may act are put in an order that nobody
chose, and number k waits k × 2 seconds and acts only if the difference still stands.

    seats + policy + trust ──► Difference(adds, removes, quarantined, waiting)
    SHA-256(leaf ‖ epoch ‖ change) ──► place in the order

*Quarantined* is a leaf that trust does not admit. One group has one key, so "not written to" can only mean that
nothing is written until the leaf is out: payloads wait in the outbox, and the Remove is committed as soon as it is
somebody's turn. It is not bounded in time: a message that would be readable by a stranger is worse than a late one.
Whoever waits can remove the leaf themselves at their turn, so only a relay that refuses every commit can prolong it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from securechan.agent.policy import Policy, Seat, agency_of
from securechan.trust.records import DeviceRecord
from securechan.trust.records import key_hash as _key_hash
from securechan.trust.view import View

TURN: Final = 2  # seconds between one member's turn and the next
MOST_AT_ONCE: Final = 64  # adds and removes in one commit


key_hash = lru_cache(4096)(_key_hash)  # the same few keys are looked at with every entry


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the log of a conversation has said that bears on membership. Devices and officers by name."""

    confirmed: Collection[tuple[str, bytes]] = ()  # (device, key hash) that somebody entitled vouched for
    officers: Collection[str] = ()  # who ever had a leaf
    leaving: Collection[str] = ()  # devices that left
    returning: Collection[str] = ()  # devices that asked us to be added again
    buried: frozenset[bytes] = frozenset()  # key hashes that a roster revokes which the trust log doesn't have yet
    intruders: Collection[str] = ()  # devices that a commit brought in though nobody had vouched for them


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to change. ``removes`` includes what is quarantined."""

    adds: tuple[str, ...] = ()
    removes: tuple[int, ...] = ()
    quarantined: frozenset[int] = frozenset()
    waiting: tuple[str, ...] = ()  # devices that somebody has to vouch for first

    def __bool__(self) -> bool:
        return bool(self.adds or self.removes)

    def change(self) -> bytes:
        """The most urgent change: what the order of turns is drawn from, so that one commit can settle all."""
        if self.removes:
            return b"remove" + min(self.removes).to_bytes(4, "big")
        return b"add" + min(self.adds).encode() if self.adds else b""


def admitted(seat: Seat, view: View, now: int, suite: str = "hybrid") -> bool:
    """Whether trust knows this leaf as what it says it is: device, officer and key, and not past its time."""
    record = view.find(seat.device)
    if record is None or record.address != seat.officer:
        return False
    if record.not_after is not None and record.not_after <= now:
        return False
    digest = key_hash(seat.key)
    return digest in record.hashes(suite) and view.tombstoned(digest) is None


def revoked(seat: Seat, view: View, now: int) -> str:
    """Why trust, which knew this leaf, admits it no longer: a tombstone's reason, ``expired``, ``agency-left``; empty
    where trust has nothing of the kind to say of it."""
    stone = view.tombstoned(key_hash(seat.key))
    if stone is not None and (stone.name, f"{stone.officer}@{stone.agency}") == (seat.device, seat.officer):
        return stone.reason
    record = view.find(seat.device)
    if record is None:
        agency = agency_of(seat.device)
        return "agency-left" if view.roster_version(agency) and agency not in view.agencies else ""
    listed = record.address == seat.officer and key_hash(seat.key) in record.hashes()
    return "expired" if listed and record.not_after is not None and record.not_after <= now else ""


def belongs(record: DeviceRecord, policy: Policy) -> bool:
    """Whether the policy names this device."""
    if policy.by_officer:
        return record.address in policy.officers
    return any(
        scope.agency == record.agency and (not scope.roles or not record.roles.isdisjoint(scope.roles))
        for scope in policy.agencies
    )


def declared(policy: Policy, view: View) -> dict[str, DeviceRecord]:
    """Every device that the policy names, by name."""
    found: dict[str, DeviceRecord] = {}
    if policy.by_officer:
        for officer in policy.officers:
            found.update((record.name, record) for record in view.devices_of(officer))
    else:
        for scope in policy.agencies:
            found.update((each.name, each) for each in view.devices(scope.agency) if belongs(each, policy))
    return found


def differences(
    seats: Mapping[int, Seat], policy: Policy, view: View, now: int, about: Circumstances, suite: str = "hybrid"
) -> Difference:
    """What has to change for the tree to be what is declared."""
    wanted = declared(policy, view)
    removes: set[int] = set()
    quarantined: set[int] = set()
    present: set[str] = set()
    for leaf, seat in seats.items():
        if not admitted(seat, view, now, suite) or key_hash(seat.key) in about.buried:
            quarantined.add(leaf)
            removes.add(leaf)
        elif seat.device not in wanted or seat.device in about.leaving or seat.device in about.returning:
            removes.add(leaf)
        else:
            present.add(seat.device)
        if (
            policy.by_officer
            and seat.device in about.intruders
            and (seat.device, key_hash(seat.key)) not in about.confirmed
        ):
            quarantined.add(leaf)
            removes.add(leaf)
    adds: list[str] = []
    waiting: list[str] = []
    for name, record in sorted(wanted.items()):
        if name in present or (name in about.leaving and name not in about.returning):
            continue
        if not view.may_admit(now, record.agency, name) or not about.buried.isdisjoint(record.hashes(suite)):
            continue
        if policy.by_officer and not _vouched(record, about, suite):
            waiting.append(name)
        else:
            adds.append(name)
    return Difference(
        tuple(adds[:MOST_AT_ONCE]),
        tuple(sorted(removes)[:MOST_AT_ONCE]),
        frozenset(quarantined),
        tuple(waiting),
    )


def _vouched(record: DeviceRecord, about: Circumstances, suite: str) -> bool:
    """An officer's first device comes with the officer; every other one needs somebody who vouches for its key."""
    if record.address not in about.officers:
        return True
    return any((record.name, digest) in about.confirmed for digest in record.hashes(suite))


def order(seats: Mapping[int, Seat], out: Collection[int], epoch: int, change: bytes) -> tuple[int, ...]:
    """The leaves that may act, first the one whose turn it is first."""

    def place(leaf: int) -> bytes:
        return hashlib.sha256(leaf.to_bytes(4, "big") + epoch.to_bytes(8, "big") + change).digest()

    return tuple(sorted((leaf for leaf in seats if leaf not in out), key=place))


def wait(seats: Mapping[int, Seat], own: int, out: Collection[int], epoch: int, change: bytes) -> int | None:
    """Seconds that ``own`` waits before it acts, None where it may not."""
    places = order(seats, out, epoch, change)
    return places.index(own) * TURN if own in places else None
