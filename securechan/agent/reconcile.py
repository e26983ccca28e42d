"""Looking at one conversation, whenever anything about it may have changed: what is to be done now, and by whom.

    frozen ─► insist            founding ─► make the topic
    member ─► follow ─► read to the end? ─► pending? ─push─►
                                 │
                                 ├─ difference of membership ─► my turn? ─► take key packages ─► commit
                                 ├─ my own wish (renewal, new key, policy) ─► commit
                                 └─ nothing stands in the way ─► send what waits, or a sign of life

Key packages are taken at one's turn and not before, so that a race of many costs few. What we commit rests on the
newest trust that we have read, which is never below that of the last commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from securechan.agent import commits, joining, packages, recovery, sending
from securechan.agent.asks import Taking
from securechan.agent.events import AlarmKind, DeviceWaiting, Held, MemberRevoked
from securechan.agent.membership import Circumstances, Difference, differences, revoked, wait
from securechan.agent.policy import Policy, Seat, seat
from securechan.agent.state import (
    BURIED,
    PENDING,
    Confirmed,
    Conversation,
    DeviceKey,
    KeyState,
    Standing,
)
from securechan.agent.turn import Turn
from securechan.bulletin.payload import Control, ControlKind, Heartbeat
from securechan.errors import Denied, Invalid, SecurechanError
from securechan.mls.group import Member
from securechan.mls.keypackage import CLOCK_SKEW, DEFAULT_LIFETIME, KeyPackage
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import check_key_package
from securechan.trust.records import DeviceRecord, key_hash
from securechan.wire.frames import TakeKeyPackage

QUIET: Final = 4 * 3600  # seconds of silence after which somebody gives a sign of life
HOUR: Final = 3600  # at most one scheduled renewal per conversation in it
ABSENT: Final = 2  # seconds until a device without key packages is asked for again, doubling …
ABSENT_MOST: Final = 300  # … up to this
MOST_TOLD: Final = 500
UNWELCOMED: Final = 3600  # seconds after which a newcomer is added anew whose committer fell silent with its commit
JUDGED_FOR: Final = 10  # seconds after which a difference of membership is judged anew, for what expires


def settle(turn: Turn, topic: bytes) -> None:
    """Do what is to be done in this conversation now."""
    conversation = turn.conversation(topic)
    match conversation.standing:
        case Standing.FOUNDING:
            joining.create(turn, topic)
        case Standing.FROZEN:
            recovery.insist(turn, topic)
            joining.consider(turn, topic)
        case Standing.GONE:
            joining.consider(turn, topic)
        case Standing.MEMBER:
            _settle_member(turn, topic)


def _settle_member(turn: Turn, topic: bytes) -> None:
    if not turn.session.connected or not turn.session.trust_synced:
        return
    sending.follow(turn, topic)
    if not turn.live(topic).synced:
        return
    pending = turn.rows.get(PENDING, topic.hex())
    if pending is not None:
        commits.push(turn, topic, pending)
        if pending.retry <= turn.now:
            return
    difference = difference_of(turn, topic)
    _tell(turn, topic, difference)
    if pending is None and _commit_if_due(turn, topic, difference):
        return
    conversation = turn.conversation(topic)
    if not sending.obstacle(turn, conversation, difference):
        _sign_of_life(turn, conversation)
        sending.post(turn, topic)


def difference_of(turn: Turn, topic: bytes) -> Difference:
    """What has to change in a conversation's tree. Judged anew when anything that it follows from has changed, and now
    and then because time passes: of a thousand members that is a thousand records to look at, and words come often."""
    conversation, paused = turn.conversation(topic), turn.live(topic).readded
    wanted = frozenset(conversation.returning) | _unwelcomed(turn, conversation)
    returning = frozenset(each for each in wanted if paused.get(each, 0) <= turn.now)
    for device in wanted - returning:
        turn.wake(paused[device])
    buried, view = tuple(turn.rows.all(BURIED).values()), turn.view
    follows_from = (
        turn.group(topic).epoch_authenticator,
        view.position,
        conversation.confirmed,
        conversation.officers,
        conversation.leaving,
        returning,
        buried,
        conversation.intruders,
        turn.now // JUDGED_FOR,
    )
    kept = turn.memory.differences.get(topic)
    if kept is not None and kept[0] is view and kept[1] == follows_from:
        return kept[2]
    about = Circumstances(
        frozenset((each.device, each.key_hash) for each in conversation.confirmed),
        frozenset(conversation.officers),
        frozenset(conversation.leaving),
        returning,
        frozenset(buried),
        frozenset(conversation.intruders),
    )
    found = differences(turn.seats(topic), turn.policy(topic), view, turn.now, about, turn.suite.name)
    turn.memory.differences[topic] = view, follows_from, found
    return found


def _unwelcomed(turn: Turn, conversation: Conversation) -> frozenset[str]:
    """Newcomers whose committer has said nothing since, and who have said nothing either: their Welcome has died with
    it, as likely as not, and whoever adds them anew writes another."""
    found: set[str] = set()
    for each in conversation.owed:
        if each.since + UNWELCOMED > turn.now:
            turn.wake(each.since + UNWELCOMED)
        else:
            found.update(name for name in each.newcomers if name != turn.me.device)
    return frozenset(found)


def _tell(turn: Turn, topic: bytes, difference: Difference) -> None:
    """People learn once of a device that waits to be vouched for, of a member that was revoked, and are alarmed by a
    leaf that trust has never admitted as it stands."""
    conversation, there = turn.conversation(topic), turn.seats(topic)
    for name in difference.waiting:
        record = turn.view.device(name)
        mark = Confirmed(name, key_hash(record.signature_key))
        if mark not in conversation.announced and len(conversation.announced) < MOST_TOLD:
            conversation = turn.change(topic, announced=(*conversation.announced, mark))
            turn.emit(DeviceWaiting(topic, name, record.address, mark.key_hash))
    for leaf in sorted(difference.quarantined):
        mark = Confirmed(there[leaf].device, key_hash(there[leaf].key))
        if mark not in conversation.alarmed and len(conversation.alarmed) < MOST_TOLD:
            conversation = turn.change(topic, alarmed=(*conversation.alarmed, mark))
            reason = revoked(there[leaf], turn.view, turn.now)
            if reason:
                turn.emit(MemberRevoked(topic, mark.device, there[leaf].officer, reason))
                continue
            who = mark.device or "a leaf that says not whose it is"
            text = f"{who} is not admitted by trust: nothing is sent until it is out"
            turn.alarm(AlarmKind.QUARANTINE, text, topic=topic, who=mark.device)
            turn.emit(Held(topic, text))


# ----------------------------------------------------------------------------------------------------- committing


def _commit_if_due(turn: Turn, topic: bytes, difference: Difference) -> bool:
    """Commit what is due of us. Whether a commit is on its way or being prepared."""
    live, conversation = turn.live(topic), turn.conversation(topic)
    if live.retry > turn.now:
        turn.wake(live.retry)
        return False
    there, own = turn.seats(topic), int(turn.group(topic).own_leaf)
    wish = _wish(turn, conversation, there, own)
    removes = tuple(leaf for leaf in difference.removes if leaf != own)
    candidates = _candidates(turn, topic, difference.adds)
    due = bool(removes or candidates) and _our_turn(turn, topic, difference, there, own)
    if due and not _take(turn, topic, candidates):
        return not removes  # key packages are awaited; a removal holds everything else anyway
    adds = _taken(turn, topic, candidates, there, removes) if due else {}
    if due and (adds or removes):
        return _seal(turn, topic, adds, removes, wish)
    return wish.any and _seal(turn, topic, {}, (), wish)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What we want for ourselves: it goes with whatever we commit."""

    renew: bool
    key: DeviceKey | None
    policy: Policy | None

    @property
    def any(self) -> bool:
        return self.renew or self.key is not None or self.policy is not None


