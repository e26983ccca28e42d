"""Whoever knows a conversation's id can write an invitation to a group of its own making that looks like the true one:
it neither takes the true one's place before people's eyes, nor keeps it out."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from unittest import mock

import pytest

from securechan.agent import blobs, letters
from securechan.agent.events import Alarm, AlarmKind, ConversationJoined, ConversationOffered
from securechan.agent.inputs import AcceptConversation, ChangePolicy, CreateConversation, DeclineConversation, SendText
from securechan.agent.joining import digest, offer_row
from securechan.agent.letters import WelcomeLetter
from securechan.agent.look import policy_of_offer
from securechan.agent.policy import Officer, Policy
from securechan.agent.state import LETTERS, OFFERS, PACKAGES, UPLOADS, Confirmed, Joiner, Pending
from securechan.agent.turn import Turn
from securechan.bulletin.tlp import Tlp
from securechan.crypto.secret import Secret
from securechan.crypto.suite import HYBRID
from securechan.errors import Conflict, NotFound
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, KeyPackageBundle, LeafKeys
from securechan.mls.nodes import BasicCredential
from securechan.trust.records import key_hash
from securechan.wire.chain import Position
from securechan.wire.frames import Appended, Count, Deliver, PutBlob, inbox_topic
from tests.agent.places import STEWARDS, community, group_of, package, row_of, secret, words
from tests.agent.test_succession import wedge
from tests.support.actor import Actor
from tests.support.federation import make_device
from tests.support.world import World


def forge(
    writer: Actor,
    reader: Actor,
    like: Group,
    *,
    base: Position,
    policy: Policy | None = None,
    beside: tuple[KeyPackage, ...] = (),
    intruders: tuple[str, ...] = (),
    apart: bool = False,
) -> bytes:
    """A group with the id, the policy and the founding of another, and the reader in it; delivered as a letter. With
    ``apart`` the tree is to come as a blob: what would have to be stored is returned."""
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
    ours = next(each for each in reader.agent.rows.all(PACKAGES).values() if not each.last_resort)
    step = group.commit(adds=(KeyPackageBundle.decode(ours.bundle).key_package, *beside), tree_in_welcome=False)
    turn = Turn(writer.agent.rows, writer.agent.session, world.chance, world.now)
    tree, ref, stored = step.ratchet_tree, None, b""
    if apart:
        tree, ref = b"", blobs.put(turn, tree)
        stored = turn.rows.need(UPLOADS, ref.blob.hex()).data
    body = WelcomeLetter(topic, base, turn.trust_position, step.welcomes[0], tree, ref, (), (), intruders)
    assert letters.write(turn, (turn.view.device(reader.name),), body)
    sealed = max(turn.rows.all(LETTERS).items())[1].copies[0].body
    assert writer.member is not None
    request = Deliver(inbox_topic(reader.name), world.chance(32), sealed)
    assert isinstance(world.loop.run_until_complete(writer.member.request(request)), Appended)
    return stored


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


# ----------------------------------------------------------------------------- what was looked at, and nothing else


def test_what_was_looked_at_is_joined_or_nothing(world: World) -> None:
    """An inviter puts another invitation in the place of its first, to a group to which somebody more belongs, after
    that was looked at and before it is joined."""
    ana, _bor, cene, topic = community(world, bound=False)
    (shown,) = cene.agent.offers()
    wider = world.community("eu-csirts", stewards=(*STEWARDS, "bor@cert-hr"))
    forge(ana, cene, group_of(ana, topic), base=row_of(ana, topic).cursor, policy=wider)
    world.run(2)
    with pytest.raises(Conflict) as refused:
        cene.do(AcceptConversation(topic, by=ana.name, judged=digest(shown)))
    assert refused.value.code == "offer-changed"
    assert "conversation ls" in refused.value.hint
    world.run(5)
    assert cene.agent.conversations() == ()
    (now,) = cene.agent.offers()
    assert policy_of_offer(now) == wider
    cene.do(AcceptConversation(topic, by=ana.name, judged=digest(now)))
    assert cene.agent.conversation(topic).policy == wider


def test_what_opens_otherwise_than_it_did_is_not_joined(world: World) -> None:
    """AES-GCM doesn't bind a ciphertext to its key: a Welcome for two key packages of one device may open differently,
    once the first of them is used."""
    _ana, _bor, cene, topic = community(world, bound=False)
    (offer,) = cene.agent.offers()
    seen = world.community("eu-csirts", stewards=(*STEWARDS, "bor@cert-hr"))
    rows = cene.agent.rows.edit()
    rows.put(OFFERS, offer_row(topic, offer.by), replace(offer, policy=seen.encode()))
    after, writes = rows.seal()
    cene.agent = replace(cene.agent, rows=after)
    cene.adopt(writes)
    cene.do(AcceptConversation(topic, judged=digest(offer)))
    world.run(5)
    assert (cene.agent.conversations(), cene.agent.offers()) == ((), ())
    assert AlarmKind.BAD_LETTER in {each.kind for each in cene.told(Alarm)}


@pytest.mark.parametrize("comes", [True, False])
def test_what_was_accepted_before_its_tree_came_is_joined_or_nothing(world: World, comes: bool) -> None:
    """Who accepts before a large tree has come joins when it comes; not what the inviter sends instead of it."""
    ana, _bor, cene, topic = community(world, bound=False)
    (shown,) = cene.agent.offers()
    at, like = row_of(ana, topic).cursor, group_of(ana, topic)
    tree = forge(ana, cene, like, base=at, apart=True)
    world.run(2)
    assert cene.agent.offers() == ()  # nothing of it can be seen yet
    (arriving,) = cene.agent.arriving()
    assert policy_of_offer(arriving) is None
    with pytest.raises(Conflict):
        cene.do(AcceptConversation(topic, judged=digest(shown)))
    cene.do(AcceptConversation(topic, judged=digest(arriving)))
    assert cene.agent.conversations() == ()
    if comes:
        assert ana.member is not None
        put = ana.member.request(PutBlob(hashlib.sha256(tree).digest(), len(tree), 0, tree))
        assert isinstance(world.loop.run_until_complete(put), Count)
    else:
        forge(ana, cene, like, base=at, policy=world.community("eu-csirts", stewards=(*STEWARDS, "bor@cert-hr")))
    world.run(60)
    assert cene.agent.arriving() == ()
    assert [each.topic for each in cene.agent.conversations()] == ([topic] if comes else [])
    assert [each.topic for each in cene.agent.offers()] == ([] if comes else [topic])


def test_the_tree_of_a_later_invitation_is_fetched_instead_of_the_earlier_one(world: World) -> None:
    ana, _bor, cene, topic = community(world, bound=False)
    for _ in range(2):
        tree = forge(ana, cene, group_of(ana, topic), base=row_of(ana, topic).cursor, apart=True)
        world.run(2)
    assert ana.member is not None
    put = ana.member.request(PutBlob(hashlib.sha256(tree).digest(), len(tree), 0, tree))
    assert isinstance(world.loop.run_until_complete(put), Count)
    world.run(60)
    assert [each.topic for each in cene.agent.offers()] == [topic]


# ------------------------------------------------------------------------------------------ who is in there already


def test_a_joiner_does_not_vouch_for_an_intruder_that_it_finds(world: World) -> None:
    """Where membership goes by officers: the letter says who is in the tree though nobody vouched, and trust says whose
    leaf is nobody's."""
    (ana,), (cene,) = world.enrol_all("cert-hr", "ana"), world.enrol_all("cert-si", "cene")
    tap = make_device("cert-hr", "tap", "ana", "liaison", now=world.now)
    world.publish(world.roster("cert-hr", add=[tap.record]))
    for each in (ana, cene):
        each.connect()
    world.run()
    topic: bytes = ana.do(CreateConversation(world.direct("ana and ana", "ana@cert-hr")))
    world.run(5)
    both = world.direct("ana and cene", "ana@cert-hr", "cene@cert-si")
    beside = (
        package(tap.name, "ana@cert-hr", world.now, bytes(tap.key.private)),
        package("cert-hr/stranger", "ana@cert-hr", world.now),
    )
    at = row_of(ana, topic).cursor
    forge(ana, cene, group_of(ana, topic), base=at, policy=both, beside=beside, intruders=(tap.name, cene.name))
    world.run(2)
    cene.do(AcceptConversation(topic))
    assert {each.device for each in row_of(cene, topic).confirmed} == {ana.name, cene.name}
    assert row_of(cene, topic).intruders == (tap.name,)  # of oneself one knows better


