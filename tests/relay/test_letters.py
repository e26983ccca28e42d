"""Inboxes and boxes: who writes, who reads, who may not."""

from __future__ import annotations

from relay.bounds import Bounds
from relay.people import Guest
from securechan.wire.frames import (
    TRUST_TOPIC,
    Append,
    Appended,
    Code,
    CommitClaim,
    CreateBox,
    CreateTopic,
    Deliver,
    Done,
    EntryKind,
    Error,
    GetBlob,
    GetHeads,
    Halt,
    Ping,
    Publish,
    PutBlob,
    Reason,
    Show,
    Subscribe,
    TakeKeyPackage,
    Trim,
    TrustDocument,
    inbox_topic,
)
from tests.relay.desk import Client, Desk, digest, founded, open_desk
from tests.support.federation import make_device

T = digest("topic")
S0, S1, S2, S3 = (digest("secret", n) for n in range(4))


async def test_inboxes_are_written_by_all_and_read_and_trimmed_by_one() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        mine, yours = inbox_topic("cert-hr/a"), inbox_topic("cert-si/c")
        await two.read(yours)  # before anything was ever delivered
        await two.halted(yours, Halt.TAIL)
        assert await one.ask(Deliver(yours, digest(1), b"welcome")) == Appended(1)
        assert await one.ask(Deliver(yours, digest(1), b"welcome")) == Appended(1)
        assert await one.ask(Deliver(yours, digest(2), b"receipt")) == Appended(2)
        await two.halted(yours, Halt.TAIL, 2)
        assert two.bodies(yours) == [b"welcome", b"receipt"]
        assert (await one.refused(Subscribe(yours, 0))).code is Code.FORBIDDEN
        assert (await one.refused(Trim(yours, 1))).code is Code.FORBIDDEN
        assert (await one.refused(Append(yours, digest(3), b"x", None))).code is Code.UNKNOWN_TOPIC
        assert (await one.refused(Deliver(inbox_topic("cert-hr/nobody"), digest(3), b"x"))).code is Code.NOT_FOUND
        assert (await one.refused(Deliver(digest("a group"), digest(3), b"x"))).code is Code.NOT_FOUND
        assert await one.ask(Trim(mine, 5)) == Done()  # nothing there
        assert await two.ask(Trim(yours, 1)) == Done()
        later = desk.client("cert-si/c")
        assert two.outlet.ended is Reason.REPLACED
        await later.read(yours)
        await later.halted(yours, Halt.TAIL, 1)
        assert later.bodies(yours) == [b"receipt"]