def _wish(turn: Turn, conversation: Conversation, there: Mapping[int, Seat], own: int) -> _Wish:
    adopting = turn.key(KeyState.ADOPTING)
    key = adopting if adopting is not None and there[own].key != adopting.public else None
    policy = None
    if conversation.wanted:
        wanted, now = Policy.decode(conversation.wanted), turn.policy(conversation.topic)
        if wanted != now and turn.me.officer in now.stewards:
            policy = wanted
        else:  # it is so already, or it isn't ours to say any more
            turn.change(conversation.topic, wanted=b"")
    renew = bool(conversation.rotate) or _renewal_due(turn, conversation, there, own)
    return _Wish(renew or _mend_due(turn, conversation, there, own), key, policy)


def _mend_due(turn: Turn, conversation: Conversation, there: Mapping[int, Seat], own: int) -> bool:
    """After a commit with a false access hash somebody commits at once, so that the relay knows a hash that holds."""
    if not conversation.mend:
        return False
    epoch = turn.group(conversation.topic).epoch
    at = conversation.committed + (wait(there, own, (), epoch, b"mend") or 0)
    if at > turn.now:
        turn.wake(at)
        return False
    return True


def _renewal_due(turn: Turn, conversation: Conversation, there: Mapping[int, Seat], own: int) -> bool:
    """Every member renews its own leaf in the interval of the policy, one after another."""
    policy = turn.policy(conversation.topic)
    apart = min(HOUR, policy.renewal)
    at = max(conversation.renewed + policy.renewal, conversation.committed + apart)
    if at <= turn.now:  # whose turn it is, is looked at when it is somebody's
        epoch = turn.group(conversation.topic).epoch
        at += wait(there, own, (), epoch, b"renew") or 0  # another order in each epoch, so that nobody is always last
    if at <= turn.now:
        return len(there) > 1
    turn.wake(at)
    return False


