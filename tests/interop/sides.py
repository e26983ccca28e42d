"""Who can be mixed into a group, what each of them can do, and where each goes its own way.

`make interop` installs the others into a folder that ``SECURECHAN_INTEROP`` names; ``side(name)`` starts the driver of
one. What a peer can't do stands in its `Can`, and a walk doesn't ask for it; what it does unlike RFC 9420 stands in its
``refuses`` or in a field named for it, and a walk either steers round it or demands to see it. Our engine has no field
for anybody's ways: it goes by the RFC.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import LeafIndex, NodeIndex
from tests.interop.driver import Driver
from tests.interop.process import ROOT, Process, Refused

INSTALLED: Final = os.environ.get("SECURECHAN_INTEROP")
needs_peers: Final = pytest.mark.skipif(INSTALLED is None, reason="no other implementation is installed: make interop")
"""Set by `make interop`: without it, tests that need a peer are skipped even where there is one."""
HOME: Final = ROOT / (INSTALLED or ".interop")
PEERS: Final = Path(__file__).parent / "peers"


class Ask(Protocol):
    """A driver: a command and its fields; the answer, or `Refused`."""

    def __call__(self, cmd: str, **fields: Any) -> dict[str, Any]: ...


class Here:
    """Our own driver without a process between."""

    def __init__(self) -> None:
        self.driver = Driver()

    def __call__(self, cmd: str, **fields: Any) -> dict[str, Any]:
        answer = self.driver.answer({"cmd": cmd, **fields})
        if not answer["ok"]:
            raise Refused(cmd, answer)
        return answer


def any_tree(tree: RatchetTree) -> str | None:
    return None


def _unmerged(tree: RatchetTree) -> dict[NodeIndex, tuple[LeafIndex, ...]]:
    """The parents that aren't blank, with their unmerged leaves."""
    found = {}
    for index in range(1, 2 * tree.leaf_count - 1, 2):
        node = tree.parent(NodeIndex(index))
        if node is not None:
            found[NodeIndex(index)] = tuple(node.unmerged_leaves)
    return found


def one_list_per_path(tree: RatchetTree) -> str | None:
    """ts-mls joins a tree only if all ancestors of an unmerged leaf that aren't blank list the same unmerged leaves.

    RFC 9420 §7.9 wants a leaf that a parent lists to be listed by the nodes *between* the two; an ancestor above may
    well have merged it, or list others beside it.
    """
    lists = _unmerged(tree)
    for listed in lists.values():
        for leaf in listed:
            if any(lists[above] != listed for above in tree.direct_path(leaf) if above in lists):
                return "non-blank intermediate node must list leaf node in its unmerged_leaves"
    return None


def unmerged_leaves(tree: RatchetTree) -> set[int]:
    return {leaf for listed in _unmerged(tree).values() for leaf in listed}


def left_half_is_empty(tree: RatchetTree, gone: set[int]) -> bool:
    """Whether nobody would be left under the root's left child: see `Can.filtered_root`."""
    half = tree.leaf_count // 2
    return half > 0 and not any(at < half for at, _ in tree.members() if at not in gone)


@dataclass(frozen=True, slots=True)
class Can:
    """What the members of one side can do in a mixed group."""

    proposals: frozenset[str] = frozenset()
    """Which proposals they send by themselves, to be taken up by another's commit: add, remove, update, psk."""
    by_reference: bool = True
    """Whether they take proposals of others, and commit them."""
    from_outside: bool = False
    """Whether they join by an external commit, and invite to it by a group info."""
    resync: bool = False
    invites: bool = False
    asks_to_join: bool = False
    """Whether they send an Add of themselves (sender new_member_proposal)."""
    takes_strangers: bool = True
    """Whether they take such an Add from others."""
    psk: bool = False
    context: bool = False
    """Whether they commit another list of GroupContext extensions as §12.4 wants it, with a path."""
    private: bool = False
    """Whether their handshakes can be PrivateMessages."""
    renews: bool = True
    """Whether they make a commit of nothing but its path."""
    removes: bool = True
    many_at_once: bool = True
    """Whether one commit can remove several, or add some and remove others."""
    heard_only: bool = False
    """Whether they remove only members of their own process, or who sent a handshake in the open."""
    waits: bool = False
    """Whether a commit can wait for the verdict, and be dropped."""
    tree_beside: bool = True
    authenticated_data: bool = True
    joins: Callable[[RatchetTree], str | None] = any_tree
    """What it says to a valid tree that it refuses on joining; None where it joins."""
    filtered_root: bool = True
    """False: where the committer's filtered path ends below the root, it derives the commit secret a step too far."""
    misses_its_successor: bool = False
    """Whether a member doesn't see its removal by a commit that gives its leaf to somebody new."""
    evidence: tuple[str, ...] = ("epoch_authenticator", "exporter", "tree_hash", "ratchet_tree", "members")
    """What an epoch is compared by."""


