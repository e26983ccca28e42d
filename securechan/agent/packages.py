"""Key packages: offers to be added, kept in stock at the relay, their private halves here.

    stock: `STOCK` that are used once each, and one last resort that may be used again while the stock is empty

Each lives 28 days and is made anew a week before; a private half goes when its Welcome was used (the last resort's a
while after it was replaced) or when nobody can use it any more. A new signature key means new packages: the old are
purged at the relay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from securechan.agent.asks import Counting, Stocking
from securechan.agent.founding import FOUNDING
from securechan.agent.policy import POLICY, Officer
from securechan.agent.state import ME, ONLY, PACKAGES, Package
from securechan.agent.turn import Turn
from securechan.errors import Malformed
from securechan.mls.keypackage import DEFAULT_LIFETIME, KeyPackage, new_key_package
from securechan.mls.message import MLSMessage
from securechan.mls.nodes import Capabilities
from securechan.mls.registry import CredentialType, ProtocolVersion
from securechan.trust.records import key_hash
from securechan.wire.frames import CountKeyPackages, PutKeyPackages

STOCK: Final = 20
LOW: Final = 10  # refill below
BATCH: Final = 10  # made and sent at once
EVERY: Final = 3600  # seconds between two looks at the relay's count
AHEAD: Final = 7 * 86400  # seconds before its end that a package is replaced
MARGIN: Final = 86400  # seconds beyond its end that a private half is kept, for Welcomes on their way


def capabilities(turn: Turn) -> Capabilities:
    """What our leaves say they can: our suite, and the extensions of a conversation's context."""
    return Capabilities((ProtocolVersion.MLS10,), (turn.me.suite,), (POLICY, FOUNDING), (), (CredentialType.BASIC,))


def look(turn: Turn) -> None:
    """Ask the relay how many are left, now and then; forget what can't be used any more. Where some of the stock are
    near their end, all of it is made anew: the relay counts them still, and hands them out first."""
    if not turn.able or turn.view.find(turn.me.device) is None:
        return
    if turn.session.stocked + EVERY <= turn.now:
        stock = [each for each in turn.rows.all(PACKAGES).values() if each.stored and not each.last_resort]
        if any(each.not_after <= turn.now + AHEAD for each in stock):
            renew_all(turn)
        for row, package in turn.rows.items(PACKAGES):
            if package.not_after + MARGIN < turn.now:
                turn.rows.drop(PACKAGES, row)
        turn.set_session(stocked=turn.now)
        turn.send(CountKeyPackages(turn.me.suite), Counting())
    turn.wake(turn.session.stocked + EVERY)


def counted(turn: Turn, left: int) -> None:
    """The relay has ``left``: fill up, and renew the last resort in time."""
    purge = bool(turn.me.purge)
    left = 0 if purge else left
    mine = key_hash(turn.signing.public)
    resort = any(
        each.last_resort and each.stored and each.key_hash == mine and each.not_after > turn.now + AHEAD
        for each in turn.rows.all(PACKAGES).values()
    )
    fresh = min(BATCH, STOCK - left) if left < LOW or purge else 0
    if not fresh and resort:
        return
    rows: list[str] = []
    wires: list[bytes] = []
    for _ in range(fresh):
        row, wire = _make(turn, last_resort=False)
        rows.append(row)
        wires.append(wire)
    last = None
    if purge or not resort:
        row, last = _make(turn, last_resort=True)
        rows.append(row)
    body = PutKeyPackages(turn.me.suite, int(purge), tuple(wires), last)
    turn.send(body, Stocking(tuple(rows), purge))


def _make(turn: Turn, *, last_resort: bool) -> tuple[str, bytes]:
    key = turn.signing
    bundle = new_key_package(
        turn.suite,
        turn.leaf_keys(key),
        now=turn.now,
        leaf_extensions=(Officer(turn.me.officer).extension(),),
        capabilities=capabilities(turn),
        last_resort=last_resort,
    )
    row = bundle.reference(turn.suite).hex()
    turn.rows.put(
        PACKAGES,
        row,
        Package(bundle.encode(), int(last_resort), turn.now + DEFAULT_LIFETIME, key_hash(key.public), 0, 0),
    )
    return row, MLSMessage.of(bundle.key_package).encode()


def stocked(turn: Turn, rows: tuple[str, ...], *, purge: bool) -> None:
    """The relay has these; with ``purge`` it has no others."""
    for row, package in turn.rows.items(PACKAGES):
        there = int(row in rows or (package.stored and not purge))
        if there != package.stored:
            turn.rows.put(PACKAGES, row, replace(package, stored=there))
    if purge:
        turn.rows.put(ME, ONLY, replace(turn.me, purge=0))
        turn.everything = True
    turn.set_session(stocked=turn.now - EVERY)  # look again at once, until the stock is full


def not_stocked(turn: Turn, rows: tuple[str, ...]) -> None:
    """The relay refused these: nobody can have them."""
    for row in rows:
        turn.rows.drop(PACKAGES, row)
    turn.set_session(stocked=turn.now)


def used(turn: Turn, row: str) -> None:
    """A Welcome has used this one: its private half goes, but for the last resort's."""
    package = turn.rows.get(PACKAGES, row)
    if package is None:
        return
    if package.last_resort:
        turn.rows.put(
            PACKAGES, row, replace(package, used=turn.now, not_after=min(package.not_after, turn.now + AHEAD))
        )
    else:
        turn.rows.drop(PACKAGES, row)
    turn.set_session(stocked=0)


def renew_all(turn: Turn) -> None:
    """All that were handed out are void: a new signature key, or keys that may have been copied."""
    turn.rows.put(ME, ONLY, replace(turn.me, purge=1))
    turn.set_session(stocked=0)


def strange(turn: Turn) -> None:
    """One was handed out that isn't here: the relay's stock is that of another state of this device, and whoever
    invites us next would meet the same. Make it anew, before anybody takes another; seldom, for anybody can say so."""
    if turn.session.restocked + EVERY <= turn.now and not turn.me.purge:
        turn.set_session(restocked=turn.now)
        renew_all(turn)
        counted(turn, 0)
        turn.set_session(stocked=turn.now)


def forget_all(turn: Turn) -> None:
    """Erase every private half and have the relay forget every package."""
    for row, _ in turn.rows.items(PACKAGES):
        turn.rows.drop(PACKAGES, row)
    renew_all(turn)


def parse(wire: bytes) -> KeyPackage:
    """A key package as it is handed out: an MLSMessage. Raises `Malformed`."""
    body = MLSMessage.decode(wire).body
    if not isinstance(body, KeyPackage):
        raise Malformed("not a key package")
    return body
