"""What a group costs, beside the primitives it can't do without: ``python -m tests.bench.bench_mls``.

The floor of a row is the cryptography that RFC 9420 makes unavoidable in that operation, by bare library calls on kept
key objects (`floor`): so many signatures and verifications over so many bytes, key pairs, encapsulations, AEAD boxes,
hashes of what must be hashed. What lies above it is ours: checking keys, encoding, values.

The groups are settled: every member has committed, so every parent is filled and a commit renews a path from leaf to
root. Commits are the first that their sender says in the epoch, so that they derive its ratchets from the secret tree;
messages are those of a conversation under way, whose sender has spoken before.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Final

from securechan.crypto.suite import HYBRID, Suite, by_number
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackageBundle, LeafKeys, new_key_package
from securechan.mls.nodes import BasicCredential
from securechan.mls.outcomes import Application, Committed
from securechan.mls.treekem import recipients
from securechan.mls.treemath import LeafIndex
from tests.bench.floor import KEYED, SCHEDULE, Floor
from tests.bench.harness import Table, run
from tests.support.settled import settled

NOW: Final = 1_800_000_000
SIZES: Final = (2, 10, 100, 1000)
OTHERS: Final = (0x0001, 0xF00D)  # suites that other implementations have too
HUNDRED: Final = 100
TEXT: Final = bytes(1024)


def keys(suite: Suite, name: str) -> LeafKeys:
    return LeafKeys(suite.signature.load(suite.signature.generate()[0]), BasicCredential(name.encode()))


def bundle(suite: Suite, name: str) -> KeyPackageBundle:
    return new_key_package(suite, keys(suite, name), now=NOW)


def followed(group: Group, message: bytes) -> Group:
    outcome = group.receive(message)
    if not isinstance(outcome, Committed):
        raise TypeError(f"a bench that doesn't measure what it should: {outcome}")
    return outcome.group


def tables() -> Iterator[Table]:
    yield alone()
    for size in SIZES:
        yield together(HYBRID, size)
    for number in OTHERS:
        yield together(by_number(number), HUNDRED)


def alone() -> Table:
    table = Table("MLS, hybrid: before there is a group", repeats=9, budget=0.2)
    mine = keys(HYBRID, "founder")
    size = len(new_key_package(HYBRID, mine, now=NOW).key_package.encode())
    table.row(
        "key package",
        lambda: new_key_package(HYBRID, mine, now=NOW),
        floor=Floor(HYBRID).signs(2, size // 2).pairs(2),
        note=f"{size:,} bytes",
    )
    table.row(
        "create",
        lambda: Group.create(HYBRID, b"a group of the bench", mine, now=NOW),
        floor=Floor(HYBRID).signs(1, size // 2).pairs(1).hashes(1, size // 2).macs(10),
    )
    return table


class Shape:
    """The sizes of a group that its floors are counted from."""

    def __init__(self, group: Group, other: Group) -> None:
        tree, own = group.state.tree, group.own_leaf
        path = tree.filtered_path(own)
        above = set(tree.direct_path(other.own_leaf))
        node = next((each for each in list(tree.nodes)[1::2] if each is not None), None)
        self.suite = group.suite
        self.depth = len(tree.direct_path(own))
        self.nodes = len(path)
        self.recipients = sum(len(recipients(tree, beside, ())) for _, beside in path)
        self.shared = sum(index in above for index, _ in path)
        self.leaf = len(group.state.own_leaf_node.encode())
        self.parent = len(node.encode()) if node is not None else 0

    def floor(self) -> Floor:
        return Floor(self.suite)

    def renewing(self, size: int) -> Floor:
        """To make a commit of ``size`` bytes that renews the path."""
        made = self.floor().pairs(self.nodes + 1).signs(1, self.leaf).signs(1, size).seals(self.recipients, 48)
        return self._epoch(made.macs(2 * self.nodes), size)

    def following(self, size: int) -> Floor:
        """To take one."""
        made = self.floor().verifies(1, self.leaf).verifies(1, size).opens(1, 48).pairs(self.shared)
        return self._epoch(made.macs(2 * self.shared), size)

    def _epoch(self, floor: Floor, size: int) -> Floor:
        hashed = floor.hashes(1, self.leaf).hashes(2 * self.nodes, self.parent).hashes(1, size).macs(SCHEDULE)
        return hashed.macs(2 * self.depth + 2 + KEYED).boxes(1, size).boxes(1, 12)


def together(suite: Suite, size: int) -> Table:
    group = settled(suite, size)
    alice, bob = group.member(0), group.member(size // 2)
    shape = Shape(alice, bob)
    renewed = alice.commit()
    title = "hybrid" if suite is HYBRID else f"suite {suite.number:#06x}"
    table = Table(f"MLS, {title}, N = {size:,}", repeats=7, budget=0.1)
    table.row(
        "commit",
        alice.commit,
        floor=shape.renewing(len(renewed.commit)),
        note=f"path of {shape.nodes} nodes to {shape.recipients} recipients, {len(renewed.commit):,} bytes",
    )
    table.row(
        "process a commit",
        lambda: followed(bob, renewed.commit),
        floor=shape.following(len(renewed.commit)),
        note=f"{shape.shared} shared nodes",
    )
    joining(table, shape, alice, size)
    hundred(table, shape, alice, bob)
    spoken, hello = alice.protect(TEXT)
    heard = bob.receive(hello)
    if not isinstance(heard, Application):
        raise TypeError(f"a bench that doesn't measure what it should: {heard}")
    _messages(table, shape, spoken, heard.group)
    _storing(table, heard.group, spoken.protect(TEXT)[1], renewed.commit)
    return table


def _storing(table: Table, bob: Group, message: bytes, commit: bytes) -> None:
    """What bob writes for a message and a commit, and reads when it starts."""
    heard = bob.receive(message)
    if not isinstance(heard, Application):
        raise TypeError("a bench that doesn't measure what it should")
    spoken, renewed = heard.group, followed(bob, commit)
    for name, after in (("store a message", spoken), ("store a commit", renewed)):
        written = after.changes(bob)
        size = sum(len(name) + len(data or b"") for name, data in written.items())
        table.row(name, partial(after.changes, bob), note=f"{size:,} bytes in {len(written)} pieces")
    pieces = {name: data for name, data in bob.changes(None).items() if data is not None}
    size = sum(map(len, pieces.values()))
    note = f"{size:,} bytes in {len(pieces):,} pieces; {resident(pieces):.1f} MB resident when loaded"
    table.row("load", lambda: Group.of_pieces(pieces), note=note)


def resident(pieces: dict[str, bytes]) -> float:
    """By how many MB a process with the engine in it grows that loads this group and takes its hashes."""
    measured = subprocess.run(
        [sys.executable, "-c", _RESIDENT], input=pickle.dumps(pieces), capture_output=True, check=True
    )
    return float(measured.stdout)


_RESIDENT: Final = """
import gc, pickle, sys
from securechan.mls.group import Group
from securechan.crypto.suite import HYBRID
def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
before = resident()
group = Group.of_pieces(pickle.load(sys.stdin.buffer))
group.tree_hash, group.state.tree.tree_hash, group.state.tree.roll
print(resident() - before)
"""


def joining(table: Table, shape: Shape, alice: Group, size: int) -> None:
    newcomer = bundle(shape.suite, "newcomer")
    add = alice.commit(adds=[newcomer.key_package], tree_in_welcome=False)
    tree, welcome = add.ratchet_tree, len(add.welcomes[0])
    shared = len(set(add.next.state.tree.direct_path(LeafIndex(0))) & set(_path_of(add.next, size)))
    table.row(
        "add one (commit, welcome)",
        lambda: alice.commit(adds=[newcomer.key_package], tree_in_welcome=False),
        floor=_adding(shape, shape.renewing(len(add.commit)), 1, welcome),
    )
    joined = shape.floor().opens(1, 200).boxes(1, welcome).verifies(1, welcome).verifies(size + 1, shape.leaf)
    joined.pairs(shared + 2).hashes(size + 1, shape.leaf).hashes(2 * size, shape.parent).macs(2 * shared + SCHEDULE)
    table.row(
        "join (tree beside)",
        lambda: Group.join(add.welcomes[0], newcomer, now=NOW, ratchet_tree=tree, suite=shape.suite),
        floor=joined,
        note=f"tree of {len(tree):,} bytes",
    )


def _path_of(group: Group, leaf: int) -> list[int]:
    return [int(index) for index in group.state.tree.direct_path(LeafIndex(leaf))]


def _adding(shape: Shape, floor: Floor, count: int, welcome: int) -> Floor:
    """What newcomers cost the committer: to verify and to hash them, a signed group info, the joiner secret sealed."""
    floor.verifies(2 * count, shape.leaf).hashes(2 * count, shape.leaf).hashes(count, shape.parent)
    return floor.signs(1, welcome).boxes(1, welcome).seals(count, 120)


def hundred(table: Table, shape: Shape, alice: Group, bob: Group) -> None:
    packages = [bundle(shape.suite, f"newcomer {number}").key_package for number in range(HUNDRED)]
    add = alice.commit(adds=packages, tree_in_welcome=False)
    table.row(
        f"add {HUNDRED} at once",
        lambda: alice.commit(adds=packages, tree_in_welcome=False),
        floor=_adding(shape, shape.renewing(len(add.commit)), HUNDRED, len(add.welcomes[0])),
        note=f"{len(add.commit):,} bytes",
    )
    taken = shape.following(len(add.commit)).verifies(2 * HUNDRED, shape.leaf)
    table.row(
        f"process {HUNDRED} added",
        lambda: followed(bob, add.commit),
        floor=taken.hashes(HUNDRED, shape.leaf).hashes(HUNDRED, shape.parent),
    )


def _messages(table: Table, shape: Shape, alice: Group, bob: Group) -> None:
    _, message = alice.protect(TEXT)

    def unprotect() -> None:
        if not isinstance(bob.receive(message), Application):
            raise TypeError("a bench that doesn't measure what it should")

    size = len(message)
    sealed = shape.floor().signs(1, size).macs(KEYED).boxes(1, size).boxes(1, 12)
    table.row("protect 1 KiB", lambda: alice.protect(TEXT), floor=sealed)
    opened = shape.floor().verifies(1, len(TEXT)).macs(KEYED).boxes(1, size).boxes(1, 12)
    table.row("unprotect 1 KiB", unprotect, floor=opened)


if __name__ == "__main__":
    run(tables())