ALL: Final = frozenset({"add", "remove", "update", "psk"})
OURS: Final = Can(
    proposals=ALL,
    from_outside=True,
    resync=True,
    invites=True,
    asks_to_join=True,
    psk=True,
    context=True,
    private=True,
    waits=True,
)
ABLE: Final = {
    "ours": OURS,
    "ts-mls": Can(
        proposals=ALL,
        from_outside=True,
        resync=True,
        invites=True,
        asks_to_join=True,
        psk=True,
        private=True,
        waits=True,
        joins=one_list_per_path,
        filtered_root=False,
        misses_its_successor=True,
    ),
    "mls-rs": Can(
        proposals=frozenset({"add", "remove"}),
        many_at_once=False,
        heard_only=True,
        waits=True,
        takes_strangers=False,
        authenticated_data=False,
        evidence=("exporter", "ratchet_tree", "members"),
    ),
    "rine-mls": Can(
        by_reference=False,
        from_outside=True,
        resync=True,
        invites=True,
        renews=False,
        many_at_once=False,
        tree_beside=False,
        authenticated_data=False,
        evidence=("group_info", "leaves"),
    ),
}
SUITES: Final = {"ts-mls": (0x0001, 0xF00D, 0xF00E, 0xF00F, 0xF011), "mls-rs": (0x0001,), "rine-mls": (0xF057, 0x0001)}


WORDS: Final = {
    "by_reference": "proposals by reference",
    "from_outside": "external joins",
    "resync": "external resyncs",
    "invites": "group infos",
    "asks_to_join": "an Add of itself from outside",
    "takes_strangers": "taking another's Add of itself",
    "psk": "pre-shared keys",
    "context": "other GroupContext extensions, with a path",
    "private": "handshakes as PrivateMessages",
    "renews": "a commit of nothing but a path",
    "many_at_once": "several removals, or Adds and Removes, in one commit",
    "waits": "a commit that waits for its verdict",
    "tree_beside": "a tree beside the welcome",
    "authenticated_data": "authenticated data",
}


def without(can: Can) -> list[str]:
    """What this side can't do, in words."""
    missing = [words for name, words in WORDS.items() if not getattr(can, name)]
    if can.by_reference:
        missing += [f"proposing {kind}" for kind in sorted(ALL - can.proposals)]
    if can.heard_only:
        missing.append("removing whom it never heard in the open")
    shown = {*can.evidence} | ({"tree_hash"} if "group_info" in can.evidence else set())
    return missing + [f"showing its {each.replace('_', ' ')}" for each in OURS.evidence if each not in shown]


@dataclass(frozen=True, slots=True)
class Side:
    """One driver, whose members are in the group."""

    name: str
    ask: Ask
    can: Can = field(repr=False)


def command(name: str) -> tuple[str, ...]:
    """How the driver of a peer is started. Raises FileNotFoundError where it isn't installed."""
    match name:
        case "ts-mls":
            there = HOME / "ts-mls" / "driver.mjs"
            start = (str(there.with_name("node")), "--preserve-symlinks", "--preserve-symlinks-main", str(there))
        case "mls-rs":
            there = HOME / "mls_rs" / "bin" / "python"
            start = (str(there), str(PEERS / "mls_rs.py"))
        case "rine-mls":
            there = HOME / "rine" / "bin" / "python"
            start = (str(there), str(PEERS / "rine.py"))
        case _:
            raise LookupError(f"no peer is called {name}")
    if not there.exists():
        raise FileNotFoundError(f"{name} is not installed: say make interop")
    return start


def ours() -> Side:
    return Side("ours", Here(), ABLE["ours"])


def peer(name: str, process: Process) -> Side:
    return Side(name, process, ABLE[name])