def _our_turn(turn: Turn, topic: bytes, difference: Difference, there: Mapping[int, Seat], own: int) -> bool:
    change, live = difference.change(), turn.live(topic)
    if live.change != change:
        live = turn.set_live(topic, change=change, since=turn.now)
    seconds = wait(there, own, difference.removes, turn.group(topic).epoch, change)
    if seconds is None:
        return False
    if live.since + seconds > turn.now:
        turn.wake(live.since + seconds)
        return False
    return True


def _candidates(turn: Turn, topic: bytes, adds: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the devices to add that may have key packages now."""
    live, found = turn.live(topic), []
    for name in adds:
        at = live.absent.get(name, (0, 0))[0]
        if at > turn.now:
            turn.wake(at)
        else:
            found.append(name)
    return tuple(found)


def _take(turn: Turn, topic: bytes, names: tuple[str, ...]) -> bool:
    """Take a key package of each. Whether all have answered."""
    live, complete = turn.live(topic), True
    for name in names:
        if name in live.packages:
            continue
        complete = False
        turn.send(TakeKeyPackage(name, turn.me.suite), Taking(topic, name))
    return complete


def taken(turn: Turn, topic: bytes, device: str, wire: bytes) -> None:
    """The relay has handed out a key package."""
    live = turn.live(topic)
    if len(live.packages) < MOST_TOLD:
        turn.set_live(topic, packages={**live.packages, device: wire})


def absent(turn: Turn, topic: bytes, device: str) -> None:
    """The relay has none: a device that hasn't been here yet. Looked for again, less and less often."""
    live = turn.live(topic)
    attempts = live.absent.get(device, (0, 0))[1]
    at = turn.now + min(ABSENT_MOST, ABSENT << min(attempts, 10))
    turn.set_live(topic, absent={**live.absent, device: (at, attempts + 1)})
    turn.wake(at)


def _taken(
    turn: Turn, topic: bytes, names: tuple[str, ...], there: Mapping[int, Seat], removes: tuple[int, ...]
) -> dict[str, KeyPackage]:
    """The key packages that hold against trust, of devices that aren't in the tree after ``removes``."""
    live = turn.live(topic)
    staying = {each.device for leaf, each in there.items() if leaf not in removes}
    found: dict[str, KeyPackage] = {}
    for name in names:
        wire = live.packages.get(name)
        if wire is None or name in staying:
            continue
        try:
            package = packages.parse(wire)
            _check(turn, topic, turn.view.device(name), package)
            found[name] = package
        except SecurechanError as error:
            text = f"a key package of {name} is refused: {error.message}"
            turn.alarm(AlarmKind.BAD_PACKAGE, text, topic=topic, who=name)
            turn.set_live(topic, packages={k: v for k, v in turn.live(topic).packages.items() if k != name})
            absent(turn, topic, name)
    return found


def _check(turn: Turn, topic: bytes, record: DeviceRecord, package: KeyPackage) -> None:
    """Whether a key package is that device's, by trust; and where a device needs somebody who vouches for it, whether
    somebody did for this very key: a roster may list another beside it. Raises `Invalid`, `Malformed`, `Denied`,
    `BadSignature`."""
    check_key_package(turn.suite, package, turn.now, max_lifetime=DEFAULT_LIFETIME + CLOCK_SKEW)
    offered = seat(Member(LeafIndex(0), package.leaf_node))
    if offered.device != record.name or offered.officer != record.address:
        raise Invalid("it says to be of another device or officer")
    digest = key_hash(offered.key)
    if digest not in record.hashes(turn.suite.name) or turn.view.tombstoned(digest) is not None:
        raise Denied("it is signed with a key that its agency does not list")
    conversation = turn.conversation(topic)
    known = turn.policy(topic).by_officer and record.address in conversation.officers
    if known and Confirmed(record.name, digest) not in conversation.confirmed:
        raise Denied("it is signed with a key that nobody here has vouched for")


def _seal(turn: Turn, topic: bytes, adds: dict[str, KeyPackage], removes: tuple[int, ...], wish: _Wish) -> bool:
    live = turn.live(topic)
    try:
        commits.seal(turn, topic, adds=adds, removes=removes, policy=wish.policy, new_key=wish.key)
    except SecurechanError as error:
        # What MLS refuses of a package or a policy is not going to be better in a moment.
        turn.alarm(AlarmKind.BAD_PACKAGE, f"a commit can't be made: {error.message}", topic=topic)
        for name in adds:
            absent(turn, topic, name)
        turn.set_live(topic, packages={}, retry=turn.now + 30)
        turn.change(topic, wanted=b"", rotate=0)
        turn.wake(turn.now + 30)
        return False
    turn.set_live(topic, packages={k: v for k, v in live.packages.items() if k not in adds})
    pending = turn.rows.get(PENDING, topic.hex())
    if pending is not None:
        commits.push(turn, topic, pending)
    return True


# --------------------------------------------------------------------------------------------------- signs of life


def _sign_of_life(turn: Turn, conversation: Conversation) -> None:
    """In a quiet conversation somebody says something, so that a withheld tail is noticed."""
    topic = conversation.topic
    there, own = turn.seats(topic), int(turn.group(topic).own_leaf)
    if len(there) < 2:
        return
    at = conversation.spoke + QUIET
    if at <= turn.now:
        at += 30 * (wait(there, own, (), conversation.cursor.sequence, b"alive") or 0)
    if at > turn.now:
        turn.wake(at)
        return
    turn.put(replace(turn.conversation(topic), spoke=turn.now))
    sending.queue(turn, topic, Control(ControlKind.HEARTBEAT, Heartbeat()))


def left_to_rotate(turn: Turn) -> int:
    """Conversations whose leaf doesn't have our newest key yet."""
    adopting = turn.key(KeyState.ADOPTING)
    if adopting is None:
        return 0
    count = 0
    for conversation in turn.conversations():
        if conversation.standing is Standing.MEMBER:
            own = int(turn.group(conversation.topic).own_leaf)
            count += turn.seats(conversation.topic)[own].key != adopting.public
    return count
