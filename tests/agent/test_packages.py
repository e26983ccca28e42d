"""Key packages: in stock, used once, renewed in time, and all void when keys change."""

from __future__ import annotations

import pytest

from securechan.agent.events import Alarm
from securechan.agent.inputs import CreateConversation
from securechan.agent.packages import LOW, STOCK, parse
from securechan.agent.state import PACKAGES
from securechan.errors import Malformed
from securechan.mls.nodes import Lifetime
from securechan.wire.frames import CountKeyPackages, KeyPackageTaken, TakeKeyPackage
from tests.agent.places import community
from tests.support.actor import Actor
from tests.support.world import World

DAY = 86400


def left(actor: Actor) -> int:
    assert actor.member is not None
    answer = actor.world.loop.run_until_complete(actor.member.request(CountKeyPackages(actor.agent.me.suite)))
    return int(answer.count)


def test_a_connected_device_has_its_stock_at_the_relay(world: World) -> None:
    (ana,) = world.enrol_all("cert-hr", "ana")
    ana.connect()
    world.run(5)
    assert LOW <= left(ana) <= STOCK
    rows = ana.agent.rows.all(PACKAGES).values()
    assert [each.last_resort for each in rows].count(1) == 1
    assert all(each.stored for each in rows)


def test_what_a_welcome_used_is_gone_and_the_stock_refills(world: World) -> None:
    ana, bor, _, _ = community(world)
    before = set(bor.tables["packages"])
    for number in range(12):
        ana.do(CreateConversation(world.direct(f"talk {number}", "ana@cert-hr", "bor@cert-hr")))
        world.run(3)
    assert len(bor.agent.conversations()) == 13
    assert not before <= set(bor.tables["packages"])
    assert left(bor) >= LOW


def test_the_last_resort_serves_again_and_again_when_the_stock_is_empty(world: World) -> None:
    ana, bor, _cene, _ = community(world)
    bor.disconnect()
    assert ana.member is not None
    taken = 0
    while True:
        answer = world.loop.run_until_complete(ana.member.request(TakeKeyPackage(bor.name, bor.agent.me.suite)))
        assert isinstance(answer, KeyPackageTaken)
        taken += 1
        if answer.last_resort:
            break
    assert taken >= LOW
    topics = [
        ana.do(CreateConversation(world.direct(f"talk {number}", "ana@cert-hr", "bor@cert-hr"))) for number in range(2)
    ]
    world.run(5)
    bor.connect()
    world.run(10)
    assert {bor.agent.conversation(topic).standing for topic in topics} == {"member"}


def test_a_stock_whose_private_halves_are_not_here_is_made_anew_at_the_first_invitation(world: World) -> None:
    ana, bor, _cene, _ = community(world)
    bor.disconnect()
    strange = set(bor.tables["packages"])
    bor.tables["packages"].clear()
    bor.restart()
    bor.connect()
    world.run(3)
    assert left(bor) >= LOW
    topic = ana.do(CreateConversation(world.direct("talk", "ana@cert-hr", "bor@cert-hr")))
    world.run(5)
    assert bor.agent.conversation(topic).standing == "member"  # asked once to be added again, by a package that is here
    assert strange.isdisjoint(bor.tables["packages"])
    assert left(bor) >= LOW
    alarms = len(bor.told(Alarm))
    ana.do(CreateConversation(world.direct("another talk", "ana@cert-hr", "bor@cert-hr")))
    world.run(3)
    assert len(bor.told(Alarm)) == alarms == 1


def test_packages_are_renewed_before_they_end_and_forgotten_after(world: World) -> None:
    (ana,) = world.enrol_all("cert-hr", "ana")
    ana.connect()
    world.run(5)
    first = set(ana.tables["packages"])
    ana.disconnect()
    world.now += 40 * DAY
    ana.connect()
    world.run(5)
    assert first.isdisjoint(ana.tables["packages"])


@pytest.mark.parametrize("days", [22, 40])
def test_a_stock_that_nobody_drew_from_is_made_anew_before_it_ends(world: World, days: int) -> None:
    """Else who wants to add us is handed out one after the other that it must refuse."""
    (ana,) = world.enrol_all("cert-hr", "ana")
    ana.connect()
    world.run(5)
    first = set(ana.tables["packages"])
    ana.disconnect()
    world.now += days * DAY
    ana.connect()
    world.run(5)
    fresh = set(ana.tables["packages"]) - first
    assert LOW <= left(ana) < len(fresh) <= STOCK
    assert bool(first & set(ana.tables["packages"])) == (days < 28)  # for Welcomes on their way
    assert ana.member is not None
    answer = world.loop.run_until_complete(ana.member.request(TakeKeyPackage(ana.name, ana.agent.me.suite)))
    assert isinstance(answer, KeyPackageTaken)
    taken = parse(answer.package).leaf_node.origin
    assert isinstance(taken, Lifetime)
    assert taken.not_after > world.now + 27 * DAY
    ana.disconnect()
    ana.connect()
    world.run(5)
    assert fresh <= set(ana.tables["packages"])  # once is enough


def test_what_is_no_key_package_is_malformed() -> None:
    with pytest.raises(Malformed):
        parse(b"\x00\x01\x00\x05")
