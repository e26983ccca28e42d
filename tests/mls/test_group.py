"""A group's life through its own doors: found, add, talk, renew, remove, rotate, export, save, and go on."""

from __future__ import annotations

import pytest

from securechan.crypto.suite import SUITES
from securechan.errors import Invalid, Malformed, Misuse, Stale
from securechan.mls.extensions import Extension, RequiredCapabilities, find_as
from securechan.mls.framing import PrivateMessage, PublicMessage
from securechan.mls.group import Group
from securechan.mls.keypackage import LeafKeys
from securechan.mls.message import MLSMessage
from securechan.mls.nodes import BasicCredential, Capabilities
from securechan.mls.outcomes import Application, Committed, Own, Proposed, Removed, Void
from securechan.mls.proposals import Add, ReInit, Remove
from securechan.mls.receive import peek
from securechan.mls.registry import (
    DEFAULT_EXTENSIONS,
    DEFAULT_PROPOSALS,
    ContentType,
    ExtensionType,
    ProtocolVersion,
    SenderType,
)
from securechan.mls.treemath import LeafIndex
from tests.support.mls import FAST, NOW, agree, bundle, follow, found, keys, taken

POLICY = Extension(0xF001, b"who belongs")
ABLE = Capabilities((1,), (FAST.number,), (0xF001,), (), (1,))


@pytest.mark.parametrize("name", sorted(SUITES))
def test_a_group_lives_in_every_suite(name: str) -> None:
    suite = SUITES[name]
    groups = found("alice", "bob", "carol", suite=suite)
    agree(groups)
    groups = follow(groups[0].commit(removes=[groups[2].own_leaf]), groups[1:2])
    agree(groups)
    alice, message = groups[0].protect(b"hello", authenticated_data=b"seen by all", padding=33)
    outcome = groups[1].receive(message)
    assert isinstance(outcome, Application)
    assert (outcome.plaintext, outcome.authenticated_data, outcome.sender) == (b"hello", b"seen by all", 0)
    assert alice.export("label", b"context", 40) == outcome.group.export(b"label", b"context", 40)
    assert alice.export("label", b"context", 40) != alice.export("label", b"another", 40)


def test_members_are_who_was_added() -> None:
    groups = found("alice", "bob", "carol")
    assert [member.identity for member in groups[1].members()] == [b"alice", b"bob", b"carol"]
    assert [member.leaf for member in groups[1].members()] == [0, 1, 2]
    assert [group.own_leaf for group in groups] == [0, 1, 2]
    assert groups[2].members()[2].encryption_key == groups[2].state.own_leaf_node.encryption_key


def test_a_step_has_two_groups_and_the_log_decides() -> None:
    alice, bob = found("alice", "bob")
    mine, theirs = alice.commit(authenticated_data=b"mine"), bob.commit()
    assert mine.next.epoch == alice.epoch + 1
    assert mine.current.epoch == alice.epoch
    # bob's commit won: alice goes on from `current`, whose next handshake key is a new one
    again = mine.current.commit()
    for step, generation in ((mine, 0), (again, 1)):
        outcome = mine.current.receive(step.commit)
        assert outcome == Own(ContentType.COMMIT, generation, proven=generation == 1)
    alice = taken(mine.current.receive(theirs.commit))
    agree([alice, theirs.next])
    assert mine.committed.has_path
    assert mine.committed.authenticated_data == b"mine"


def test_old_and_new_epochs_are_not_judged() -> None:
    alice, bob = found("alice", "bob")
    _, early = alice.protect(b"early")
    step = alice.commit()
    _, late = step.next.protect(b"late")
    outcome = bob.receive(late)
    assert type(outcome).__name__ == "Future"
    bob = taken(bob.receive(step.commit))
    assert type(bob.receive(early)).__name__ == "Past"
    assert isinstance(bob.receive(late), Application)


