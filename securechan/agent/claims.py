"""What a sender says of the world as it sealed: which log it had read, and which trust.

    authenticated data of every MLS message = sequence ‖ H(sequence) ‖ trust sequence ‖ trust chain value    112 bytes

It is in the clear to the relay, and nothing else ever goes in. A claim that doesn't fit our own log is exactly that, a
claim by its sender: an alarm that names the sender and the entry, the message marked, and the conversation goes on.
Claims from two agencies, or a signature of the relay that convicts it, hold our sending until a person decides.
"""

from __future__ import annotations

from dataclasses import replace

from securechan.agent import past
from securechan.agent.events import AlarmKind, Held
from securechan.agent.policy import Seat
from securechan.agent.state import CONVERSATIONS, TRUST_LOG, Conversation, Hold
from securechan.agent.turn import Turn
from securechan.codec import Struct
from securechan.errors import Invalid, SecurechanError
from securechan.wire.chain import Position
from securechan.wire.frames import TRUST_TOPIC, Heads
from securechan.wire.heads import verify_heads


class Claim(Struct):
    """The authenticated data of an MLS message."""

    log: Position
    trust: Position


def ours(turn: Turn, conversation: Conversation) -> bytes:
    """What we say now."""
    return Claim(conversation.cursor, turn.trust_position).encode()


def stands_in_trust(turn: Turn, claimed: Position, before: Position) -> None:
    """The void rule's part on trust: the position stands in the trust log and isn't below that of the commit before.
    Raises `Invalid`."""
    if claimed.sequence < before.sequence:
        raise Invalid("made on a trust position below that of the commit before", rule="void rule: trust")
    if claimed != before and chain_at(turn, claimed.sequence) != claimed.chain:
        raise Invalid("made on a trust position that the trust log does not have", rule="void rule: trust")


def chain_at(turn: Turn, sequence: int) -> bytes | None:
    """The trust log's chain value after ``sequence``."""
    if sequence == turn.trust_position.sequence:
        return turn.trust_position.chain
    return turn.rows.get(TRUST_LOG, f"{sequence:016d}")


def hear(turn: Turn, conversation: Conversation, sequence: int, data: bytes, seat: Seat) -> bool:
    """Hold a sender's claim about the log against ours. Whether the message is to be marked."""
    try:
        claim = Claim.decode(data)
    except SecurechanError:
        turn.alarm(
            AlarmKind.CHAIN_CLAIM,
            f"{seat.device} sent authenticated data of another form",
            topic=conversation.topic,
            who=seat.device,
            entry=sequence,
        )
        return True
    if _agrees(turn, conversation, claim.log, sequence):
        return False
    turn.alarm(
        AlarmKind.CHAIN_CLAIM,
        f"{seat.device} claims another history up to entry {claim.log.sequence}",
        topic=conversation.topic,
        who=seat.device,
        entry=sequence,
    )
    _suspect(turn, conversation.topic, seat.agency)
    return True


def _agrees(turn: Turn, conversation: Conversation, claimed: Position, sequence: int) -> bool:
    """What is older than our memory can't be judged, and isn't held against anyone."""
    if claimed.sequence >= sequence:
        return False
    known = past.chains(turn.rows, conversation)
    if claimed.sequence in known:
        return known[claimed.sequence] == claimed.chain
    return claimed.sequence < next(iter(known))


def _suspect(turn: Turn, topic: bytes, agency: str) -> None:
    conversation = turn.conversation(topic)
    claims = tuple(sorted({*conversation.claims, agency}))
    if len(claims) >= 2 and conversation.hold is Hold.NO:
        turn.emit(Held(topic, f"members of {' and '.join(claims[:4])} claim another history"))
        turn.put(replace(conversation, claims=claims[:16], hold=Hold.CLAIMS))
    elif claims != conversation.claims:
        turn.put(replace(conversation, claims=claims[:16]))


def on_heads(turn: Turn, heads: Heads) -> None:
    """Signed heads: what convicts the relay where they differ from what it has sent us."""
    relay = turn.view.relays.get(heads.relay) if turn.view.started else None
    if relay is None:
        return
    for public in relay.online.values():
        try:
            verify_heads(heads, public, heads.relay)
            break
        except SecurechanError:
            continue
    else:
        turn.alarm(AlarmKind.FORK, f"heads of {heads.relay} are not signed by its online key", who=heads.relay)
        return
    for leaf in heads.leaves:
        if leaf.topic == TRUST_TOPIC:
            _resolve(turn, heads.time, leaf.sequence)
            mine = chain_at(turn, leaf.sequence)
            if mine is not None and mine != leaf.chain:
                turn.alarm(
                    AlarmKind.FORK,
                    f"{heads.relay} signed another trust log than it sent",
                    who=heads.relay,
                    entry=leaf.sequence,
                )
            continue
        conversation = turn.rows.get(CONVERSATIONS, leaf.topic.hex())
        if conversation is None:
            continue
        known = past.chains(turn.rows, conversation)
        if known.get(leaf.sequence, leaf.chain) != leaf.chain and conversation.hold is not Hold.FORK:
            turn.alarm(
                AlarmKind.FORK,
                f"{heads.relay} signed another history than it sent",
                topic=leaf.topic,
                who=heads.relay,
                entry=leaf.sequence,
            )
            turn.emit(Held(leaf.topic, f"{heads.relay} signed two histories"))
            turn.put(replace(conversation, hold=Hold.FORK))


def _resolve(turn: Turn, time: int, head: int) -> None:
    """A head that is newer than a doubtful commit says whether the trust position that it names can exist."""
    doubts = {
        topic: (entry, head if time > entry.time else known) for topic, (entry, known) in turn.session.doubts.items()
    }
    turn.set_session(doubts=doubts)
