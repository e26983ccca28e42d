"""A group at rest: the pieces that were written are the group that was, and a message or a commit writes but a few."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto.suite import by_number
from securechan.errors import Malformed
from securechan.mls import rest
from securechan.mls.group import Group
from securechan.mls.outcomes import Application
from securechan.mls.past import PastEpoch, PastState
from securechan.mls.step import StepState
from securechan.mls.terms import Terms
from securechan.mls.treemath import LeafIndex
from tests.support.mls import FAST, bundle, found
from tests.support.mls import taken as next_of
from tests.support.settled import settled

PLAIN = by_number(1)  # where only the shape matters


@dataclass
class Store:
    """What a store holds that wrote every change."""

    group: Group
    pieces: dict[str, bytes] = field(default_factory=dict)
    written: int = 0  # bytes, names included, by the last step
    touched: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._write(None, self.group)

    def follow(self, group: Group) -> None:
        self._write(self.group, group)
        self.group = group

    def _write(self, before: Group | None, after: Group) -> None:
        changes = after.changes(before)
        for name, value in changes.items():
            assert self.pieces.get(name) != value, "what is written anew is another"
            if value is None:
                del self.pieces[name]  # only what is there is erased
            else:
                self.pieces[name] = value
        self.touched = tuple(changes)
        self.written = sum(len(name) + len(value or b"") for name, value in changes.items())


def same(one: Group, other: Group) -> bool:
    return (one.encode_epoch(), one.encode_ratchets()) == (other.encode_epoch(), other.encode_ratchets())


def taken(group: Group, message: bytes) -> Group:
    return next_of(group.receive(message))


@given(st.data())
@settings(max_examples=15)
def test_what_was_written_is_the_group_that_was(data: st.DataObject) -> None:
    terms = Terms(past_epochs=data.draw(st.integers(0, 2)))
    alice, bob, _ = (
        Group.decode(each.encode_epoch(), each.encode_ratchets(), terms)
        for each in found("alice", "bob", "carol", suite=PLAIN)
    )
    store, late = Store(bob), list[bytes]()
    acts = st.sampled_from(("say", "late", "propose", "own", "add", "remove", "renew"))
    for act in data.draw(st.lists(acts, min_size=3, max_size=10)):
        step = None
        match act:
            case "say":
                alice, message = alice.protect(b"hello")
                if data.draw(st.booleans()):
                    late.append(message)
                else:
                    store.follow(taken(store.group, message))
            case "late" if late:
                outcome = store.group.receive(late.pop(0))
                if isinstance(outcome, Application):
                    store.follow(outcome.group)
            case "propose":
                after, message = alice.propose_update()
                store.follow(taken(store.group, message))
                step = after.commit(adds=[bundle("new", PLAIN).key_package])
            case "own":
                after, message = store.group.propose_update()
                store.follow(after)
                alice = taken(alice, message)
                step = alice.commit(by_reference=[each.ref for each in alice.pending])
            case "add":
                count = data.draw(st.integers(1, 3))
                step = alice.commit(adds=[bundle("new", PLAIN).key_package for _ in range(count)])
            case "remove":
                ours = (alice.own_leaf, store.group.own_leaf)
                others = [each.leaf for each in alice.members() if each.leaf not in ours]
                step = alice.commit(removes=others[: data.draw(st.integers(0, 3))])
            case _:
                mine = store.group.commit()
                store.follow(mine.current)
                assert same(mine.current.advanced(mine.current.advance_to(mine.next)), mine.next)
                store.follow(mine.next)
                alice = taken(alice, mine.commit)
        if step is not None:
            alice = step.next
            store.follow(taken(store.group, step.commit))
        read = Group.of_pieces(store.pieces, terms)
        assert same(read, store.group)
        assert read.changes(store.group) == {}
        assert read.changes(None) == store.pieces


def test_a_message_writes_one_ratchet_and_a_commit_one_path() -> None:
    """Issue 3: at most 2 KB a message and what changed, in a group of a thousand where everybody has spoken."""
    members = settled(PLAIN, 1000)
    alice, bob = members.member(0), members.member(500)
    alice, first = alice.protect(b"first")
    store = Store(bob)
    store.follow(taken(store.group, first))
    assert store.written < 2048
    for _ in range(3):
        alice, message = alice.protect(b"another")
        store.follow(taken(store.group, message))
        assert store.touched == ("ratchet.0.1",)
        assert store.written < 128
    step = alice.commit()
    mine = Store(alice)
    mine.follow(step.current)
    assert mine.touched == ("ratchet.0.0",)
    before = {name for name in store.pieces if not name.startswith("node.")}
    store.follow(taken(store.group, step.commit))
    nodes = {name for name in store.touched if name.startswith("node.")}
    assert nodes == {f"node.{at}" for at in [0, *alice.state.tree.direct_path(LeafIndex(0))]}
    assert set(store.touched) - nodes <= {*before, "secret.1023"}
    assert len(step.current.advance_to(step.next)) < 8192  # a pending commit doesn't hold the tree


def test_a_key_that_was_passed_over_is_a_piece_and_goes_with_its_message() -> None:
    alice, bob = found("alice", "bob")
    messages = []
    for _ in range(4):
        alice, message = alice.protect(b"x")
        messages.append(message)
    store = Store(bob)
    store.follow(taken(bob, messages[3]))
    assert {name for name in store.pieces if name.startswith("key.")} == {"key.0.1.0", "key.0.1.1", "key.0.1.2"}
    store.follow(taken(store.group, messages[1]))
    assert store.touched == ("key.0.1.1",)
    assert "key.0.1.1" not in store.pieces


def test_an_advance_survives_what_the_old_epoch_hears_meanwhile() -> None:
    alice, bob = found("alice", "bob")
    step = alice.commit(adds=[bundle("carol").key_package])
    kept = step.current.advance_to(step.next)
    bob, message = bob.protect(b"meanwhile")
    assert same(taken(step.current, message).advanced(kept), step.next)


@pytest.mark.parametrize(
    ("alter", "match"),
    [
        ({"epoch": None}, "without its epoch"),
        ({"epoch.1": b""}, "without its epoch"),
        ({"strange": b""}, "strange"),
        ({"node.x": b""}, "called 'node.x'"),
        ({"node": b""}, "without its place"),
        ({"ratchet.0.1": b"\x00"}, "wanted"),
    ],
)
def test_pieces_that_make_no_group_are_malformed(alter: dict[str, bytes | None], match: str) -> None:
    pieces = {**found("alice")[0].changes(None), **alter}
    with pytest.raises(Malformed, match=match):
        Group.of_pieces({name: value for name, value in pieces.items() if value is not None})


def test_an_advance_of_another_epoch_is_malformed() -> None:
    alice, bob = found("alice", "bob")
    step = alice.commit()
    kept = step.current.advance_to(step.next)
    later = taken(bob, step.commit)
    with pytest.raises(Malformed, match="another epoch"):
        later.advanced(kept)


def test_an_advance_to_nodes_beyond_the_tree_is_malformed() -> None:
    alice, bob = found("alice", "bob")
    wide = alice.commit(adds=[bundle(str(at)).key_package for at in range(7)])
    kept = wide.current.advance_to(wide.next)
    with pytest.raises(Malformed):
        alice.advanced(kept.replace(b"\x00\x00\x00\x10", b"\x00\x00\x00\x02", 1))
    assert alice.suite is FAST
    assert bob.epoch == alice.epoch


def test_no_form_at_rest_shows_a_secret() -> None:
    alice, bob = found("alice", "bob", suite=PLAIN)
    alice, message = alice.protect(b"said")
    bob, step = taken(bob, message), alice.commit()
    forms = (
        rest.MessageState.decode(bob.encode_ratchets()),
        rest.Advance.decode(step.current.advance_to(step.next)),
        PastState.decode(PastEpoch.of(bob).encode(bob.state.tree)),
        StepState.decode(step.encode()),
    )
    secrets = [
        bytes(secret)
        for group in (bob, step.current, step.next)
        for secret in (*group.ratchets.secrets.values(), *(each.secret for each in group.ratchets.ratchets.values()))
    ]
    assert len(secrets) > 4
    shown = repr(forms)
    assert not [secret for secret in secrets if repr(secret)[2:-1] in shown or secret.hex() in shown]