def test_an_own_signature_key_is_renewed_by_a_commit() -> None:
    alice, bob = found("alice", "bob")
    old = alice.members()[0].signature_key
    fresh = LeafKeys(FAST.signature.generate()[0], BasicCredential(b"alice, second key"))
    step = alice.commit(new_signature=fresh)
    outcome = bob.receive(step.commit)
    assert isinstance(outcome, Committed)
    (change,) = outcome.updated
    assert (change.before.signature_key, change.before.identity) == (old, b"alice")
    assert change.after.signature_key == FAST.signature.public(fresh.signature_private)
    assert change.after.identity == b"alice, second key"
    after, message = step.next.protect(b"signed anew")
    assert isinstance(outcome.group.receive(message), Application)
    assert after.commit().next.state.signing.private == fresh.signature_private


def test_the_removed_read_their_removal_and_no_more() -> None:
    alice, bob, carol = found("alice", "bob", "carol")
    step = alice.commit(removes=[carol.own_leaf], authenticated_data=b"farewell")
    assert carol.receive(step.commit) == Removed(LeafIndex(0), b"farewell", has_path=True)
    outcome = bob.receive(step.commit)
    assert isinstance(outcome, Committed)
    assert outcome.removed == ((LeafIndex(2), b"carol"),)
    assert (outcome.added, outcome.extensions_changed, outcome.external) == ((), False, False)
    _, message = step.next.protect(b"without carol")
    assert type(carol.receive(message)).__name__ == "Future"


def test_proposals_are_taken_up_by_reference() -> None:
    groups = found("alice", "bob", "carol")
    newcomer = bundle("dora")
    moved = []
    messages = []
    for group, propose in zip(
        groups,
        (
            lambda group: group.propose(Add(newcomer.key_package)),
            lambda group: group.propose_update(private=False),
            lambda group: group.propose(Remove(LeafIndex(0))),
        ),
        strict=True,
    ):
        after, message = propose(group)
        moved.append(after)
        messages.append(message)
    for index, message in enumerate(messages):
        for at in range(3):
            outcome = moved[at].receive(message)
            if at == index:
                assert isinstance(outcome, Own)
            else:
                assert isinstance(outcome, Proposed)
                assert outcome.sender == index
                moved[at] = outcome.group
                repeated = moved[at].receive(message)
                if index == 1:  # in the clear: the same proposal again changes nothing
                    assert taken(repeated).encode_ratchets() == moved[at].encode_ratchets()
                else:
                    assert isinstance(repeated, Void)
    _, bob, carol = moved
    bob = Group.decode(bob.encode_epoch(), bob.encode_ratchets())  # the pending update survives the vault
    step = carol.commit(by_reference=[kept.ref for kept in carol.pending])
    assert not step.next.pending
    outcome = bob.receive(step.commit)
    assert isinstance(outcome, Committed)
    assert outcome.added == (LeafIndex(0),)  # the place that alice left
    assert [change.leaf for change in outcome.updated] == [1, 2]
    dora = Group.join(step.welcomes[0], newcomer, now=NOW)
    agree([step.next, outcome.group, dora])
    agree(follow(outcome.group.commit(), [step.next, dora]))


def test_a_commit_of_adds_alone_may_go_without_a_path() -> None:
    alice, bob = found("alice", "bob")
    newcomer = bundle("carol")
    step = alice.commit(adds=[newcomer.key_package], path=False, private=False)
    outcome = bob.receive(step.commit)
    assert isinstance(outcome, Committed)
    assert not outcome.has_path
    carol = Group.join(step.welcomes[0], newcomer, now=NOW)
    agree([step.next, outcome.group, carol])
    for options in ({}, {"removes": [LeafIndex(1)]}, {"new_signature": keys("alice")}):
        with pytest.raises(Misuse):
            alice.commit(path=False, **options)


def test_the_tree_may_come_beside_the_welcome() -> None:
    alice, _ = found("alice", "bob")
    newcomer = bundle("carol")
    step = alice.commit(adds=[newcomer.key_package], tree_in_welcome=False)
    with pytest.raises(Invalid, match="tree"):
        Group.join(step.welcomes[0], newcomer, now=NOW)
    carol = Group.join(step.welcomes[0], newcomer, now=NOW, ratchet_tree=step.ratchet_tree)
    agree([step.next, carol])
    with pytest.raises(Invalid):
        Group.join(step.welcomes[0], newcomer, now=NOW, ratchet_tree=alice.tree_bytes())


