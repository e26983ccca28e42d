"""§5.3.1: every credential that comes into a group is handed to the application, with what it would replace."""

from __future__ import annotations

from securechan.crypto.suite import by_number
from securechan.mls.credentials import Presented, expired, members, presented
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.keypackage import LeafKeys
from securechan.mls.nodes import BasicCredential, Capabilities, Credential, X509Credential
from securechan.mls.outcomes import Outcome
from securechan.mls.proposals import Add, GroupContextExtensions, Remove
from securechan.mls.registry import CredentialType, ExtensionType
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import ExternalSender, ExternalSenders
from tests.support.mls import NOW, bundle, found, keys

SUITE = by_number(1)
ABLE = Capabilities((1,), (SUITE.number,), (), (), (CredentialType.BASIC, CredentialType.X509))


def names(outcome: Outcome) -> list[tuple[bytes, LeafIndex | None, bytes | None]]:
    found_ = []
    for each in presented(outcome):
        assert isinstance(each.credential.body, BasicCredential)
        found_.append((each.credential.body.identity, each.leaf, each.before and each.before.identity))
    return found_


def test_a_joiner_judges_everyone() -> None:
    watcher = Credential.of(keys("watcher", SUITE).credential)
    senders = Extension(ExtensionType.EXTERNAL_SENDERS, ExternalSenders((ExternalSender(b"key", watcher),)).encode())
    alice, bob = found("alice", "bob", suite=SUITE, extensions=(senders,))
    listed = members(bob)
    assert [each.leaf for each in listed] == [0, 1, None]
    assert listed[0].signature_key == alice.state.own_leaf_node.signature_key
    assert listed[2] == Presented(watcher, b"key", None)


def test_added_and_changed_leaves_are_judged_and_renewed_ones_are_not() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    new = bundle("carol", SUITE)
    proposed = bob.receive(alice.propose(Add(new.key_package))[1])
    assert names(proposed) == [(b"carol", None, None)]
    assert names(bob.receive(alice.propose(Remove(LeafIndex(1)))[1])) == []
    assert names(bob.receive(alice.propose_update()[1])) == []
    assert names(bob.receive(alice.commit(adds=[new.key_package]).commit)) == [(b"carol", 2, None)]
    assert names(bob.receive(alice.commit().commit)) == []
    renamed = LeafKeys(SUITE.signature.generate()[0], BasicCredential(b"alice, married"))
    assert names(bob.receive(alice.commit(new_signature=renamed).commit)) == [(b"alice, married", 0, b"alice")]
    assert names(bob.receive(alice.protect(b"hello")[1])) == []


def test_who_comes_from_outside_is_judged_with_whom_it_replaces() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    _, join = Group.join_from_outside(SUITE, alice.group_info(), keys("eve", SUITE))
    assert names(alice.receive(join)) == [(b"eve", 2, None)]
    _, resync = Group.join_from_outside(SUITE, alice.group_info(), keys("bob", SUITE), replacing=bob.own_leaf)
    assert names(alice.receive(resync)) == [(b"bob", 1, b"bob")]


def test_external_senders_are_judged_when_they_change() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    watcher = Credential.of(keys("watcher", SUITE).credential)
    senders = Extension(ExtensionType.EXTERNAL_SENDERS, ExternalSenders((ExternalSender(b"key", watcher),)).encode())
    assert names(bob.receive(alice.propose(GroupContextExtensions((senders,)))[1])) == [(b"watcher", None, None)]
    assert names(bob.receive(alice.commit(extensions=(senders,)).commit)) == [(b"watcher", None, None)]


def test_certificates_are_carried_as_they_are() -> None:
    chain = X509Credential((b"der of the end entity", b"der of its issuer"))
    who = LeafKeys(SUITE.signature.generate()[0], chain)
    alice = Group.create(SUITE, b"group", who, now=NOW, capabilities=ABLE)
    assert Group.create(SUITE, b"group", who, now=NOW).state.own_leaf_node.capabilities.credentials == ABLE.credentials
    new = bundle("bob", SUITE, capabilities=ABLE)
    step = alice.commit(adds=[new.key_package])
    bob = Group.join(step.welcomes[0], new, now=NOW)
    assert members(bob)[0].credential == Credential.of(chain)
    assert bob.members()[0].identity == chain.encode()


def test_who_joined_long_ago_and_never_renewed_is_listed() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    later = NOW + 29 * 86400
    assert expired(bob, NOW) == ()
    assert expired(bob, later) == (LeafIndex(1),)  # alice has committed, so her leaf has no lifetime any more
    assert expired(bob.commit().next, later) == ()
    assert expired(bob, NOW - 2 * 86400) == (LeafIndex(1),)
    assert alice.epoch == bob.epoch