async def test_an_inbox_whose_name_was_guessed_beforehand_is_its_owners() -> None:
    """A member makes a group topic where the inbox of a device will be that isn't enrolled yet. Before, its owner read
    nothing there for ever, and the squatter read its letters."""
    async with open_desk() as desk:
        squatter, sender = desk.client("cert-hr/a"), desk.client("cert-hr/b")
        place = inbox_topic("cert-si/new")
        await squatter.create(place, S0)
        await squatter.read(place)
        await squatter.say(place, b"mine")
        await squatter.halted(place, Halt.TAIL, 1)
        view = desk.trust.view
        assert view is not None
        device = make_device("cert-si", "new", "liaison-9", now=desk.clock() // 1000)
        role, content = founded().roster("cert-si", view, add=[device.record])
        assert await sender.ask(Publish(view.position.sequence, (TrustDocument(role, content),))) == Appended(2)

        numbers = [sender.send(Deliver(place, digest(n), b"letter")) for n in range(3)]
        assert [await sender.answer(number) for number in numbers] == [Appended(1), Appended(2), Appended(3)]
        owner = desk.client("cert-si/new")
        await owner.read(place)
        assert [entry.kind for entry in await owner.halted(place, Halt.TAIL, 3)] == [EntryKind.INBOX] * 3
        assert squatter.bodies(place) == [b"mine"]
        assert (await squatter.refused(Show(place, S0))).code is Code.UNKNOWN_TOPIC
        assert (await squatter.refused(Subscribe(place, 0))).code is Code.FORBIDDEN
        assert (await squatter.refused(Append(place, digest("x"), b"x", None))).code is Code.UNKNOWN_TOPIC
        assert await owner.ask(Trim(place, 3)) == Done()


async def test_an_inbox_holds_so_many() -> None:
    async with open_desk(bounds=Bounds(inbox_entries=2)) as desk:
        one = desk.client("cert-hr/a")
        to = inbox_topic("cert-si/c")
        answers = [await one.ask(Deliver(to, digest(n), b"x")) for n in range(3)]
        assert answers[:2] == [Appended(1), Appended(2)]
        assert isinstance(answers[2], Error)
        assert answers[2].code is Code.QUOTA
        assert answers[2].retry_after > 0
        assert await one.ask(Deliver(to, digest(1), b"x")) == Appended(2)


def guest_of(desk: Desk, box: bytes, minutes: int = 60) -> Guest:
    return Guest(box, "cert-hr", desk.clock.now // 1000 + 60 * minutes)


async def opened_box(desk: Desk, admin: Client, box: bytes = T) -> Client:
    """A box, and a guest at it."""
    assert await admin.ask(CreateBox(box, S0, desk.clock.now // 1000 + 3600)) == Done()
    return Client(desk, guest_of(desk, box))


async def test_a_guest_leaves_one_request_and_reads_the_answer() -> None:
    async with open_desk() as desk:
        admin, other = desk.client("cert-hr/a"), desk.client("cert-si/c")
        guest = await opened_box(desk, admin)
        await guest.read(T)
        assert (await admin.refused(Append(T, digest("a"), b"too early", None))).code is Code.FORBIDDEN
        assert await guest.ask(Append(T, digest("r"), b"request", None)) == Appended(1)
        assert await guest.ask(Append(T, digest("r"), b"request", None)) == Appended(1)
        assert (await guest.refused(Append(T, digest("s"), b"another", None))).code is Code.CONFLICT
        await admin.read(T)
        await admin.halted(T, Halt.TAIL, 1)
        assert await admin.ask(Append(T, digest("v"), b"verdict", None)) == Appended(2)
        await guest.halted(T, Halt.TAIL, 2)
        assert guest.bodies(T) == [b"request", b"verdict"]
        assert await guest.ask(Append(T, digest("r"), b"request", None)) == Appended(1)  # a late retry
        assert (await other.refused(Subscribe(T, 0))).code is Code.FORBIDDEN  # another agency's administrator
        assert (await other.refused(Append(T, digest("o"), b"o", None))).code is Code.UNKNOWN_TOPIC
        assert (await other.refused(CreateBox(T, S1, desk.clock.now // 1000 + 60))).code is Code.CONFLICT
        assert (await guest.refused(Append(T, digest("c"), b"c", CommitClaim(0, S0)))).code is Code.MALFORMED


async def test_a_guest_may_do_nothing_else() -> None:
    async with open_desk() as desk:
        admin = desk.client("cert-hr/a")
        guest = await opened_box(desk, admin)
        await opened_box(desk, admin, digest("other box"))
        for body in (CreateTopic(S0, S0), Deliver(S0, S0, b""), GetBlob(S0, 0), TakeKeyPackage("cert-hr/a", 1)):
            assert (await guest.refused(body)).code is Code.FORBIDDEN
        for body in (Publish(0, ()), CreateBox(S0, S0, 1), GetHeads(()), Show(T, S0), PutBlob(S0, 1, 0, b"x")):
            assert (await guest.refused(body)).code is Code.FORBIDDEN
        assert (await guest.refused(Append(digest("other box"), S0, b"", None))).code is Code.FORBIDDEN
        assert (await guest.refused(Subscribe(digest("other box"), 0))).code is Code.FORBIDDEN
        assert (await guest.refused(Subscribe(inbox_topic("cert-hr/a"), 0))).code in (
            Code.FORBIDDEN,
            Code.UNKNOWN_TOPIC,
        )
        assert await guest.ask(Ping()) == Done()
        await guest.read(TRUST_TOPIC)  # it will need the view to judge its approval
        await guest.halted(TRUST_TOPIC, Halt.TAIL, 1)


async def test_an_invite_is_good_for_one_session_at_a_time() -> None:
    """Else one code is enough to take all the sessions that a relay has."""
    async with open_desk(bounds=Bounds(sessions=3)) as desk:
        admin = desk.client("cert-hr/a")
        guests = [await opened_box(desk, admin)]
        guests += [Client(desk, guest_of(desk, T)) for _ in range(5)]
        assert [guest.outlet.ended for guest in guests] == [Reason.REPLACED] * 5 + [None]
        assert await guests[-1].ask(Ping()) == Done()
        guests[-2].member.leave()  # late: the place is the newer one's
        desk.client("cert-hr/b")
        guests[-1].member.leave()
        desk.client("cert-si/c")


async def test_boxes_have_their_time() -> None:
    async with open_desk(bounds=Bounds(box_lifetime=1000)) as desk:
        admin = desk.client("cert-hr/a")
        now = desk.clock.now // 1000
        assert (await admin.refused(CreateBox(T, S0, now + 1001))).code is Code.EXPIRED
        assert (await admin.refused(CreateBox(T, S0, now))).code is Code.EXPIRED
        assert await admin.ask(CreateBox(T, S0, now + 1000)) == Done()
        guest = Client(desk, guest_of(desk, T))
        desk.clock.now += 1000 * 1000
        assert (await guest.refused(Append(T, digest("r"), b"request", None))).code is Code.EXPIRED