def test_the_context_carries_what_all_agree_on() -> None:
    alice = Group.create(FAST, b"group", keys("alice"), now=NOW, extensions=(POLICY,))
    assert alice.context_extensions == (POLICY,)
    assert 0xF001 in alice.state.own_leaf_node.capabilities.extensions
    with pytest.raises(Invalid, match="lacks an extension"):
        alice.commit(adds=[bundle("bob").key_package])
    able = bundle("bob", capabilities=ABLE)
    step = alice.commit(adds=[able.key_package])
    bob = Group.join(step.welcomes[0], able, now=NOW)
    changed = Extension(0xF001, b"who belongs now")
    second = bob.commit(extensions=(changed,))
    outcome = step.next.receive(second.commit)
    assert isinstance(outcome, Committed)
    assert outcome.extensions_changed
    assert outcome.group.context_extensions == (changed,)
    with pytest.raises(Invalid, match="lacks an extension"):
        bob.commit(extensions=(changed, Extension(0xF002, b"")))
    required = RequiredCapabilities((0xF003,), (), ()).encode()
    with pytest.raises(Invalid, match="requires"):
        bob.commit(extensions=(changed, Extension(ExtensionType.REQUIRED_CAPABILITIES, required)))


def test_what_all_implement_may_be_required_and_is_listed_by_nobody() -> None:
    """§7.2, §11.1: a leaf mustn't list the default types, and so isn't asked for them."""
    defaults = RequiredCapabilities(tuple(DEFAULT_EXTENSIONS), tuple(DEFAULT_PROPOSALS), (1,)).encode()
    required = Extension(ExtensionType.REQUIRED_CAPABILITIES, defaults)
    alice = Group.create(FAST, b"group", keys("alice"), now=NOW, extensions=(required,))
    step = alice.commit(adds=[bundle("bob").key_package])
    listed = [
        (member.leaf_node.capabilities.extensions, member.leaf_node.capabilities.proposals)
        for member in step.next.members()
    ]
    assert listed == [((), ()), ((), ())]
    everything = Capabilities((1,), (FAST.number,), tuple(DEFAULT_EXTENSIONS), tuple(DEFAULT_PROPOSALS), (1,))
    able = bundle("carol", capabilities=everything).key_package.leaf_node.capabilities
    assert (able.extensions, able.proposals) == ((), ())


def test_a_preshared_key_is_mixed_in_by_those_who_have_it() -> None:
    alice, bob, carol = found("alice", "bob", "carol")
    psks = {b"named": b"a secret from outside"}
    step = alice.commit(psk_ids=[b"named"], psks=psks)
    bob = taken(bob.receive(step.commit, psks=psks))
    agree([step.next, bob])
    lost = carol.receive(step.commit)
    assert type(lost).__name__ == "CannotFollow"
    wrong = carol.receive(step.commit, psks={b"named": b"another"})
    assert type(wrong).__name__ == "CannotFollow"


def test_anyone_with_a_group_info_may_join_from_outside() -> None:
    alice, bob = found("alice", "bob")
    dora, commit = Group.join_from_outside(FAST, alice.group_info(), keys("dora"), authenticated_data=b"hello")
    assert peek(commit).sender_type is SenderType.NEW_MEMBER_COMMIT
    outcome = bob.receive(commit)
    assert isinstance(outcome, Committed)
    assert outcome.external
    assert outcome.committer == dora.own_leaf == 2
    alice = taken(alice.receive(commit))
    agree([alice, outcome.group, dora])
    # and again in place of the leaf it had
    back, commit = Group.join_from_outside(
        FAST,
        alice.group_info(with_tree=False),
        keys("dora"),
        ratchet_tree=alice.tree_bytes(),
        replacing=dora.own_leaf,
    )
    assert isinstance(dora.receive(commit), Removed)
    agree([taken(alice.receive(commit)), taken(outcome.group.receive(commit)), back])
    with pytest.raises(Invalid, match="invites nobody"):
        Group.join_from_outside(FAST, alice.group_info(invite=False), keys("eve"))
    with pytest.raises(Invalid, match="no member to replace"):
        Group.join_from_outside(FAST, alice.group_info(), keys("eve"), replacing=LeafIndex(9))
    with pytest.raises(Malformed):
        Group.join_from_outside(FAST, commit, keys("eve"))


