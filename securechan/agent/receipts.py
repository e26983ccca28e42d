"""Receipts: what the issuer's desk learns of a bulletin's way, and an officer of a message's; never said to the group.

    shown here ─► DELIVERED    ┐                              the signer's device ─► passed on to the rest of the desk
                               ├─► due ──many in one letter─►
    a person   ─► ACKNOWLEDGED ┘                              and one that stands in

What is said goes at once, and what follows within a second goes together: who catches up on a hundred bulletins writes
two letters and not a hundred. A letter is signed once for all its readers. A desk of many devices is told by one of its
own, since every letter costs its reader the check of a signature: that device vouches for what it passes on, to its
colleagues and to nobody else.

A message is receipted where few officers talk by name: to the device that said it, and to no other. Its receipt is that
of a bulletin called by the payload's id, of revision 0, which no bulletin has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from securechan.agent import letters, past
from securechan.agent.events import AlarmKind, MessageReached, ReceiptReceived
from securechan.agent.letters import MOST_RECEIPTS, ReceiptsLetter
from securechan.agent.policy import Policy, agency_of
from securechan.agent.state import (
    BULLETINS,
    CONVERSATIONS,
    OUTBOX,
    RECEIPTS,
    TALLIES,
    BulletinRow,
    ReceiptIn,
    ReceiptOut,
    Standing,
    Tally,
    bulletin_row,
)
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import Receipt, ReceiptKind
from securechan.errors import Denied, NotFound, SecurechanError, Untrusted
from securechan.trust.records import DeviceRecord

MOST_DUE: Final = 10_000
FIRST_HAND: Final = 2  # devices of the issuer's desk that a receipt goes to …
DESKS: Final = 8  # … and, with those that it is passed on to, that learn of it
BATCH_FOR: Final = 1  # seconds between two letters of deliveries
OFFICERS: Final = 8  # named officers of a conversation in which messages are receipted
READ: Final = 256  # messages that are said to have been read at a time
NO_TEXT: Final = bytes(48)  # a message has no header: the log has one text for all
PASS_ON: Final = 2  # seconds for which a desk collects what it passes on


# ----------------------------------------------------------------------------------------------------------- saying


def acknowledge(turn: Turn, bulletin: str, topic: bytes | None) -> None:
    """A person has read it. Raises `NotFound`, `Denied`."""
    found = [
        (name, row)
        for name, row in turn.rows.items(BULLETINS)
        if row.bulletin == bulletin and row.complete and (topic is None or row.topic == topic)
    ]
    if not found:
        raise NotFound(f"no bulletin {bulletin[:40]} to acknowledge", hint="list them with: securechan bulletin ls")
    others = [(name, row) for name, row in found if not row.own]
    if not others:
        raise Denied("a bulletin of your own is not acknowledged by you")
    for name, row in others:
        if not row.acknowledged:
            turn.rows.put(BULLETINS, name, replace(row, acknowledged=1))
            owe(turn, row, ReceiptKind.ACKNOWLEDGED)


def publisher(row: BulletinRow) -> str:
    """The device to whose desk receipts go: that of the signer, or of who brought the bulletin here."""
    return row.forwarder or row.device


def owe(turn: Turn, row: BulletinRow, kind: ReceiptKind) -> None:
    """A receipt is due to the publisher's desk."""
    me = turn.me
    receipt = Receipt(row.bulletin, row.revision, row.digest, row.topic, kind, me.officer, me.device, turn.now)
    after = turn.now  # a person waits for nothing
    if kind is ReceiptKind.DELIVERED:
        after = max(after, turn.session.receipted + BATCH_FOR)
    by = publisher(row)
    _put(turn, ReceiptOut(agency_of(by), by, receipt, 0, after))


def receipted(policy: Policy) -> bool:
    """Whether messages are receipted where this policy holds."""
    return policy.by_officer and len(policy.officers) <= OFFICERS


def owe_message(turn: Turn, topic: bytes, by: str, payload: bytes, kind: ReceiptKind) -> None:
    """A receipt for a message is due to ``by``, the device that said it, if its officer is another than ours."""
    me, record = turn.me, turn.view.find(by)
    if not receipted(turn.policy(topic)) or record is None or record.address == me.officer:
        return
    said = Receipt(payload.hex(), 0, NO_TEXT, topic, kind, me.officer, me.device, turn.now)
    _put(turn, ReceiptOut(record.agency, by, said, 0, max(turn.now, turn.session.receipted + BATCH_FOR)))


def read(turn: Turn, topic: bytes, messages: Sequence[tuple[str, bytes]]) -> None:
    """A person has seen these messages: the device that said each, and its payload's id."""
    if turn.conversation(topic).standing is Standing.MEMBER:
        for by, payload in messages[-READ:]:
            owe_message(turn, topic, by, payload, ReceiptKind.ACKNOWLEDGED)


def _put(turn: Turn, due: ReceiptOut) -> None:
    if len(turn.rows.all(RECEIPTS)) >= MOST_DUE:
        text = f"{MOST_DUE} receipts wait: one for {due.receipt.bulletin} is lost"
        turn.alarm(AlarmKind.FULL, text, topic=due.receipt.conversation)
        return
    turn.rows.put(RECEIPTS, turn.next_row(), due)


