"""Rosters told inside a conversation: what keeps a relay from holding a revocation back.

An administrator's client posts the signed roster that revokes somebody in every conversation that it shares. Whoever
reads it and hasn't seen it in the trust log yet treats the keys that it buries as revoked at once; the view itself
moves with the log alone, since positions must mean the same for everyone.
"""

from __future__ import annotations

from typing import Final

from securechan.agent import sending
from securechan.agent.events import AlarmKind
from securechan.agent.policy import Seat, agency_of
from securechan.agent.state import BURIED, Standing
from securechan.agent.turn import Turn
from securechan.bulletin.payload import Control, ControlKind, RosterDocument, RosterNotice
from securechan.errors import SecurechanError, Untrusted
from securechan.trust.contents import Roster
from securechan.trust.document import parse, verify
from securechan.trust.names import ROSTER_SUFFIX
from securechan.trust.records import Tombstone
from securechan.trust.view import View
from securechan.wire.frames import TrustDocument

MOST_BURIED: Final = 1000
LARGEST: Final = 900 << 10  # bytes of documents that are told in a conversation


def tell(turn: Turn, documents: tuple[TrustDocument, ...]) -> None:
    """Post published rosters in the conversations that their agency's devices share with us."""
    rosters = tuple(
        RosterDocument(each.role, each.content)
        for each in documents
        if each.role.endswith(ROSTER_SUFFIX) and len(each.content) <= LARGEST
    )
    agencies = {each.role.removesuffix(ROSTER_SUFFIX) for each in rosters}
    if not rosters or sum(len(each.content) for each in rosters) > LARGEST:
        return
    for conversation in list(turn.conversations()):
        if conversation.standing is Standing.MEMBER and agencies & {
            seat.agency for seat in turn.seats(conversation.topic).values()
        }:
            try:
                sending.queue(turn, conversation.topic, Control(ControlKind.ROSTER, RosterNotice(rosters)))
            except SecurechanError as error:
                turn.alarm(AlarmKind.FULL, error.message, topic=conversation.topic)


def told(turn: Turn, topic: bytes, sequence: int, seat: Seat, notice: RosterNotice) -> None:
    """Somebody posted signed rosters: those that are newer than what the trust log gave us count at once."""
    for document in notice.documents:
        agency = document.role.removesuffix(ROSTER_SUFFIX)
        if not document.role.endswith(ROSTER_SUFFIX) or agency_of(seat.device) != agency:
            continue
        try:
            stones = foretold(turn.view, agency, document)
        except SecurechanError as error:
            text = f"{seat.device} posted a roster that trust refuses: {error.message}"
            turn.alarm(AlarmKind.BAD_ROSTER, text, topic=topic, who=seat.device, entry=sequence)
            continue
        for stone in stones:
            _bury(turn, topic, stone, seat, sequence)


def foretold(view: View, agency: str, document: RosterDocument) -> tuple[Tombstone, ...]:
    """The tombstones of a roster that is newer than what the trust log gave us, if its agency signed it; only those
    over keys that trust lists for that very device, since an agency revokes its own and nobody else's. Raises
    `Untrusted`, `Malformed`, `Invalid`."""
    delegator, held = view.document(agency), view.document(document.role)
    if delegator is None:
        raise Untrusted(f"{agency} is no agency of this federation", code="unknown-agency")
    roster = parse(document.role, document.content)
    verify(delegator, roster)
    if not isinstance(roster.contents, Roster) or (held is not None and roster.version <= held.version):
        return ()
    return tuple(stone for stone in roster.contents.tombstones if _its_own(view, stone))


def _its_own(view: View, stone: Tombstone) -> bool:
    record = view.find(stone.name)
    return record is not None and set(stone.keys) <= set(record.hashes(None))


def _bury(turn: Turn, topic: bytes, stone: Tombstone, seat: Seat, sequence: int) -> None:
    fresh = [each for each in stone.keys if turn.view.tombstoned(each) is None]
    fresh = [each for each in fresh if turn.rows.get(BURIED, each.hex()) is None]
    if not fresh or len(turn.rows.all(BURIED)) + len(fresh) > MOST_BURIED:
        return
    for each in fresh:
        turn.rows.put(BURIED, each.hex(), each)
    turn.everything = True
    text = f"{stone.name} is revoked ({stone.reason}); the relay has not published that yet"
    turn.alarm(AlarmKind.REVOKED, text, topic=topic, who=seat.device, entry=sequence)


def settle(turn: Turn) -> None:
    """What the trust log says by now needs no second memory."""
    for row, digest in turn.rows.items(BURIED):
        if turn.view.tombstoned(digest) is not None:
            turn.rows.drop(BURIED, row)
