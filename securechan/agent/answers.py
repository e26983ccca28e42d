"""The relay's answers, each taken to where its question came from.

    refused because of …      then
    order (STALE)             nothing: the log will say, and we act when it does; of a log that ends before what we
                              have read, the relay has forgotten something: `forgotten`
    load (OVERLOADED, QUOTA, FULL, INTERNAL)   later, as long as the relay says and a little longer
    access (ACCESS_DENIED)    show again, an older secret where the relay never learnt ours
    what it is (MALFORMED, TOO_LARGE, FORBIDDEN, CONFLICT)   given up, and said

An answer never decides what stands in a log.
"""

from __future__ import annotations

from typing import Final, assert_never

from securechan.agent import (
    blobs,
    bulletins,
    commits,
    forgotten,
    inbox,
    joining,
    letters,
    packages,
    reconcile,
    recovery,
    rosters,
    sending,
)
from securechan.agent.asks import (
    Ask,
    Boxing,
    Committing,
    Comparing,
    Counting,
    Created,
    Delivering,
    Doubting,
    Downloading,
    Dropped,
    Following,
    Pinging,
    Posting,
    Publishing,
    Shown,
    Stocking,
    Taking,
    Trimming,
    Trying,
    Uploading,
)
from securechan.agent.events import AlarmKind, AttachmentFetched, RequestDone, RequestFailed
from securechan.agent.state import CONVERSATIONS, OUTBOX, Download, Purpose, Standing
from securechan.agent.turn import Turn
from securechan.errors import Denied
from securechan.wire.frames import (
    AnswerBody,
    Appended,
    Code,
    Count,
    Error,
    KeyPackageTaken,
    Piece,
    PutBlob,
    inbox_topic,
)

FOR_GOOD: Final = frozenset({Code.MALFORMED, Code.TOO_LARGE, Code.FORBIDDEN})
LOAD: Final = frozenset({Code.OVERLOADED, Code.QUOTA, Code.FULL, Code.INTERNAL})


def on_answer(turn: Turn, ask: Ask, body: AnswerBody) -> None:
    """One answer; of a question that this session never asked, nothing."""
    if not turn.answered(ask):
        return
    if isinstance(body, Error):
        _refused(turn, ask, body)
    else:
        _granted(turn, ask, body)


def _granted(turn: Turn, ask: Ask, body: AnswerBody) -> None:
    match ask, body:
        case Created(topic), _:
            if turn.rows.get(CONVERSATIONS, topic.hex()) is not None:
                joining.created(turn, topic)
        case Delivering(row, device), _:
            letters.delivered(turn, row, device)
        case Trimming(upto), _:
            inbox.trimmed(turn, upto)
        case Taking(topic, device), KeyPackageTaken(package):
            reconcile.taken(turn, topic, device, package)
        case Counting(), Count(left):
            packages.counted(turn, left)
        case Stocking(rows, purge), _:
            packages.stocked(turn, rows, purge=purge)
        case Uploading(row), Count(count):
            blobs.counted(turn, row, count)
        case Downloading(row, offset), Piece(total, _, data):
            blobs.piece(turn, row, offset, total, data, lambda download, plain: _fetched(turn, download, plain))
        case Publishing(documents), Appended(sequence):
            turn.emit(RequestDone("publish", sequence))
            rosters.tell(turn, documents)
        case Boxing(), Appended(sequence):
            turn.emit(RequestDone("box", sequence))
        case Boxing(), _:
            turn.emit(RequestDone("box", 0))
        case Trying(blob, False), _:
            turn.emit(RequestDone("try", 0))
            turn.send(PutBlob(blob, 2, 1, b"\0"), Trying(blob, begun=True))  # not of that hash: it is dropped
        case _:
            pass  # shown, following, appended: the log says the rest


def _fetched(turn: Turn, download: Download, plain: bytes) -> None:
    match download.purpose:
        case Purpose.TREE:
            joining.tree_here(turn, download.context, plain)
        case Purpose.BULLETIN:
            bulletins.content_here(turn, download.context, plain)
        case Purpose.ATTACHMENT:
            identity = bytes.fromhex(download.context)
            turn.emit(AttachmentFetched(download.topic, identity, download.name, download.media_type, plain))
        case _:
            assert_never(download.purpose)


