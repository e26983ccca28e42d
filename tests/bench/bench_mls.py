"""What a group costs, beside the primitives it can't do without: ``python -m tests.bench.bench_mls``.

The floor of a row is the cryptography of that operation and nothing else, on kept key objects: so many signatures,
verifications, encapsulations to so many recipients, key pairs for so many nodes, seals. What lies above it is ours:
tree hashing, encoding, values. The groups are lived in: one member in eight has committed since it was founded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from securechan.crypto.suite import HYBRID
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackageBundle, LeafKeys, new_key_package
from securechan.mls.nodes import BasicCredential
from securechan.mls.outcomes import Application, Committed
from securechan.mls.treekem import recipients
from securechan.mls.treemath import LeafIndex
from tests.bench.harness import Act, Table, run

NOW: Final = 1_800_000_000
SIZES: Final = (2, 10, 100)
TEXT: Final = bytes(1024)

SIGN, PUBLIC = HYBRID.signature.generate()
SIGNER = HYBRID.signature.load(SIGN)
SIGNATURE = HYBRID.signature.sign(SIGNER, b"", TEXT)
KEY = HYBRID.hpke.kem.load(HYBRID.hpke.kem.generate()[0])
ENC, SEALED = HYBRID.hpke.seal(KEY.public, b"", b"", bytes(48))
AEAD_KEY, NONCE = bytes(HYBRID.aead_key_length), bytes(HYBRID.aead_nonce_length)
BOX = HYBRID.aead_seal(AEAD_KEY, NONCE, b"", TEXT)


def floor(
    *,
    signs: int = 0,
    verifies: int = 0,
    seals: int = 0,
    opens: int = 0,
    pairs: int = 0,
    checks: int = 0,
    boxes: int = 0,
) -> Act:
    """So many signatures made and verified, HPKE seals and opens, key pairs, public keys checked, AEAD boxes."""
    counted: list[tuple[int, Callable[[], object]]] = [
        (signs, lambda: HYBRID.signature.sign(SIGNER, b"", TEXT)),
        (verifies, lambda: HYBRID.signature.verify(PUBLIC, b"", TEXT, SIGNATURE)),
        (seals, lambda: HYBRID.hpke.seal(KEY.public, b"", b"", SEALED)),
        (opens, lambda: HYBRID.hpke.open(KEY, ENC, b"", b"", SEALED)),
        (pairs, lambda: HYBRID.hpke.kem.derive_key(TEXT)),
        (checks, lambda: HYBRID.hpke.kem.check_public(KEY.public)),
        (boxes, lambda: HYBRID.aead_seal(AEAD_KEY, NONCE, b"", TEXT)),
    ]

    def act() -> None:
        for count, primitive in counted:
            for _ in range(count):
                primitive()

    return act


def keys(name: str) -> LeafKeys:
    return LeafKeys(HYBRID.signature.generate()[0], BasicCredential(name.encode()))


def bundle(name: str) -> KeyPackageBundle:
    return new_key_package(HYBRID, keys(name), now=NOW)


def followed(group: Group, message: bytes) -> Group:
    outcome = group.receive(message)
    if not isinstance(outcome, Committed):
        raise TypeError(f"a bench that doesn't measure what it should: {outcome}")
    return outcome.group


def lived_in(size: int) -> tuple[Group, Group]:
    """Two members of a group of ``size``: its founder, and one whose leaf lies in the other half of the tree."""
    founder = Group.create(HYBRID, b"a group of the bench", keys("founder"), now=NOW)
    bundles = [bundle(f"member {number}") for number in range(1, size)]
    step = founder.commit(adds=[each.key_package for each in bundles], tree_in_welcome=False)
    tree = step.ratchet_tree
    groups = [step.next] + [
        Group.join(step.welcomes[at], bundles[at], now=NOW, ratchet_tree=tree) for at in range(size - 2, -1, -8)
    ]
    for turn in range(len(groups)):
        made = groups[turn].commit()
        groups = [made.next if at == turn else followed(group, made.commit) for at, group in enumerate(groups)]
    return groups[0], groups[1]


def path_of(group: Group) -> tuple[int, int]:
    """(nodes, recipients) of the path that the member's next commit renews."""
    tree = group.state.tree
    path = tree.filtered_path(group.own_leaf)
    return len(path), sum(len(recipients(tree, beside, ())) for _, beside in path)


def shared(group: Group, committer: LeafIndex) -> int:
    """How many nodes of the committer's path lie above this member."""
    mine = set(group.state.tree.direct_path(group.own_leaf))
    return sum(index in mine for index, _ in group.state.tree.filtered_path(committer))


def tables() -> Iterator[Table]:
    yield alone()
    for size in SIZES:
        yield together(size)


def alone() -> Table:
    table = Table("MLS, hybrid: before there is a group")
    mine = keys("founder")
    table.row("key package", lambda: new_key_package(HYBRID, mine, now=NOW), floor=floor(signs=2, pairs=2))
    table.row(
        "create",
        lambda: Group.create(HYBRID, b"a group of the bench", mine, now=NOW),
        floor=floor(signs=1, pairs=1),
    )
    return table


def together(size: int) -> Table:
    alice, bob = lived_in(size)
    nodes, reached = path_of(alice)
    newcomer = bundle("newcomer")
    adding = alice.commit(adds=[newcomer.key_package], tree_in_welcome=False)
    renewing = alice.commit()
    tree = adding.ratchet_tree
    above = shared(bob, alice.own_leaf)
    table = Table(f"MLS, hybrid, N = {size}", repeats=5)
    note = f"path of {nodes} nodes to {reached} recipients"
    table.row(
        "add one (commit, welcome)",
        lambda: alice.commit(adds=[newcomer.key_package], tree_in_welcome=False),
        floor=floor(signs=3, verifies=2, seals=reached + 1, pairs=nodes + 1, checks=2),
        note=note,
    )
    table.row(
        "join (tree beside)",
        lambda: Group.join(adding.welcomes[0], newcomer, now=NOW, ratchet_tree=tree),
        floor=floor(verifies=size + 2, opens=1, pairs=nodes, checks=size + 1),
        note=f"tree of {len(tree):,} bytes",
    )
    table.row("commit", alice.commit, floor=floor(signs=2, seals=reached, pairs=nodes + 1, boxes=2), note=note)
    table.row(
        "process commit",
        lambda: followed(bob, renewing.commit),
        floor=floor(verifies=2, opens=1, pairs=above, checks=nodes + 1, boxes=2),
        note=f"{len(renewing.commit):,} bytes, {above} shared nodes",
    )
    table.row("protect 1 KiB", lambda: alice.protect(TEXT), floor=floor(signs=1, boxes=2))
    _, message = alice.protect(TEXT)

    def unprotect() -> None:
        if not isinstance(bob.receive(message), Application):
            raise TypeError("a bench that doesn't measure what it should")

    table.row("unprotect 1 KiB", unprotect, floor=floor(verifies=1, boxes=2))
    epoch, ratchets = alice.encode_epoch(), alice.encode_ratchets()
    table.row("save epoch", alice.encode_epoch, note=f"{len(epoch):,} bytes")
    table.row("save ratchets", alice.encode_ratchets, note=f"{len(ratchets):,} bytes")
    table.row("load", lambda: Group.decode(epoch, ratchets))
    return table


if __name__ == "__main__":
    run(tables())