def test_the_letter_names_intruders_until_somebody_vouches(world: World) -> None:
    ana, bor, cene, topic = community(world)
    turn = Turn(ana.agent.rows, ana.agent.session, world.chance, world.now)
    key = next(each.key for each in turn.seats(topic).values() if each.device == bor.name)
    strange = turn.change(topic, intruders=(bor.name, "cert-hr/gone"), confirmed=(Confirmed(bor.name, bytes(48)),))
    vouched = turn.change(topic, confirmed=(Confirmed(bor.name, key_hash(key)),))
    made = Pending(0, bytes(32), b"", bytes(32), b"", (), b"", None, turn.trust_position, 0, 0)
    with mock.patch.object(letters, "write") as write:
        for row in (strange, vouched):
            letters.welcome(turn, row, Joiner(cene.name, b"", 0), made, row.cursor)
    assert [call.args[2].intruders for call in write.call_args_list] == [(bor.name,), ()]


def test_a_stranger_takes_no_frozen_conversation_by_having_itself_asked(world: World) -> None:
    """Whom we asked to be added again is followed unasked. A device without a leaf sends an invitation that can't be
    opened, whereupon it is asked; the next one, to a group of its own making, must not be taken for the answer."""
    ana, bor, cene, topic = community(world, bound=False)
    cene.do(AcceptConversation(topic, by=ana.name))
    world.run(1)
    ana.disconnect()
    bor.disconnect()
    dora = world.enrol("cert-hr", "dora-laptop", "dora", "liaison").connect()
    world.run(1)
    wedge(cene, topic)
    like, far = group_of(ana, topic), Position(1 << 63, bytes(48))
    whole = dict(cene.agent.rows.all(PACKAGES))
    rows = cene.agent.rows.edit()
    gone = next(name for name, row in whole.items() if not row.last_resort)
    forge(dora, cene, like, base=far)
    rows.drop(PACKAGES, gone)
    after, writes = rows.seal()
    cene.adopt(writes)
    cene.agent = replace(cene.agent, rows=after)
    cene.restart().connect()
    world.run(5)
    forge(dora, cene, like, base=far)
    world.run(5)
    assert not [each for each in cene.told(ConversationJoined) if each.by == dora.name]
    assert dora.name not in row_of(cene, topic).asked