def _refused(turn: Turn, ask: Ask, error: Error) -> None:
    seconds = -(-error.retry_after // 1000)
    code, text = error.code, f"{error.code.name.lower().replace('_', '-')}: {error.message}"
    for_good = code in FOR_GOOD
    match ask:
        case Created(topic):
            _not_created(turn, topic, error, text)
        case Shown(topic, _, back, walk):
            if walk and code is Code.ACCESS_DENIED:
                _not_shown(turn, topic, back)
        case Following(topic) if code is Code.STALE:
            forgotten.told(turn, topic, error.sequence)
        case Following(topic):
            _not_following(turn, topic, code, text, seconds)
        case Committing(topic, entry_id):
            if code is not Code.STALE:
                commits.refused(turn, topic, entry_id, seconds, for_good=for_good or code is Code.CONFLICT, text=text)
                _show_again(turn, topic, code)
        case Posting(topic, row):
            _not_posted(turn, topic, row, code, text, seconds)
        case Delivering(row, device):
            letters.refused(turn, row, device, seconds, for_good=code not in LOAD, text=text)
        case Taking(topic, device):
            reconcile.absent(turn, topic, device)
        case Stocking(rows, _):
            packages.not_stocked(turn, rows)
        case Uploading(row):
            if for_good:
                blobs.give_up(turn, row)
                turn.alarm(AlarmKind.REFUSED, f"a file can't be stored: {text}")
            else:
                turn.set_session(blob_retry=turn.now + max(1, seconds))
                turn.wake(turn.session.blob_retry)
        case Downloading(row):
            blobs.failed(turn, row, text)
        case Publishing():
            turn.emit(RequestFailed("publish", code.name.lower().replace("_", "-"), error.message, error.retry_after))
        case Boxing():
            turn.emit(RequestFailed("box", code.name.lower().replace("_", "-"), error.message, error.retry_after))
        case Trying(_, False):
            turn.emit(RequestFailed("try", code.name.lower().replace("_", "-"), error.message, error.retry_after))
        case Counting() | Comparing() | Doubting() | Pinging() | Trimming() | Dropped() | Trying():
            pass  # asked again in time
        case _:
            assert_never(ask)


def _not_created(turn: Turn, topic: bytes, error: Error, text: str) -> None:
    if turn.rows.get(CONVERSATIONS, topic.hex()) is None:
        return
    if error.code is Code.CONFLICT:  # 32 random bytes: it is ours, made before its answer got lost
        joining.created(turn, topic)
    elif error.code in LOAD:
        turn.wake(turn.now + 5)
    else:
        turn.alarm(AlarmKind.REFUSED, f"the relay does not make the conversation: {text}", topic=topic)


def _member(turn: Turn, topic: bytes) -> bool:
    conversation = turn.rows.get(CONVERSATIONS, topic.hex())
    return conversation is not None and conversation.standing is Standing.MEMBER


def _not_shown(turn: Turn, topic: bytes, back: int) -> None:
    """The relay was told a false hash for that epoch: an older secret opens the log just as well. Where it knows none
    of ours (a joiner has no older one), only being added again helps."""
    if _member(turn, topic) and not sending.show(turn, topic, back=back + 1):
        recovery.cut_off(turn, topic, "the relay was told a false hash, and knows no secret of ours")


def _show_again(turn: Turn, topic: bytes, code: Code) -> None:
    if code is Code.ACCESS_DENIED and _member(turn, topic):
        sending.show(turn, topic)


def _not_following(turn: Turn, topic: bytes, code: Code, text: str, seconds: int) -> None:
    if not _member(turn, topic):
        if topic == inbox_topic(turn.me.device) and code in LOAD:
            turn.reconnect("the inbox can't be read now")
        return
    turn.set_live(topic, following=False)
    if code in (Code.TRIMMED, Code.UNKNOWN_TOPIC):
        recovery.cut_off(turn, topic, text)
    else:
        turn.set_live(topic, following=True)  # not before the wait is over
        turn.alarm(AlarmKind.REFUSED, f"the conversation can't be read: {text}", topic=topic)
        turn.set_session(refollow={**turn.session.refollow, topic: turn.now + max(5, seconds)})
        turn.wake(turn.now + max(5, seconds))


def _not_posted(turn: Turn, topic: bytes, row: str, code: Code, text: str, seconds: int) -> None:
    item = turn.rows.get(OUTBOX, row)
    if item is None or not _member(turn, topic) or code is Code.STALE:
        return
    if code in FOR_GOOD:
        sending.drop(turn, row, item, Denied(f"the relay refuses it: {text}"))
        return
    posted = turn.live(topic).posted
    if item.sealed is not None:
        posted -= {item.sealed.entry_id}
    if code is Code.CONFLICT and item.sealed is not None:
        sending.rename(turn, row, item)
    wait = max(1, seconds)
    turn.set_live(topic, posted=posted, retry=turn.now + wait)
    turn.wake(turn.now + wait)
    _show_again(turn, topic, code)