def test_a_group_that_was_reinitialised_falls_silent() -> None:
    alice, bob = found("alice", "bob")
    alice, proposal = alice.propose(ReInit(b"the next group", ProtocolVersion.MLS10, FAST.number, ()))
    bob = taken(bob.receive(proposal))
    step = bob.commit(by_reference=[bob.pending[0].ref], path=False)
    alice = taken(alice.receive(step.commit))
    agree([alice, step.next])
    for act in (lambda: alice.protect(b"more"), alice.commit, alice.propose_update):
        with pytest.raises(Stale):
            act()
    assert alice.state.reinit is not None
    again = Group.decode(alice.encode_epoch(), alice.encode_ratchets())
    assert again.state.reinit == alice.state.reinit


def test_the_envelope_is_the_senders_choice() -> None:
    alice, bob = found("alice", "bob")
    for private, kind in ((True, PrivateMessage), (False, PublicMessage)):
        step = alice.commit(private=private)
        assert isinstance(MLSMessage.decode(step.commit).body, kind)
        agree(follow(step, [bob]))
        _, proposal = alice.propose_update(private=private)
        assert isinstance(MLSMessage.decode(proposal).body, kind)


def test_what_a_message_shows_without_keys() -> None:
    alice, _ = found("alice", "bob")
    _, message = alice.protect(b"secret", authenticated_data=b"position")
    shown = peek(message)
    assert (shown.group_id, shown.epoch) == (alice.group_id, alice.epoch)
    assert (shown.content_type, shown.authenticated_data) == (ContentType.APPLICATION, b"position")
    assert shown.sender_type is None
    for other in (alice.group_info(), b"", b"\x00\x01\x00\x02"):
        with pytest.raises(Malformed):
            peek(other)


def test_padding_hides_the_length() -> None:
    alice, _ = found("alice", "bob")
    lengths = {len(alice.protect(bytes(size), padding=500 - size)[1]) for size in (64, 200, 500)}
    assert len(lengths) == 1


def test_a_saved_group_goes_on_exactly() -> None:
    alice, bob = found("alice", "bob")
    alice, first = alice.protect(b"one")
    alice, second = alice.protect(b"two")
    bob = taken(bob.receive(second))  # one is skipped, its key kept
    saved = bob.encode_epoch(), bob.encode_ratchets()
    again = Group.decode(*saved)
    assert (again.encode_epoch(), again.encode_ratchets()) == saved
    assert isinstance(again.receive(second), Void)
    late = again.receive(first)
    assert isinstance(late, Application)
    assert late.plaintext == b"one"
    agree(follow(late.group.commit(), [alice]))
    for epoch, ratchets in ((saved[0][:-1], saved[1]), (saved[0], saved[1][:-1]), (b"", b"")):
        with pytest.raises(Malformed):
            Group.decode(epoch, ratchets)


def test_a_state_of_an_unknown_suite_is_refused() -> None:
    (alice,) = found("alice")
    data = alice.encode_epoch()
    assert data.startswith(b"\x06hybrid")
    with pytest.raises(Malformed, match="suite"):
        Group.decode(data.replace(b"hybrid", b"absurd", 1), alice.encode_ratchets())


def test_a_reference_must_be_pending_and_a_welcome_a_welcome() -> None:
    alice, _ = found("alice", "bob")
    with pytest.raises(Misuse):
        alice.commit(by_reference=[b"unknown"])
    with pytest.raises(Malformed, match="not a welcome"):
        Group.join(alice.group_info(), bundle("carol"), now=NOW)


def test_extensions_of_a_group_info_reach_the_joiner_untouched() -> None:
    alice, _ = found("alice", "bob")
    newcomer = bundle("carol")
    step = alice.commit(adds=[newcomer.key_package], group_info_extensions=(Extension(0xF0F0, b"where the tree is"),))
    agree([step.next, Group.join(step.welcomes[0], newcomer, now=NOW)])
    assert find_as((), ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities) is None