def post(turn: Turn) -> None:
    """Seal what is due to the desks it is due to, many in one letter."""
    if not turn.able:
        return
    heaps: dict[tuple[str, str, int, bool], dict[str, ReceiptOut]] = {}
    for name, item in turn.rows.items(RECEIPTS):
        heaps.setdefault((item.agency, item.device, item.passed_on, _of_message(item.receipt)), {})[name] = item
    for (agency, signer, passed_on, of_message), heap in heaps.items():
        at = min(item.after for item in heap.values())
        if at > turn.now:
            turn.wake(at)
            continue
        record = turn.view.find(signer)
        alone = [record] if record is not None else []
        desk = alone if of_message else desk_of(turn, agency, signer)
        for name in heap:
            turn.rows.drop(RECEIPTS, name)
        if not passed_on:
            turn.set_session(receipted=turn.now)
        readers = desk[FIRST_HAND:DESKS] if passed_on else desk[:FIRST_HAND]
        _write(turn, readers, [item.receipt for item in heap.values()], first_hand=not passed_on)


def desk_of(turn: Turn, agency: str, signer: str) -> list[DeviceRecord]:
    """The devices of a desk: the signer's, then by name, the same for everybody."""
    found = [each for each in turn.view.devices(agency) if "desk" in each.roles]
    return sorted(found, key=lambda each: (each.name != signer, each.name))


def _write(turn: Turn, readers: Sequence[DeviceRecord], said: Sequence[Receipt], *, first_hand: bool) -> None:
    others = [each for each in readers if each.name != turn.me.device]
    if len(others) < len(readers):
        for receipt in said:
            _note(turn, receipt, first_hand=first_hand)  # to ourselves we need not write
    for start in range(0, len(said) if others else 0, MOST_RECEIPTS):
        letters.write(turn, others, ReceiptsLetter(tuple(said[start : start + MOST_RECEIPTS])))


# ---------------------------------------------------------------------------------------------------------- hearing


def came(turn: Turn, batch: Sequence[Receipt], by: DeviceRecord) -> None:
    """Receipts in a letter of ``by``. All that are true are noted; then the first that is false is raised, a
    `SecurechanError`. One of a bulletin that isn't our agency's, or of a device that wasn't asked, is dropped."""
    wrong: SecurechanError | None = None
    for receipt in batch:
        try:
            first_hand = receipt.device == by.name and receipt.officer == by.address
            if _of_message(receipt):
                _came_of_message(turn, receipt, by)
                continue
            if not first_hand and (by.agency != turn.agency or "desk" not in by.roles):
                raise Untrusted(f"{by.name} sends a receipt of {receipt.device[:100]}", code="wrong-device")
            row = turn.rows.get(BULLETINS, bulletin_row(receipt.conversation, receipt.bulletin))
            if row is not None and receipt.revision == row.revision and receipt.digest != row.digest:
                raise Untrusted(f"{receipt.device} has received another text of {row.bulletin}", code="other-text")
            _note(turn, receipt, first_hand=first_hand)
        except Untrusted as error:
            wrong = wrong or error
    if wrong is not None:
        raise wrong


def _of_message(receipt: Receipt) -> bool:
    return receipt.revision == 0


def _came_of_message(turn: Turn, receipt: Receipt, by: DeviceRecord) -> None:
    """A message of ours has reached a device, or a person there. One that isn't ours, or comes from who is no member of
    the conversation, is dropped. Raises `Untrusted`."""
    if (receipt.device, receipt.officer) != (by.name, by.address):
        raise Untrusted(f"{by.name} sends a receipt of {receipt.device[:100]}", code="wrong-device")
    conversation = turn.rows.get(CONVERSATIONS, receipt.conversation.hex())
    try:
        payload = bytes.fromhex(receipt.bulletin)
    except ValueError:
        return
    if conversation is None or conversation.standing is not Standing.MEMBER:
        return
    ours = past.seen(turn.rows, conversation, turn.me.device, payload) or any(
        (item.topic, item.id) == (conversation.topic, payload) for item in turn.rows.all(OUTBOX).values()
    )
    if ours and by.name in {seat.device for seat in turn.seats(conversation.topic).values()}:
        kind = "read" if receipt.kind is ReceiptKind.ACKNOWLEDGED else "delivered"
        turn.emit(MessageReached(conversation.topic, payload, kind, by.name, by.address, receipt.time))


def _note(turn: Turn, receipt: Receipt, *, first_hand: bool) -> None:
    """Somebody has a bulletin of ours."""
    name = bulletin_row(receipt.conversation, receipt.bulletin)
    row, tally = turn.rows.get(BULLETINS, name), turn.rows.get(TALLIES, name)
    if row is None or tally is None or receipt.device not in tally.audience or receipt.revision > row.revision:
        return
    said = ReceiptIn(
        receipt.device,
        receipt.officer,
        int(receipt.kind is ReceiptKind.ACKNOWLEDGED),
        receipt.revision,
        receipt.time,
    )
    before = next((each for each in tally.receipts if each.device == receipt.device), None)
    if before is not None and (before.revision, before.acknowledged) >= (said.revision, said.acknowledged):
        return
    others = tuple(each for each in tally.receipts if each.device != receipt.device)
    turn.rows.put(TALLIES, name, Tally(tally.audience, (*others, said)))
    turn.emit(
        ReceiptReceived(
            row.topic,
            row.bulletin,
            receipt.revision,
            receipt.kind.name.lower(),
            receipt.device,
            receipt.officer,
            receipt.time,
        )
    )
    if first_hand:
        _pass_on(turn, row, receipt)


def _pass_on(turn: Turn, row: BulletinRow, receipt: Receipt) -> None:
    desk = desk_of(turn, turn.agency, publisher(row))
    if desk and desk[0].name == turn.me.device and len(desk) > FIRST_HAND:
        _put(turn, ReceiptOut(turn.agency, publisher(row), receipt, 1, turn.now + PASS_ON))
