"""What the user wants, one after the other. Each raises what keeps it from being done, and then has done nothing."""

from __future__ import annotations

from typing import Final, assert_never

from securechan.agent import (
    blobs,
    bulletins,
    commits,
    consents,
    forwards,
    joining,
    letters,
    past,
    reach,
    receipts,
    rotation,
    sending,
    succession,
)
from securechan.agent.asks import Boxing, Dropped, Following, Publishing, Trying
from securechan.agent.inputs import (
    AcceptConversation,
    Acknowledge,
    AnswerConsent,
    AskConsent,
    ChangePolicy,
    Command,
    ConfirmDevice,
    CreateConversation,
    DeclineConversation,
    FetchAttachment,
    ForwardBulletin,
    Leave,
    MarkRead,
    OpenBox,
    PublishBulletin,
    PublishTrust,
    ReadBox,
    RenameConversation,
    Resume,
    ReviseBulletin,
    RotateEpochs,
    RotateSignature,
    SendAttachment,
    SendOpaque,
    SendText,
    SendTogether,
    SucceedConversation,
    TryRelay,
    WithdrawBulletin,
    WriteBox,
)
from securechan.agent.letters import OpaqueLetter
from securechan.agent.state import ATTACHMENTS, OUTBOX, Hold, Purpose, Standing
from securechan.agent.turn import Turn
from securechan.bulletin.payload import CONTENT_MAX, TEXT_MAX, Attachment, Text
from securechan.bulletin.payload import Leave as LeavePayload
from securechan.errors import Conflict, Denied, Invalid, NotFound, NotReady, SecurechanError, Unfit
from securechan.wire.frames import Append, CreateBox, Publish, PutBlob, RequestBody, Subscribe, Unsubscribe

MOST_OPAQUE: Final = 1 << 20  # bytes


def run(turn: Turn, command: Command) -> object | None:
    """Do it; the answer is what the command's docstring says. Raises a `SecurechanError`."""
    match command:
        case CreateConversation(policy):
            return joining.found(turn, policy)
        case SucceedConversation():
            return succession.succeed(turn, command, joining.found)
        case SendText():
            return _text(turn, command)
        case SendAttachment():
            return _attachment(turn, command)
        case SendTogether(parts):
            return tuple(_part(turn, part) for part in parts)
        case PublishBulletin():
            return bulletins.publish(turn, command)
        case ReviseBulletin():
            return bulletins.revise(turn, command)
        case WithdrawBulletin():
            return bulletins.withdraw(turn, command)
        case ForwardBulletin():
            return forwards.forward(turn, command)
        case AskConsent():
            consents.ask(turn, command)
        case AnswerConsent():
            consents.answer(turn, command)
        case Leave(topic):
            return _leave(turn, topic)
        case RotateEpochs(topic):
            return rotation.epochs(turn, topic)
        case RotateSignature():
            return rotation.signature(turn)
        case ConfirmDevice(device, topic):
            return rotation.confirm(turn, device, topic)
        case AcceptConversation():
            joining.accept(turn, command)
        case DeclineConversation(topic, by):
            joining.decline(turn, topic, by)
        case RenameConversation(topic, name):
            _rename(turn, topic, name)
        case FetchAttachment(topic, payload):
            _fetch(turn, topic, payload)
        case Acknowledge(bulletin, topic):
            receipts.acknowledge(turn, bulletin, topic)
        case MarkRead(topic, upto, messages):
            turn.change(topic, read=max(turn.conversation(topic).read, upto), unread=0)
            receipts.read(turn, topic, messages)
        case ChangePolicy():
            _policy(turn, command)
        case Resume(topic):
            turn.change(topic, hold=Hold.NO, claims=())
        case SendOpaque(device, kind, content):
            _opaque(turn, device, kind, content)
        case PublishTrust(documents):
            _ask(turn, Publish(turn.trust_position.sequence, documents), Publishing(documents))
        case OpenBox(box, mac_key, not_after):
            _ask(turn, CreateBox(box, mac_key, not_after), Boxing(box))
        case ReadBox(box):
            turn.set_session(boxes=turn.session.boxes | {box})
            _ask(turn, Subscribe(box, 0), Following(box))
        case WriteBox(box, body):
            _ask(turn, Append(box, turn.random(32), body, None), Boxing(box))
        case TryRelay():
            blob = turn.random(32)
            _ask(turn, PutBlob(blob, 2, 0, b"\0"), Trying(blob, begun=False))
        case _:
            assert_never(command)
    return None


