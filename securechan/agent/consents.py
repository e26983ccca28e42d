"""Consent: asked of the desk that issued a bulletin, answered by a person there, kept with what it allows.

    ask ──ASK_CONSENT letter──► waiting there ──a person: yes, until──► signed ──CONSENT letter──► granted: forward
                                            └──────────── no ─────────────────────────────────► refused

Nothing is answered by itself. A consent names the room and the agencies that were told of; if others come into it, the
consent no longer covers it, and another has to be asked for. While a question waits it stays as it was shown: one that
names more agencies doesn't take its place for a day, lest a person agree to what it became a moment ago.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from securechan.agent import letters
from securechan.agent.events import ConsentAnswered, ConsentAsked
from securechan.agent.inputs import AnswerConsent, AskConsent
from securechan.agent.letters import AskConsentLetter, ConsentLetter
from securechan.agent.policy import agency_of
from securechan.agent.receipts import FIRST_HAND, desk_of
from securechan.agent.state import (
    BULLETINS,
    CONSENTS,
    BulletinRow,
    ConsentRow,
    ConsentState,
    Standing,
    consent_row,
)
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import BulletinHeader
from securechan.bulletin.consent import Consent, SignedConsent, covers, sign_consent
from securechan.bulletin.tlp import Tlp
from securechan.errors import Conflict, Denied, Invalid, NotFound, NotReady, Untrusted
from securechan.trust.records import DeviceRecord, key_hash

MOST_WAITING: Final = 100  # requests of one agency that wait for an answer
MOST_CONSENTS: Final = 5000
STANDS: Final = 86400  # seconds for which a question that waits isn't replaced by a wider one


# ------------------------------------------------------------------------------------------------------- who asks


def ask(turn: Turn, wish: AskConsent) -> None:
    """Ask. Raises `NotFound`, `Conflict`, `Denied`, `NotReady`."""
    target = turn.conversation(wish.conversation)
    if target.standing is not Standing.MEMBER:
        raise Denied("you are no member of this conversation", hint="see: securechan conversation ls")
    row = _elsewhere(turn, wish.bulletin, target.topic)
    header = BulletinHeader.decode(row.header)
    if header.issuer == turn.agency:
        raise Conflict(f"{header.id} is your own agency's: no consent is needed", hint="securechan bulletin forward")
    if header.withdrawn:
        raise Conflict(f"{header.id} was withdrawn by {header.issuer}: there is nothing to forward")
    desk = desk_of(turn, header.issuer, header.device)
    if not desk:
        raise NotFound(f"{header.issuer} has no desk any more that could be asked")
    agencies = tuple(sorted({seat.agency for seat in turn.seats(target.topic).values()}))
    policy = turn.policy(target.topic)
    letter = AskConsentLetter(
        header.id, header.revision, row.digest, target.topic, policy.name, agencies, wish.reason[:200]
    )
    if not letters.write(turn, desk[:FIRST_HAND], letter):
        raise NotReady("too many letters wait to be delivered", hint="connect to the relay, then try again")
    me = turn.me
    asked_for = ConsentRow(
        ConsentState.ASKED,
        header.issuer,
        header.id,
        header.revision,
        target.topic,
        target.name,
        agencies,
        me.device,
        me.officer,
        wish.reason[:200],
        turn.now,
        b"",
    )
    turn.rows.put(CONSENTS, consent_row(target.topic, header.id, turn.agency), asked_for)


def _elsewhere(turn: Turn, bulletin: str, target: bytes) -> BulletinRow:
    found = [row for row in turn.rows.all(BULLETINS).values() if row.bulletin == bulletin and row.topic != target]
    if not found:
        raise NotFound(f"no bulletin {bulletin[:40]} to forward", hint="list them with: securechan bulletin ls")
    return max(found, key=lambda row: (row.revision, not row.forwarder))


def answered(turn: Turn, letter: ConsentLetter, by: DeviceRecord) -> None:
    """The issuer's desk has answered. Raises a `SecurechanError` where it can't be what we asked for."""
    name = consent_row(letter.conversation, letter.bulletin, turn.agency)
    row = turn.rows.get(CONSENTS, name)
    if row is None or row.state not in (ConsentState.ASKED, ConsentState.GRANTED, ConsentState.REFUSED):
        raise Untrusted(f"{by.name} answers what was not asked", code="not-asked")
    issuer = row.issuer  # ids are their issuers' to choose: another agency may have one that is the same
    if by.agency != issuer or "desk" not in by.roles:
        raise Untrusted(f"{by.name} is not of the desk of {issuer}", code="wrong-issuer")
    until = 0
    if letter.consent:
        claim = SignedConsent.decode(letter.consent).claim
        given = SignedConsent.decode(letter.consent).verify(by.public(claim.signer))
        covers(
            given,
            issuer=issuer,
            bulletin=letter.bulletin,
            label=Tlp.CLEAR,
            conversation=letter.conversation,
            forwarder=turn.agency,
            agencies=(),
            now=turn.now,
        )
        until = given.until
    state = ConsentState.GRANTED if letter.consent else ConsentState.REFUSED
    turn.rows.put(CONSENTS, name, replace(row, state=state, consent=letter.consent))
    turn.emit(ConsentAnswered(letter.bulletin, letter.conversation, bool(letter.consent), by.address, until))


# --------------------------------------------------------------------------------------------------- who is asked


def asked(turn: Turn, letter: AskConsentLetter, by: DeviceRecord) -> None:
    """Another agency asks. Raises `Untrusted`, `NotFound`, `Denied`."""
    if "desk" not in by.roles:
        raise Denied(f"{by.name} has no desk role", code="role-denied")
    ours = _ours(turn, letter.bulletin)
    if ours is None or (ours.revision == letter.revision and ours.digest != letter.digest):
        raise NotFound(f"{by.name} asks for consent to a bulletin that is not ours")
    name = consent_row(letter.conversation, letter.bulletin, by.agency)
    rows = turn.rows.all(CONSENTS)
    before = rows.get(name)
    waits = before is not None and before.state is ConsentState.WAITING and before.time + STANDS > turn.now
    if before is not None and waits and set(letter.agencies) - set(before.agencies):
        raise Denied(f"{by.agency} asks for more while its first question about {letter.bulletin} waits")
    waiting = [row for row in rows.values() if row.state is ConsentState.WAITING and agency_of(row.device) == by.agency]
    if name not in rows and (len(waiting) >= MOST_WAITING or len(rows) >= MOST_CONSENTS):
        raise Denied(f"{by.agency} asks more than can be answered")
    row = ConsentRow(
        ConsentState.WAITING,
        turn.agency,
        letter.bulletin,
        letter.revision,
        letter.conversation,
        letter.name,
        letter.agencies,
        by.name,
        by.address,
        letter.reason,
        turn.now,
        b"",
    )
    turn.rows.put(CONSENTS, name, row)
    turn.emit(
        ConsentAsked(
            letter.bulletin,
            letter.revision,
            letter.conversation,
            letter.name,
            letter.agencies,
            by.name,
            by.address,
            letter.reason,
        )
    )


def answer(turn: Turn, wish: AnswerConsent) -> None:
    """A person answers. Raises `NotFound`, `Denied`, `Conflict`, `Untrusted`, `NotReady`."""
    name = consent_row(wish.conversation, wish.bulletin, wish.agency)
    row = turn.rows.get(CONSENTS, name)
    if row is None or row.state not in (ConsentState.WAITING, ConsentState.GIVEN, ConsentState.DENIED):
        raise NotFound(f"{wish.agency[:64]} has not asked for that", hint="see: securechan bulletin consents")
    if "desk" not in turn.view.device(turn.me.device).roles:
        raise Denied("only a device with the desk role consents", code="role-denied")
    if wish.until and wish.until <= turn.now:
        raise Invalid("a consent that has run out before it is given")
    if wish.until and set(row.agencies) - set(wish.agencies):
        raise Conflict(
            f"{wish.agency[:64]} asks for more than you were shown",
            hint="look again: securechan bulletin consents",
            code="asked-for-more",
        )
    consent = b""
    if wish.until:
        consent = _signed(turn, row, wish).encode()
    if not letters.write(turn, (turn.view.device(row.device),), ConsentLetter(row.bulletin, row.conversation, consent)):
        raise NotReady("too many letters wait to be delivered", hint="connect to the relay, then try again")
    state = ConsentState.GIVEN if consent else ConsentState.DENIED
    turn.rows.put(CONSENTS, name, replace(row, state=state, consent=consent))


def _ours(turn: Turn, bulletin: str) -> BulletinRow | None:
    """A bulletin that our agency issued, where it was issued."""
    for row in turn.rows.all(BULLETINS).values():
        if row.bulletin == bulletin and agency_of(row.device) == turn.agency and not row.forwarder:
            return row
    return None


def _signed(turn: Turn, row: ConsentRow, wish: AnswerConsent) -> SignedConsent:
    ours = _ours(turn, row.bulletin)
    if ours is None:
        raise NotFound(f"{row.bulletin} is not here any more", hint="answer on another device of the desk")
    key = turn.signing
    consent = Consent(
        turn.agency,
        row.bulletin,
        Tlp(ours.tlp),
        row.conversation,
        wish.agency,
        row.agencies,
        wish.until,
        turn.me.officer,
        turn.me.device,
        key_hash(key.public),
        turn.now,
    )
    return sign_consent(consent, turn.signer)
