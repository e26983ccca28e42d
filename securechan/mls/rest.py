"""A group at rest: whole, in pieces of which a message or a commit changes a few, or as what a commit changes.

    piece                              holds                                       changes with
    epoch                              context, secrets, private keys              each commit
    node.<index>                       a node of the tree; absent where blank      commits whose path it is on
    secret.<node>                      a secret of the secret tree                 the first message of a leaf
    ratchet.<leaf>.<kind>              where a sender's ratchet stands             each message of that sender
    key.<leaf>.<kind>.<generation>     a key that was passed over                  the message that it is for
    proposal.<n>, update.<n>           what waits for a commit                     proposals
    past.<epoch>                       an epoch gone by, where such are kept       each commit, its late messages

In a group of a thousand the tree weighs megabytes and a commit touches a dozen of its nodes; a message advances one
ratchet. So whoever stores groups writes `changes` from one value to the next, all in one transaction, and reads the
pieces back. What is erased must be gone: these are keys that were used (RFC 9420 §9.2).

All of it holds private keys or message keys, and what is read is our own and isn't judged again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from securechan.codec import U32, Opaque, Struct, opaque, vec
from securechan.crypto.kem import KemKey
from securechan.crypto.suite import Suite
from securechan.errors import Malformed
from securechan.mls.epoch import Epoch, EpochState, kept_key
from securechan.mls.extensions import TREE_BOUND
from securechan.mls.framing import Sender
from securechan.mls.labels import SecretBytes
from securechan.mls.nodes import LeafNode, Node, ParentNode, TreeSlot
from securechan.mls.past import PastEpoch
from securechan.mls.proposals import Proposal
from securechan.mls.ratchets import MessageKey, Ratchet, Ratchets, TreeSecret
from securechan.mls.terms import Terms
from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import NodeIndex

if TYPE_CHECKING:
    from securechan.mls.group import Group

K = TypeVar("K")
Changes = dict[str, bytes | None]

_Large = Annotated[bytes, opaque(max=1 << 29)]


class Pending(Struct):
    """A proposal of this epoch that a commit may refer to."""

    ref: Opaque
    proposal: Proposal
    sender: Sender


# --------------------------------------------------------------------------------------------------------------- whole


class EpochWithTree(Struct):
    """That which changes with each commit, in one."""

    epoch: EpochState
    tree: Annotated[bytes, opaque(max=TREE_BOUND + 8)]


class MessageState(Struct):
    """That which changes with each message, in one."""

    ratchets: _Large = field(repr=False)
    pending: tuple[Pending, ...]
    own_updates: tuple[SecretBytes, ...]
    past: Annotated[tuple[_Large, ...], vec(max=(1 << 30) - 1)] = field(repr=False)


def encode_epoch(group: Group) -> bytes:
    return EpochWithTree(group.state.at_rest(), group.state.tree.encode()).encode()


def encode_ratchets(group: Group) -> bytes:
    updates = tuple(key.private for key in group.own_updates)
    past = tuple(kept.encode(group.state.tree) for kept in group.past)
    return MessageState(group.ratchets.encode(), group.pending, updates, past).encode()


def decode(kind: type[Group], epoch: bytes, ratchets: bytes, terms: Terms, suite: Suite | None = None) -> Group:
    """Raises `Malformed`."""
    whole, messages = EpochWithTree.decode(epoch), MessageState.decode(ratchets)
    state = Epoch.woken(whole.epoch, lambda found: RatchetTree.decode(found, whole.tree), suite)
    updates = tuple(kept_key(state.suite.hpke.kem.load, private) for private in messages.own_updates)
    past = [PastEpoch.decode(kept, state.tree) for kept in messages.past]
    return kind(state, Ratchets.decode(messages.ratchets), messages.pending, updates, _newest(past, terms), terms)


def _newest(past: list[PastEpoch], terms: Terms) -> tuple[PastEpoch, ...]:
    return tuple(past[len(past) - min(len(past), terms.past_epochs) :])


# ----------------------------------------------------------------------------------------------------------- in pieces


def changes(before: Group | None, after: Group) -> Changes:
    """What a store that holds the pieces of ``before`` writes, and erases (None), to hold those of ``after``."""
    made: Changes = {}
    if before is None or before.state is not after.state:
        encoded = after.state.at_rest().encode()
        if before is None or before.state.at_rest().encode() != encoded:
            made["epoch"] = encoded
        for index, (old, new) in enumerate(_nodes(before, after)):
            if old is not new and old != new:
                made[f"node.{index}"] = None if new is None else new.encode()
    if before is None or before.ratchets is not after.ratchets:
        made |= _ratchets_changed(None if before is None else before.ratchets, after.ratchets)
    made |= _differences(_proposals(before), _proposals(after), Pending.encode)
    made |= _differences(_updates(before), _updates(after), lambda key: key.private)
    if before is None or before.past is not after.past or before.state.tree is not after.state.tree:
        made |= _differences(_past(before), _past(after), bytes)
    return made


def _nodes(before: Group | None, after: Group) -> Iterator[tuple[Node | None, Node | None]]:
    return zip_longest(() if before is None else before.state.tree.nodes, after.state.tree.nodes)


def _ratchets_changed(before: Ratchets | None, after: Ratchets) -> Changes:
    made: Changes = _differences(
        {} if before is None else {f"secret.{node}": (node, secret) for node, secret in before.secrets.items()},
        {f"secret.{node}": (node, secret) for node, secret in after.secrets.items()},
        lambda kept: TreeSecret(*kept).encode(),
    )
    old = {} if before is None else before.ratchets
    for place in old.keys() | after.ratchets.keys():
        was, now = old.get(place), after.ratchets.get(place)
        if was is now or was == now:
            continue
        name = f"{place[0]}.{place[1]}"
        made |= _differences(_stand(name, was), _stand(name, now), Ratchet.encode)
        made |= _differences(_skipped(name, was), _skipped(name, now), MessageKey.encode)
    return made


def _bare(ratchet: Ratchet, skipped: tuple[MessageKey, ...]) -> Ratchet:
    return Ratchet(ratchet.leaf, ratchet.kind, ratchet.generation, ratchet.secret, skipped)


def _stand(name: str, ratchet: Ratchet | None) -> dict[str, Ratchet]:
    return {} if ratchet is None else {f"ratchet.{name}": _bare(ratchet, ())}


def _skipped(name: str, ratchet: Ratchet | None) -> dict[str, MessageKey]:
    return {} if ratchet is None else {f"key.{name}.{kept.generation}": kept for kept in ratchet.skipped}


def _proposals(group: Group | None) -> dict[str, Pending]:
    return {} if group is None else {f"proposal.{number}": each for number, each in enumerate(group.pending)}


def _updates(group: Group | None) -> dict[str, KemKey]:
    return {} if group is None else {f"update.{number}": each for number, each in enumerate(group.own_updates)}


def _past(group: Group | None) -> dict[str, bytes]:
    return {} if group is None else {f"past.{each.epoch}": each.encode(group.state.tree) for each in group.past}


def _differences(before: Mapping[str, K], after: Mapping[str, K], encode: Callable[[K], bytes]) -> Changes:
    """By name: what is new or another, and None for what is gone."""
    made: Changes = dict.fromkeys(name for name in before if name not in after)
    for name, value in after.items():
        old = before.get(name)
        if old is not value and old != value:
            made[name] = encode(value)
    return made


def group_of(kind: type[Group], pieces: Mapping[str, bytes], terms: Terms, suite: Suite | None = None) -> Group:
    """The group whose pieces these are. Raises `Malformed`."""
    sorted_out: dict[str, dict[tuple[int, ...], bytes]] = {}
    for name, data in pieces.items():
        what, *numbers = name.split(".")
        try:
            sorted_out.setdefault(what, {})[tuple(map(int, numbers))] = data
        except ValueError:
            raise Malformed(f"a piece of a group called {name[:64]!r}") from None
    told = EpochState.decode(_only(sorted_out))
    state = Epoch.woken(told, lambda found: _tree(found, sorted_out.pop("node", {})), suite)
    secrets = [TreeSecret.decode(data) for data in sorted_out.pop("secret", {}).values()]
    keys: dict[tuple[int, ...], list[MessageKey]] = {}
    for (*place, _), data in sorted(sorted_out.pop("key", {}).items()):
        keys.setdefault(tuple(place), []).append(MessageKey.decode(data))
    stood = [Ratchet.decode(data) for data in sorted_out.pop("ratchet", {}).values()]
    ratchets = Ratchets(
        state.tree.leaf_count,
        {NodeIndex(kept.node): kept.secret for kept in secrets},
        {(each.leaf, each.kind): _bare(each, tuple(keys.get((each.leaf, each.kind), ()))) for each in stood},
    )
    pending = tuple(Pending.decode(data) for _, data in sorted(sorted_out.pop("proposal", {}).items()))
    load = state.suite.hpke.kem.load
    updates = tuple(kept_key(load, data) for _, data in sorted(sorted_out.pop("update", {}).items()))
    past = [PastEpoch.decode(data, state.tree) for _, data in sorted(sorted_out.pop("past", {}).items())]
    if sorted_out:
        raise Malformed(f"a piece of a group called {min(sorted_out)[:64]!r}")
    return kind(state, ratchets, pending, updates, _newest(past, terms), terms)


def _only(pieces: dict[str, dict[tuple[int, ...], bytes]]) -> bytes:
    match list(pieces.pop("epoch", {}).items()):
        case [((), data)]:
            return data
    raise Malformed("a group without its epoch")


def _tree(suite: Suite, pieces: Mapping[tuple[int, ...], bytes]) -> RatchetTree:
    nodes: dict[int, Node] = {}
    for numbers, data in pieces.items():
        match numbers:
            case [index] if index >= 0:
                nodes[index] = ParentNode.decode(data) if index & 1 else LeafNode.decode(data)
            case _:
                raise Malformed("a node of a tree without its place")
    return RatchetTree.of_nodes(suite, nodes)


# --------------------------------------------------------------------------------------------------------- as a change


class Placed(Struct):
    """What stands at a node now; nothing where it is blank."""

    index: U32
    slot: TreeSlot | None


class Advance(Struct):
    """The next epoch, as it differs from the one before."""

    epoch: EpochState
    leaf_count: U32
    nodes: Annotated[tuple[Placed, ...], vec(max=TREE_BOUND)]
    ratchets: _Large = field(repr=False)


def advance(before: Group, after: Group) -> bytes:
    """``after`` is ``before``, one commit later."""
    placed = [
        Placed(index, None if new is None else TreeSlot.of(new))
        for index, (old, new) in enumerate(_nodes(before, after))
        if old is not new and old != new
    ]
    state = after.state
    return Advance(state.at_rest(), state.tree.leaf_count, tuple(placed), after.ratchets.encode()).encode()


def advanced(before: Group, data: bytes) -> Group:
    """The later group again. Raises `Malformed`."""
    told = Advance.decode(data)
    now, then = before.state.context, told.epoch.context
    if (then.group_id, then.epoch) != (now.group_id, now.epoch + 1):
        raise Malformed("a change to another epoch than the next one of this group")

    def tree_of(_: Suite) -> RatchetTree:
        tree = before.state.tree.grown(told.leaf_count)
        nodes: list[tuple[NodeIndex, Any]] = [
            (NodeIndex(each.index), None if each.slot is None else each.slot.node) for each in told.nodes
        ]
        if any(index >= len(tree.nodes) for index, _ in nodes):
            raise Malformed("a change to a tree that doesn't have all its nodes")
        return tree.with_nodes(nodes).truncated()

    return before.entering(Epoch.woken(told.epoch, tree_of, before.suite), Ratchets.decode(told.ratchets))
