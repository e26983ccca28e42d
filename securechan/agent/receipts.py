"""Receipts: what the issuer's desk learns of a bulletin's way, sealed to it alone and never said to the group.

    shown here ─► DELIVERED ┐
    a person   ─► ACKNOWLEDGED ┴─► due ──batched──► one letter to each device of the issuer's desk ─► its ack list

Receipts of delivery are collected for a moment; an acknowledgement goes at once, since a person waits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from securechan.agent import letters
from securechan.agent.events import AlarmKind, ReceiptReceived
from securechan.agent.letters import MOST_RECEIPTS, ReceiptsLetter
from securechan.agent.state import BULLETINS, RECEIPTS, BulletinRow, ReceiptIn, ReceiptOut, bulletin_row
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import (
    BulletinHeader,
    Receipt,
    ReceiptKind,
    read_receipt,
    sign_receipt,
    verify_receipt,
)
from securechan.errors import Denied, NotFound, Untrusted
from securechan.trust.records import DeviceRecord, key_hash

MOST_DUE: Final = 10_000
DESKS: Final = 8  # devices of the issuer's desk that a receipt goes to
BATCH_FOR: Final = 1  # seconds for which receipts of delivery are collected


def acknowledge(turn: Turn, bulletin: str, topic: bytes | None) -> None:
    """A person has read it. Raises `NotFound`, `Denied`."""
    found = [
        (name, row)
        for name, row in turn.rows.items(BULLETINS)
        if row.bulletin == bulletin and row.complete and (topic is None or row.topic == topic)
    ]
    if not found:
        raise NotFound(f"no bulletin {bulletin[:40]} to acknowledge", hint="list them with: securechan bulletin ls")
    for name, row in found:
        if row.own:
            raise Denied("a bulletin of your own is not acknowledged by you")
        if not row.acknowledged:
            turn.rows.put(BULLETINS, name, replace(row, acknowledged=1))
            owe(turn, row, BulletinHeader.decode(row.header), ReceiptKind.ACKNOWLEDGED)


def owe(turn: Turn, row: BulletinRow, header: BulletinHeader, kind: ReceiptKind) -> None:
    if len(turn.rows.all(RECEIPTS)) >= MOST_DUE:
        turn.alarm(AlarmKind.FULL, f"{MOST_DUE} receipts wait: one for {row.bulletin} is lost", topic=row.topic)
        return
    key = turn.signing
    receipt = Receipt(
        row.bulletin,
        row.revision,
        row.digest,
        row.topic,
        kind,
        turn.me.officer,
        turn.me.device,
        key_hash(key.public),
        turn.now,
    )
    due = ReceiptOut(header.issuer, header.device, sign_receipt(receipt, key.private), turn.now)
    if kind is ReceiptKind.ACKNOWLEDGED:
        due = replace(due, queued=turn.now - BATCH_FOR)  # a person waits for nothing
    turn.rows.put(RECEIPTS, turn.next_row(), due)


def post(turn: Turn) -> None:
    """Seal what is due to the desks it is due to, many in one letter."""
    due = list(turn.rows.items(RECEIPTS))
    if not due or not turn.able:
        return
    at = min(item.queued for _, item in due) + BATCH_FOR
    if at > turn.now:
        turn.wake(at)
        return
    for agency in sorted({item.agency for _, item in due}):
        mine = [(name, item) for name, item in due if item.agency == agency]
        desks = {each.name: each for each in turn.view.devices(agency) if "desk" in each.roles}
        signers = {item.device for _, item in mine}
        chosen = sorted(desks, key=lambda name: (name not in signers, name))[:DESKS]
        for start in range(0, len(mine), MOST_RECEIPTS):
            batch = tuple(item.receipt for _, item in mine[start : start + MOST_RECEIPTS])
            for name in chosen:
                letters.write(turn, desks[name], ReceiptsLetter(batch))
        for name, _ in mine:
            turn.rows.drop(RECEIPTS, name)


def came(turn: Turn, data: bytes, record: DeviceRecord) -> None:
    """A receipt in a letter of ``record``. Raises a `SecurechanError` where it is false; of a bulletin that isn't our
    agency's, or of a device that wasn't asked, it is dropped."""
    claim = read_receipt(data).claim
    if claim.device != record.name or claim.officer != record.address:
        raise Untrusted(f"{record.name} sends a receipt of {claim.device[:100]}", code="wrong-device")
    receipt = verify_receipt(data, record.public(claim.signer))
    name = bulletin_row(receipt.conversation, receipt.bulletin)
    row = turn.rows.get(BULLETINS, name)
    if row is None or record.name not in row.audience or receipt.revision > row.revision:
        return
    if receipt.revision == row.revision and receipt.digest != row.digest:
        raise Untrusted(f"{record.name} has received another text of {row.bulletin}", code="other-text")
    said = ReceiptIn(
        record.name,
        record.address,
        int(receipt.kind is ReceiptKind.ACKNOWLEDGED),
        receipt.revision,
        receipt.time,
    )
    before = next((each for each in row.receipts if each.device == record.name), None)
    if before is not None and (before.revision, before.acknowledged) >= (said.revision, said.acknowledged):
        return
    others = tuple(each for each in row.receipts if each.device != record.name)
    turn.rows.put(BULLETINS, name, replace(row, receipts=(*others, said)))
    turn.emit(
        ReceiptReceived(
            row.topic,
            row.bulletin,
            receipt.revision,
            receipt.kind.name.lower(),
            record.name,
            record.address,
            receipt.time,
        )
    )
