"""Reading the trust log: every publication, in order, into the view; what the view refuses is skipped by all alike.

What follows from a change is done at once and everywhere: who is revoked is taken out of conversations in turns,
what our own record says decides which of our keys speaks, and entries that waited for this trust are read on.
"""

from __future__ import annotations

from securechan.agent import inbox, joining, reading, rosters, rotation
from securechan.agent.events import AlarmKind, TrustChanged
from securechan.agent.state import KEYS, ONLY, TRUST, TRUST_LOG, Trust
from securechan.agent.turn import Turn
from securechan.errors import Invalid, SecurechanError
from securechan.trust.records import DeviceRecord, key_hash
from securechan.trust.view import View
from securechan.wire.chain import advance
from securechan.wire.frames import Entries, Entry, EntryKind, Halt, Publication


def on_entries(turn: Turn, frame: Entries) -> None:
    """A run of publications."""
    before = turn.view
    for entry in frame.entries:
        if entry.sequence > turn.trust_position.sequence:
            _read(turn, entry)
    if turn.view is not before:
        _changed(turn, before)
    if frame.halt is Halt.TAIL and not turn.session.trust_synced:
        turn.set_session(trust_synced=True)
        turn.everything = True
        inbox.start(turn)
    if turn.view is not before:
        inbox.go_on(turn)
        for topic in list(turn.session.live):
            reading.go_on(turn, topic)


def _read(turn: Turn, entry: Entry) -> None:
    view = turn.view
    position = advance(turn.trust_position, entry.kind, entry.entry_id, entry.sequence, entry.body)
    try:
        publication = Publication.decode(entry.body)
        if entry.kind is not EntryKind.TRUST:
            raise Invalid("an entry of another kind in the trust log")
        documents = [(each.role, each.content) for each in publication.documents]
        if not view.started and documents[:1] == [("root", view.roots[0].content)]:
            documents = documents[1:]  # the trust topic opens with the root that we were enrolled under
        following = view.apply(documents, position=position)
    except SecurechanError as error:
        following = view.skip(position)
        text = f"publication {entry.sequence} is refused: {error.message}"
        turn.alarm(AlarmKind.TRUST_REFUSED, text, who=turn.session.relay, entry=entry.sequence)
    turn.rows.put(TRUST, ONLY, Trust(following))
    turn.rows.put(TRUST_LOG, f"{entry.sequence:016d}", position.chain)


def _changed(turn: Turn, before: View) -> None:
    after = turn.view
    old, new = {each.name for each in before.devices()}, {each.name for each in after.devices()}
    revoked, admitted = tuple(sorted(old - new)), tuple(sorted(new - old))
    turn.emit(TrustChanged(after.version, after.position.sequence, revoked[:200], admitted[:200]))
    if turn.me.device in revoked:
        turn.alarm(AlarmKind.REVOKED, "this device was revoked by its agency", who=turn.me.device)
    mine = after.find(turn.me.device)
    if mine is not None and mine != before.find(turn.me.device):
        _check_own(turn, mine)
    joining.bury(turn, revoked)
    rosters.settle(turn)
    rotation.on_trust(turn)
    turn.everything = True


def _check_own(turn: Turn, record: DeviceRecord) -> None:
    """What our agency lists for us must be of our making: who holds another key listed here speaks in our name."""
    made = {key_hash(key.public) for key in turn.rows.all(KEYS).values()}
    if not made.issuperset(record.hashes(None)) or record.inbox != turn.me.inbox_public:
        text = f"our agency's roster lists {record.name} with a key that this device did not make: tell other agencies"
        turn.alarm(AlarmKind.BAD_ROSTER, text, who=record.name)
