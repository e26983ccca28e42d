"""Whoever knows a conversation's id can write an invitation to a group of its own making that looks like the true one:
it neither takes the true one's place before people's eyes, nor keeps it out."""

from __future__ import annotations

import pytest

from securechan.agent import letters
from securechan.agent.events import Alarm, AlarmKind, ConversationJoined, ConversationOffered
from securechan.agent.inputs import AcceptConversation, ChangePolicy, CreateConversation, DeclineConversation, SendText
from securechan.agent.letters import WelcomeLetter
from securechan.agent.policy import Officer, Policy
from securechan.agent.state import LETTERS, PACKAGES
from securechan.agent.turn import Turn
from securechan.bulletin.tlp import Tlp
from securechan.crypto.secret import Secret
from securechan.crypto.suite import HYBRID
from securechan.errors import Conflict, NotFound
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackageBundle, LeafKeys
from securechan.mls.nodes import BasicCredential
from securechan.wire.chain import Position
from securechan.wire.frames import Appended, Deliver, inbox_topic
from tests.agent.places import STEWARDS, community, group_of, row_of, secret, words
from tests.support.world import Actor, World


def forge(writer: Actor, reader: Actor, like: Group, *, base: Position, policy: Policy | None = None) -> None:
    """A group with the id, the policy and the founding of another, and the reader in it; delivered as a letter."""
    world, topic = writer.world, like.group_id
    extensions = like.context_extensions
    if policy is not None:
        extensions = tuple(policy.extension() if each.kind == policy.extension().kind else each for each in extensions)
    keys = LeafKeys(Secret(writer.device.key.private), BasicCredential(writer.name.encode()))
    group = Group.create(
        HYBRID,
        topic,
        keys,
        now=world.now,
        extensions=extensions,
        leaf_extensions=(Officer(writer.officer).extension(),),
    )
    package = next(each for each in reader.agent.rows.all(PACKAGES).values() if not each.last_resort)
    step = group.commit(adds=(KeyPackageBundle.decode(package.bundle).key_package,), tree_in_welcome=False)
    turn = Turn(writer.agent.rows, writer.agent.session, world.chance, world.now)
    (welcome,) = step.welcomes
    body = WelcomeLetter(topic, base, turn.trust_position, welcome, step.ratchet_tree, None, (), ())
    assert letters.write(turn, turn.view.device(reader.name), body)
    sealed = max(turn.rows.all(LETTERS).items())[1].body
    assert writer.member is not None
    request = Deliver(inbox_topic(reader.name), world.chance(32), sealed)
    assert isinstance(world.loop.run_until_complete(writer.member.request(request)), Appended)


def test_a_second_inviter_takes_nobodys_place(world: World) -> None:
    ana, bor, cene, topic = community(world, bound=False)
    assert [each.by for each in cene.told(ConversationOffered)] == [ana.name]
    forge(bor, cene, group_of(ana, topic), base=row_of(ana, topic).cursor)
    world.run(2)
    assert [each.by for each in cene.told(ConversationOffered)] == [ana.name, bor.name]
    assert {each.by for each in cene.agent.offers()} == {ana.name, bor.name}
    with pytest.raises(Conflict):
        cene.do(AcceptConversation(topic))  # whose?
    with pytest.raises(NotFound):
        cene.do(AcceptConversation(topic, by="cert-hr/nobody"))
    cene.do(AcceptConversation(topic, by=ana.name))
    world.run(5)
    assert secret(cene, topic) == secret(ana, topic)
    assert cene.agent.offers() == ()  # a member has nothing to accept
    with pytest.raises(Conflict):
        cene.do(AcceptConversation(topic, by=bor.name))
    ana.do(SendText(topic, "welcome", Tlp.GREEN))
    world.run(2)
    assert words(cene, topic) == ["welcome"]


def test_one_offer_of_two_is_declined(world: World) -> None:
    ana, bor, cene, topic = community(world, bound=False)
    forge(bor, cene, group_of(ana, topic), base=row_of(ana, topic).cursor)
    world.run(2)
    cene.do(DeclineConversation(topic, bor.name))
    assert [each.by for each in cene.agent.offers()] == [ana.name]
    cene.do(AcceptConversation(topic))
    world.run(5)
    assert secret(cene, topic) == secret(ana, topic)


def test_a_false_invitation_that_is_taken_unasked_does_not_keep_the_true_one_out(world: World) -> None:
    """The federation binds the name to ana; bor makes a group of the same id with ana's own founding in it, which is
    joined unasked, and says that its log begins where no log ever comes to."""
    ana, bor = world.enrol_all("cert-hr", "ana", "bor")
    (cene,) = world.enrol_all("cert-si", "cene")
    world.bind("eu-csirts", founders=(ana.name,))
    for each in (ana, bor, cene):
        each.connect()
    world.run()
    alone = world.community("eu-csirts", "cert-hr", stewards=("ana@cert-hr",))
    whole = world.community("eu-csirts", stewards=STEWARDS)
    topic = ana.do(CreateConversation(alone))
    world.run(10)
    forge(bor, cene, group_of(ana, topic), base=Position(1 << 63, bytes(48)), policy=whole)
    world.run(2)
    assert [each.by for each in cene.told(ConversationJoined)] == [bor.name]
    assert row_of(cene, topic).cursor.sequence == 1 << 63
    ana.do(ChangePolicy(topic, whole))
    world.run(60)
    assert [each.by for each in cene.told(ConversationJoined)][1:]
    assert secret(cene, topic) == secret(ana, topic)
    ana.do(SendText(topic, "the true one", Tlp.GREEN))
    world.run(5)
    assert words(cene, topic) == ["the true one"]
    assert AlarmKind.CANNOT_FOLLOW in {each.kind for each in cene.told(Alarm)}
