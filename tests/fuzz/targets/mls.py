"""The MLS engine as strangers and rivals reach it: raw bytes for each of its doors, without any key of the group.

Suite 1 (X25519, Ed25519) throughout: what is tried is the parsing and the judging, and this suite is the cheapest.
What a member with all keys may seal is in `insider`.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import NamedTuple

from securechan.crypto.suite import by_number
from securechan.errors import Malformed
from securechan.mls.extensions import Extension, ExtensionType
from securechan.mls.group import Group
from securechan.mls.join import check_tree
from securechan.mls.keypackage import KeyPackage, KeyPackageBundle
from securechan.mls.message import MLSMessage
from securechan.mls.outcomes import (
    Application,
    CannotFollow,
    Committed,
    Future,
    Own,
    Past,
    Peek,
    Proposed,
    Removed,
    Void,
)
from securechan.mls.proposals import GroupContextExtensions, Remove
from securechan.mls.receive import peek
from securechan.mls.rest import EpochWithTree, MessageState
from securechan.mls.send import Step
from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import check_key_package
from tests.fuzz.mutation import of_struct
from tests.fuzz.target import CLOSED, Target, canonical, refused, target
from tests.support.mls import NOW, bundle, found, keys

SUITE = by_number(1)
VERDICTS = (Application, CannotFollow, Committed, Future, Own, Past, Proposed, Removed, Void)


class Scene(NamedTuple):
    """A group of four, and things that its members have said."""

    alice: Group
    bob: Group
    carol: Group
    newcomer: KeyPackageBundle
    add: Step
    said: tuple[bytes, ...]


@cache
def scene() -> Scene:
    alice, bob, carol, _ = found("alice", "bob", "carol", "dave", suite=SUITE)
    newcomer = bundle("erin", SUITE)
    _, words = alice.protect(b"words", authenticated_data=b"where", padding=20)
    _, update = carol.propose_update(private=False)
    _, remove = alice.propose(Remove(LeafIndex(2)))
    _, context = alice.propose(
        GroupContextExtensions((Extension(ExtensionType.REQUIRED_CAPABILITIES, bytes(3)),)), private=False
    )
    add = alice.commit(adds=[newcomer.key_package])
    said = (
        words,
        update,
        remove,
        context,
        add.commit,
        alice.commit(private=False).commit,
        alice.commit(removes=[LeafIndex(3)], path=True).commit,
        Group.join_from_outside(SUITE, alice.group_info(), keys("frank", SUITE))[1],
    )
    return Scene(alice, bob, carol, newcomer, add, said)


def judged(group: Group, message: bytes) -> None:
    """A verdict of the closed set, and a group that is what it was; where there is a next one, it is whole."""
    before = group.encode_epoch(), group.encode_ratchets()
    outcome = group.receive(message)
    if not isinstance(outcome, VERDICTS):
        raise AssertionError(f"{outcome!r} is no verdict")
    if (group.encode_epoch(), group.encode_ratchets()) != before:
        raise AssertionError("a group that was asked has changed")
    match outcome:
        case Application(after) | Proposed(after) | Committed(after):
            kept = after.encode_epoch(), after.encode_ratchets()
            again = Group.decode(*kept)
            if (again.encode_epoch(), again.encode_ratchets()) != kept:
                raise AssertionError("a group that was loaded isn't the one that was saved")
            if again.epoch_authenticator != after.epoch_authenticator or again.tree_hash != after.state.tree.tree_hash:
                raise AssertionError("a next group that doesn't agree with itself")


@target("mls.message")
def message() -> Target:
    def run(data: bytes) -> None:
        value = canonical(MLSMessage, data)
        try:
            shown = peek(data)
        except Malformed:
            return
        if value is None or not isinstance(shown, Peek):
            raise AssertionError("what doesn't parse was shown")

    infos = (scene().alice.group_info(), scene().add.welcomes[0])
    return Target(run, (*scene().said, *infos), of_struct(MLSMessage))


@target("mls.receive")
def receive() -> Target:
    group = scene().bob
    return Target(lambda data: judged(group, data), scene().said, of_struct(MLSMessage))


@target("mls.tree")
def tree() -> Target:
    """A ratchet tree that somebody hands to a joiner; the context is the one that names it."""
    context = scene().alice.state.context

    def run(data: bytes) -> None:
        with refused(*CLOSED):
            decoded = RatchetTree.decode(SUITE, data)
            if decoded.encode() != data:
                raise AssertionError("a tree with two forms")
            fields = {name: value for name, value in context.__dict__.items() if name != "_wire"}
            check_tree(decoded, type(context)(**{**fields, "tree_hash": decoded.tree_hash}))

    grown = scene().add.next
    return Target(
        run, (scene().alice.tree_bytes(), grown.tree_bytes(), grown.commit(removes=[LeafIndex(1)]).next.tree_bytes())
    )


@target("mls.key_package")
def key_package() -> Target:
    def run(data: bytes) -> None:
        package = canonical(KeyPackage, data)
        if package is not None:
            with refused(*CLOSED):
                check_key_package(SUITE, package, NOW)
            package.reference(SUITE)

    seeds = tuple(
        bundle(name, SUITE, last_resort=last).key_package.encode() for name, last in (("a", False), ("b", True))
    )
    return Target(run, seeds, of_struct(KeyPackage))


@target("mls.welcome")
def welcome() -> Target:
    def run(data: bytes) -> None:
        with refused(*CLOSED):
            Group.join(data, scene().newcomer, now=NOW)

    return Target(run, scene().add.welcomes, of_struct(MLSMessage))


@target("mls.group_info")
def group_info() -> Target:
    """From outside: a group info that was found somewhere."""
    mine = keys("gina", SUITE)

    def run(data: bytes) -> None:
        with refused(*CLOSED):
            Group.join_from_outside(SUITE, data, mine)

    alice = scene().alice
    seeds = (alice.group_info(), alice.group_info(invite=False), alice.group_info(with_tree=False))
    return Target(run, seeds, of_struct(MLSMessage))


@target("mls.state")
def state() -> Target:
    """What the vault gives back, where it lies: the first byte says which half of it was altered."""
    group, _ = scene().alice.propose_update()
    halves = group.encode_epoch(), group.encode_ratchets()

    def run(data: bytes) -> None:
        epoch = data[1:] if data[:1] == b"\0" else halves[0]
        ratchets = data[1:] if data[:1] == b"\1" else halves[1]
        with refused(*CLOSED):
            loaded = Group.decode(epoch, ratchets)
            loaded.encode_epoch(), loaded.encode_ratchets()

    def halved(data: bytes, random: Random) -> bytes:
        form = of_struct(EpochWithTree if data[:1] == b"\0" else MessageState)
        return data[:1] + form(data[1:], random)

    return Target(run, (b"\0" + halves[0], b"\1" + halves[1]), halved)
