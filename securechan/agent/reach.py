"""May this be read there? TLP as a rule, held against those who are in a conversation now.

What is ours is *published*: its label against the conversation's ceiling. What another agency issued is *forwarded*:
its label against the agencies that are there, unless the issuer has consented to that very room. Asked when a person
wants it, asked again when it is sealed, since members may have come in between, and asked of others' forwards by who
reads them, for whom it is too late for more than an alarm.
"""

from __future__ import annotations

from securechan.agent.policy import Policy, agency_of
from securechan.agent.state import Conversation, Standing
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import BulletinHeader
from securechan.bulletin.consent import Consent, SignedConsent, covers
from securechan.bulletin.payload import Forward
from securechan.bulletin.tlp import Audience, Tlp, may_forward, may_publish
from securechan.errors import Denied, Untrusted


def audience(turn: Turn, conversation: Conversation, policy: Policy, own: str = "") -> Audience:
    """Who reads what is sealed there now, as the agency ``own`` (else ours) stands to them."""
    return Audience(
        conversation.name,
        frozenset(seat.agency for seat in turn.seats(conversation.topic).values()),
        own or turn.agency,
        officers_named=policy.by_officer,
        federation=frozenset(turn.view.agencies),
    )


def allow(turn: Turn, conversation: Conversation, label: Tlp) -> None:
    """Whether what bears this label may be said there now. Raises `Denied`."""
    if conversation.standing is not Standing.MEMBER:
        return  # looked at again when it is sealed
    policy = turn.policy(conversation.topic)
    may_publish(label, policy.ceiling, audience(turn, conversation, policy), what="the message")


def allow_forward(
    turn: Turn,
    conversation: Conversation,
    header: BulletinHeader,
    label: Tlp,
    consent: bytes,
    by: str = "",
    at: int = 0,
) -> Consent | None:
    """Whether a bulletin may be brought there by ``by`` (a device, else ours) at ``at`` (Unix seconds, else now).
    ``label`` is the strictest of its header and its content. The answer is the consent that was needed. Raises
    `Denied`, or what makes a consent worthless."""
    forwarder = agency_of(by) if by else turn.agency
    policy = turn.policy(conversation.topic)
    there = audience(turn, conversation, policy, forwarder)
    try:
        may_forward(label, header.issuer, there, ceiling=policy.ceiling, what=header.id)
        return None
    except Denied as error:
        if not consent:
            hint = error.hint
            if header.issuer != forwarder:
                hint = f"ask {header.issuer}: securechan bulletin ask-consent {header.id} --to {conversation.name}"
            raise Denied(error.message, hint=hint, code=error.code) from None
    given = _verified(turn, SignedConsent.decode(consent))
    covers(
        given,
        issuer=header.issuer,
        bulletin=header.id,
        label=label,
        conversation=conversation.topic,
        forwarder=forwarder,
        agencies=there.agencies,
        now=at or turn.now,
    )
    may_forward(label, header.issuer, there, ceiling=policy.ceiling, consent=True, what=header.id)
    return given


def _verified(turn: Turn, signed: SignedConsent) -> Consent:
    claim = signed.claim
    record = turn.view.device(claim.device)
    if claim.signer not in record.hashes() or turn.view.tombstoned(claim.signer) is not None:
        raise Untrusted(f"{claim.device[:100]} consents with a key that its agency does not list", code="unknown-key")
    if "desk" not in record.roles or record.address != claim.officer:
        raise Denied(f"{claim.device[:100]} does not speak for the desk of {record.agency}", code="role-denied")
    return signed.verify(record.public(claim.signer))


def allow_again(turn: Turn, conversation: Conversation, label: Tlp, body: Forward) -> None:
    """The same when it is sealed. Raises a `SecurechanError`."""
    header = BulletinHeader.decode(body.header)
    if not (header.withdrawn and not body.content and body.blob is None):
        allow_forward(turn, conversation, header, label, body.consent)