def _leave(turn: Turn, topic: bytes) -> bytes | None:
    """Ask the others to remove us; who is alone there needs nobody for it. The answer is the payload's id, if any."""
    conversation = turn.conversation(topic)
    if conversation.standing is Standing.MEMBER and len(turn.seats(topic)) == 1:
        turn.send(Unsubscribe(topic), Dropped(topic))
        turn.session_forget(topic)
        commits.gone(turn, topic, turn.me.device, conversation.cursor.sequence)
        return None
    return sending.queue(turn, topic, LeavePayload())


def _ask(turn: Turn, body: RequestBody, ask: Boxing | Following | Publishing | Trying) -> None:
    if not turn.session.connected:
        raise NotReady("no relay is connected", hint="check the network, then try again", code="unreachable")
    turn.answered(ask)
    turn.send(body, ask)


def _rename(turn: Turn, topic: bytes, name: str) -> None:
    if not name.strip() or len(name.encode()) > 64 or not name.isprintable():
        raise Invalid("a name of 1 to 64 printable letters is needed")
    if any(each.name == name and each.topic != topic for each in turn.conversations()):
        raise Conflict(f"you have a conversation called {name} already", hint="choose another name")
    turn.change(topic, name=name)


def _part(turn: Turn, wish: SendText | SendAttachment) -> bytes:
    try:
        return _text(turn, wish) if isinstance(wish, SendText) else _attachment(turn, wish)
    except SecurechanError as error:
        error.about(wish.called)
        raise  # what was queued before it goes with this turn


def _text(turn: Turn, wish: SendText) -> bytes:
    if not wish.body:
        raise Invalid("there is nothing to send")
    if len(wish.body.encode()) > TEXT_MAX:
        raise Unfit(f"a text has at most {TEXT_MAX} bytes", hint="send it as an attachment")
    return sending.queue(turn, wish.conversation, Text(wish.tlp, wish.body), label=wish.tlp, identity=wish.id)


def _attachment(turn: Turn, wish: SendAttachment) -> bytes:
    conversation = turn.conversation(wish.conversation)
    if len(wish.content) > CONTENT_MAX:
        raise Unfit(f"{len(wish.content)} bytes: an attachment has at most {CONTENT_MAX}")
    known = wish.id and past.seen(turn.rows, conversation, turn.me.device, wish.id)
    if known or (wish.id and _queued(turn, wish.conversation, wish.id)):
        return wish.id
    reach.allow(turn, conversation, wish.tlp)
    ref = blobs.put(turn, wish.content)
    body = Attachment(wish.tlp, wish.name, wish.media_type, wish.caption, ref)
    return sending.queue(turn, wish.conversation, body, label=wish.tlp, identity=wish.id, needs=(ref.blob,))


def _queued(turn: Turn, topic: bytes, identity: bytes) -> bool:
    return any(item.topic == topic and item.id == identity for item in turn.rows.all(OUTBOX).values())


def _fetch(turn: Turn, topic: bytes, payload: bytes) -> None:
    for row in turn.rows.all(ATTACHMENTS).values():
        if row.topic == topic and row.payload == payload:
            blobs.get(turn, row.ref, Purpose.ATTACHMENT, topic, payload.hex(), row.name, row.media_type)
            return
    raise NotFound("no such attachment", hint="older ones can't be fetched any more")


def _policy(turn: Turn, wish: ChangePolicy) -> None:
    wish.policy.check()
    conversation = turn.conversation(wish.conversation)
    if conversation.standing is not Standing.MEMBER:
        raise Denied("you are no member of this conversation")
    old = turn.policy(wish.conversation)
    if turn.me.officer not in old.stewards:
        raise Denied(f"only its stewards change a policy: {', '.join(old.stewards[:5])}", code="role-denied")
    if wish.policy.kind is not old.kind or wish.policy.by_officer != old.by_officer:
        raise Invalid("the kind of a conversation is for its life", hint="found another one")
    turn.change(wish.conversation, wanted=wish.policy.encode() if wish.policy != old else b"")


def _opaque(turn: Turn, device: str, kind: str, content: bytes) -> None:
    if len(content) > MOST_OPAQUE:
        raise Unfit(f"a letter carries at most {MOST_OPAQUE} bytes")
    if not letters.write(turn, (turn.view.device(device),), OpaqueLetter(kind, content)):
        raise NotReady("too many letters wait to be delivered", hint="connect to the relay, then try again")
