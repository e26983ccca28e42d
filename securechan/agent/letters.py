"""Letters: what goes from one device to another beside the conversations, sealed and signed.

    Letter ──sign (device key)──► SignedLetter ──HPKE, X-Wing, to each reader──► SealedLetter ──► the inbox

A letter says from whom, to whom, and on which trust position it was written, all under the signature: it can't be
passed on as if it were meant for somebody else, and a reader who hasn't heard of the sender yet knows what to wait for.
One that says the same to several names them all and is signed once, for to sign costs more than all the rest.

    WELCOME    an invitation, with what a joiner has to know beside it      RECEIPTS   receipts of bulletins, batched
    READD      "I can't follow: add me again"                              OPAQUE     for the user level: pending
    ASK_CONSENT, CONSENT   may a bulletin of yours be forwarded?                       rosters, approvals, reports
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from securechan.agent import blobs
from securechan.agent.asks import Delivering
from securechan.agent.events import AlarmKind
from securechan.agent.state import LETTERS, Conversation, Hash32, Joiner, LetterCopy, LetterOut, Name, Pending
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import Receipt
from securechan.bulletin.consent import AgencyName
from securechan.bulletin.payload import BlobRef
from securechan.codec import U32, U64, Enum8, Opaque, Struct, fixed, opaque, select, text, vec
from securechan.crypto.contexts import RECEIPT, REQUEST
from securechan.crypto.suite import HYBRID
from securechan.errors import SecurechanError, Untrusted
from securechan.trust.records import DeviceRecord, key_hash
from securechan.wire.chain import Position
from securechan.wire.frames import MAX_ENTRY, Deliver, inbox_topic

INFO: Final = b"securechan/1 letter"
MOST_LETTERS: Final = 2000
MOST_RECEIPTS: Final = 64  # in one letter
FOR: Final = 28 * 86400  # seconds that a letter is offered before it is given up


class LetterKind(Enum8):
    WELCOME = 1
    RECEIPTS = 2
    READD = 3
    OPAQUE = 4
    ASK_CONSENT = 5
    CONSENT = 6


class WelcomeLetter(Struct):
    """An invitation. ``base`` is the position of the commit that added the reader; the log is read from there on."""

    topic: Hash32
    base: Position
    trust: Position
    welcome: Opaque
    tree: Annotated[bytes, opaque(1 << 20)]
    blob: BlobRef | None  # the tree, where it is too large to travel here
    officers: Annotated[tuple[Name, ...], vec(1 << 18)]  # who ever had a leaf, where membership goes by officers
    leaving: Annotated[tuple[Name, ...], vec(1 << 18)]  # devices that left of their own will
    intruders: Annotated[tuple[Name, ...], vec(1 << 18)]  # devices in the tree for whom nobody has vouched


class ReceiptsLetter(Struct):
    receipts: Annotated[tuple[Receipt, ...], vec(1 << 15)]


class ReaddLetter(Struct):
    """``epoch`` is the last one that the sender was in."""

    topic: Hash32
    epoch: U64
    reason: Annotated[str, text(512)]


class OpaqueLetter(Struct):
    kind: Annotated[str, text(64)]
    content: Annotated[bytes, opaque(1 << 20)]


class AskConsentLetter(Struct):
    """May this be read in ``conversation``, which we call ``name`` and where these agencies are?"""

    bulletin: Annotated[str, text(32)]
    revision: U32
    digest: Annotated[bytes, fixed(48)]  # of its header
    conversation: Hash32
    name: Annotated[str, text(64)]
    agencies: Annotated[tuple[AgencyName, ...], vec(8 << 10)]
    reason: Annotated[str, text(255)]


class ConsentLetter(Struct):
    """The answer: a `SignedConsent`, or nothing for no."""

    bulletin: Annotated[str, text(32)]
    conversation: Hash32
    consent: Annotated[bytes, opaque(32 << 10)]


LetterBody = WelcomeLetter | ReceiptsLetter | ReaddLetter | OpaqueLetter | AskConsentLetter | ConsentLetter
CASES: Final[dict[LetterKind, type[LetterBody]]] = {
    LetterKind.WELCOME: WelcomeLetter,
    LetterKind.RECEIPTS: ReceiptsLetter,
    LetterKind.READD: ReaddLetter,
    LetterKind.OPAQUE: OpaqueLetter,
    LetterKind.ASK_CONSENT: AskConsentLetter,
    LetterKind.CONSENT: ConsentLetter,
}
_KIND: Final = {case: kind for kind, case in CASES.items()}
CONTEXTS: Final = {kind: RECEIPT if kind is LetterKind.RECEIPTS else REQUEST for kind in LetterKind}
"""What a letter of each kind is signed as: a receipt is evidence, and of nothing else."""


class Letter(Struct):
    sender: Name
    key: Annotated[bytes, fixed(48)]  # hash of the signature key that signed
    recipients: Annotated[tuple[Name, ...], vec(1 << 12)]
    trust: Position  # the sender's
    time: U64
    kind: LetterKind
    body: Annotated[LetterBody, select("kind", CASES)]


class SignedLetter(Struct):
    letter: Annotated[bytes, opaque(MAX_ENTRY)]
    signature: Annotated[bytes, opaque(8192)]


class SealedLetter(Struct):
    kem_output: Annotated[bytes, opaque(4096)]
    ciphertext: Annotated[bytes, opaque(MAX_ENTRY)]


# ---------------------------------------------------------------------------------------------------------- writing


def write(turn: Turn, to: Sequence[DeviceRecord], body: LetterBody, *, needs: tuple[bytes, ...] = ()) -> bool:
    """Sign a letter, seal it to each of these devices, and queue it. Whether there was room for it."""
    names = tuple(each.name for each in to)
    if len(turn.rows.all(LETTERS)) >= MOST_LETTERS:
        turn.alarm(AlarmKind.FULL, f"{MOST_LETTERS} letters wait to be delivered: one to {', '.join(names)} is lost")
        return False
    kind, key = _KIND[type(body)], turn.signer
    letter = Letter(turn.me.device, key_hash(key.public), names, turn.trust_position, turn.now, kind, body).encode()
    signed = SignedLetter(letter, HYBRID.signature.sign(key, CONTEXTS[kind], letter)).encode()
    copies = []
    for record in to:
        enc, sealed = HYBRID.hpke.seal(record.inbox, INFO, b"", signed)
        copies.append(LetterCopy(record.name, SealedLetter(enc, sealed).encode()))
    row = LetterOut(kind, tuple(copies), needs, turn.now)
    turn.rows.put(LETTERS, f"{turn.next_row()}{turn.random(24).hex()}", row)
    return True


def welcome(turn: Turn, conversation: Conversation, joiner: Joiner, pending: Pending, base: Position) -> None:
    """The Welcome of one joiner, released because the log has taken the commit."""
    record = turn.view.find(joiner.device)
    if record is None:
        return
    body = WelcomeLetter(
        conversation.topic,
        base,
        pending.trust,
        joiner.welcome,
        pending.tree,
        pending.blob,
        conversation.officers,
        conversation.leaving,
        _intruders(turn, conversation),
    )
    write(turn, (record,), body)


def _intruders(turn: Turn, conversation: Conversation) -> tuple[str, ...]:
    vouched = {(each.device, each.key_hash) for each in conversation.confirmed}
    return tuple(
        seat.device
        for seat in turn.seats(conversation.topic).values()
        if seat.device in conversation.intruders and (seat.device, key_hash(seat.key)) not in vouched
    )


def deliver(turn: Turn) -> None:
    """Put what waits into its inboxes, a few at a time."""
    if not turn.able:
        return
    if turn.session.letter_retry > turn.now:
        turn.wake(turn.session.letter_retry)
        return
    for row, letter in list(turn.rows.items(LETTERS))[:16]:
        if all(blobs.stored(turn, blob) for blob in letter.needs):
            done = turn.session.delivered.get(row, frozenset())
            for copy in letter.copies:
                if copy.device not in done:
                    ask = Delivering(row, copy.device)
                    turn.send(Deliver(inbox_topic(copy.device), entry_id(row, copy.device), copy.body), ask)


def entry_id(row: str, device: str) -> bytes:
    """The entry id (32 bytes) of a copy of a letter: the same at every attempt, and for each inbox another."""
    return hashlib.sha256(f"{row} {device}".encode()).digest()


def delivered(turn: Turn, row: str, device: str) -> None:
    """The relay has a copy for its reader, or will never have it. Which ones it has, only this session remembers: to
    offer one again costs nothing but the offer."""
    letter = turn.rows.get(LETTERS, row)
    if letter is None:
        return
    others = {each: done for each, done in turn.session.delivered.items() if each != row}
    done = turn.session.delivered.get(row, frozenset()) | {device}
    if done >= {copy.device for copy in letter.copies}:
        turn.rows.drop(LETTERS, row)
        turn.set_session(delivered=others)
    else:
        turn.set_session(delivered={**others, row: done})


def refused(turn: Turn, row: str, device: str, retry_after: int, *, for_good: bool, text: str) -> None:
    """The relay doesn't take a copy of a letter. ``retry_after`` in seconds."""
    letter = turn.rows.get(LETTERS, row)
    if letter is None:
        return
    if for_good or letter.queued + FOR < turn.now:
        turn.alarm(AlarmKind.REFUSED, f"a letter to {device} can't be delivered: {text}", who=device)
        delivered(turn, row, device)
        return
    turn.set_session(letter_retry=turn.now + max(1, retry_after))
    turn.wake(turn.session.letter_retry)


