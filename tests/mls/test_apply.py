"""§12.3: proposals apply in the RFC's order, whatever order they were listed in, and only as a whole."""

from __future__ import annotations

import pytest

from securechan.errors import Invalid
from securechan.mls.apply import apply, needs_path
from securechan.mls.extensions import Extension
from securechan.mls.framing import Sender
from securechan.mls.proposals import Add, Body, GroupContextExtensions, PreSharedKey, Proposal, ReInit, Remove, Update
from securechan.mls.registry import LeafNodeSource, ProtocolVersion
from securechan.mls.send import external_psk
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import Queued
from tests.support.mls import FAST, bundle, found

ALICE, BOB = LeafIndex(0), LeafIndex(1)


def queued(body: Body, sender: LeafIndex = ALICE) -> Queued:
    return Queued(Proposal.of(body), Sender.member(sender), by_reference=True)


def test_the_order_of_the_list_does_not_matter() -> None:
    alice, bob, _ = found("alice", "bob", "carol")
    tree = alice.state.tree
    newcomer = bundle("dora").key_package
    old = bob.state.own_leaf_node
    renewed = type(old)(
        FAST.hpke.kem.generate()[1],
        *[old.__dict__[name] for name in ("signature_key", "credential", "capabilities")],
        LeafNodeSource.UPDATE,
        None,
        (),
        b"",
    )
    policy = Extension(0xF001, b"")
    psk = external_psk(FAST, b"id")
    items = [
        queued(Add(newcomer)),
        queued(psk),
        queued(Remove(LeafIndex(2))),
        queued(Update(renewed), BOB),
        queued(GroupContextExtensions((policy,))),
    ]
    forward, backward = apply(tree, (), items), apply(tree, (), items[::-1])
    assert forward == backward
    assert forward.new_leaves == (2,)  # the place that was left in this very commit
    assert [at for at, _ in forward.removed] == [2]
    assert [(change.leaf, change.after) for change in forward.updated] == [(1, renewed)]
    assert forward.extensions == (policy,)
    assert forward.extensions_changed
    assert forward.psks == (psk.psk,)
    assert not apply(tree, (policy,), items[-1:]).extensions_changed
    assert tree == alice.state.tree


def test_what_touches_nobody_cannot_apply() -> None:
    (alice,) = found("alice")
    for item in (queued(Remove(LeafIndex(3))), queued(Update(alice.state.own_leaf_node), LeafIndex(3))):
        with pytest.raises(Invalid, match="no member"):
            apply(alice.state.tree, (), [item])


def test_which_lists_need_a_path() -> None:
    add = queued(Add(bundle("dora").key_package))
    psk = queued(PreSharedKey(external_psk(FAST, b"id").psk))
    end = queued(ReInit(b"", ProtocolVersion.MLS10, FAST.number, ()))
    assert needs_path([])
    assert not any(map(needs_path, ([add], [psk], [end], [add, psk])))
    assert needs_path([add, queued(Remove(BOB))])
    assert needs_path([queued(GroupContextExtensions(()))])