# ---------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A letter that was meant for us; its sender is not verified yet."""

    letter: Letter
    signed: SignedLetter


def unsealed(turn: Turn, body: bytes) -> Unsealed | None:
    """Open a letter with our inbox key. None, and an alarm, where it can't be opened or is somebody else's."""
    try:
        sealed = SealedLetter.decode(body)
        plain = HYBRID.hpke.open(turn.memory.inbox(turn.me), sealed.kem_output, INFO, b"", sealed.ciphertext)
        signed = SignedLetter.decode(plain)
        letter = Letter.decode(signed.letter)
        if turn.me.device not in letter.recipients:
            raise Untrusted("a letter to somebody else", code="wrong-recipient")
    except SecurechanError as error:
        turn.alarm(AlarmKind.BAD_LETTER, f"a letter is refused: {error.message}")
        return None
    return Unsealed(letter, signed)


def verify(turn: Turn, unsealed: Unsealed) -> DeviceRecord:
    """Who wrote it, as trust knows them. Raises `Untrusted` or `BadSignature`."""
    letter, signed = unsealed.letter, unsealed.signed
    record = turn.view.device(letter.sender)
    if letter.key not in record.hashes() or turn.view.tombstoned(letter.key) is not None:
        raise Untrusted(f"{letter.sender} signs with a key that its agency does not list", code="unknown-key")
    HYBRID.signature.verify(record.public(letter.key), CONTEXTS[letter.kind], signed.letter, signed.signature)
    return record


def opened(turn: Turn, unsealed: Unsealed, use: Callable[[Letter, DeviceRecord], None]) -> None:
    """Verify a letter and use it; whatever is wrong with it is said and ends there."""
    try:
        use(unsealed.letter, verify(turn, unsealed))
    except SecurechanError as error:
        who = unsealed.letter.sender
        turn.alarm(AlarmKind.BAD_LETTER, f"a letter is refused: {error.message}", who=who)
