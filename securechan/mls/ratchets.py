"""RFC 9420 §9: the secret tree: a key for every message, used once and forgotten.

    encryption_secret ─► secrets of the subtrees ─► per leaf ─┬─► handshake ratchet:   generation 0, 1, 2, …
                                                              └─► application ratchet: generation 0, 1, 2, …

`Ratchets` is the part of a group that changes with each message. It starts with one secret at the root; a leaf's
ratchets come into being when that leaf first speaks, and the secrets above them go (§9.2). A receiver keeps the keys of
the generations that it skipped, at most `MAX_SKIPPED` a ratchet, since networks reorder; it steps at most `MAX_JUMP`
ahead, since senders lie. Spent keys are nowhere in the next value.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from securechan.codec import U8, U32, Kept, Struct, vec
from securechan.crypto.secret import Secret
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen, Malformed, Misuse
from securechan.mls.labels import SecretBytes, derive_tree_secret, expand_with_label
from securechan.mls.registry import ContentType
from securechan.mls.rules import Rule
from securechan.mls.treemath import LeafIndex, NodeIndex, children, is_leaf, node_of, parent, root

MAX_JUMP: Final = 1 << 12  # generations a message may lie ahead of the last one seen
MAX_SKIPPED: Final = 1000  # keys kept for messages that may still come, per ratchet
MAX_GENERATION: Final = (1 << 32) - 1

_HANDSHAKE: Final = 0
_APPLICATION: Final = 1


class MessageKey(Struct):
    """§9.1: key and nonce of one generation."""

    generation: U32
    key: SecretBytes
    nonce: SecretBytes


class Ratchet(Kept):
    """§9.1: one leaf's ratchet of one kind, standing at the next generation, with the skipped keys in order."""

    leaf: U32
    kind: U8
    generation: U32
    secret: SecretBytes
    skipped: Annotated[tuple[MessageKey, ...], vec(max=1 << 20)]

    def key_at(self, suite: Suite, generation: int, keep: int = MAX_SKIPPED) -> tuple[MessageKey, Ratchet]:
        """The key of ``generation`` and the ratchet without it, ``keep`` skipped keys at most kept for what may come.

        Raises `CannotOpen` for a key that's gone or too far ahead.
        """
        if generation < self.generation:
            at = bisect_left(self.skipped, generation, key=lambda kept: kept.generation)
            if at == len(self.skipped) or self.skipped[at].generation != generation:
                gone = f"the key of generation {generation} of leaf {self.leaf} is used up"
                raise CannotOpen(gone, rule=Rule.KEY_UNUSED)
            left_over = self.skipped[:at] + self.skipped[at + 1 :]
            return self.skipped[at], Ratchet(self.leaf, self.kind, self.generation, self.secret, left_over)
        if generation - self.generation > MAX_JUMP:
            far = f"generation {generation} of leaf {self.leaf} lies too far ahead of {self.generation}"
            raise CannotOpen(far, rule=Rule.TOO_FAR_AHEAD)
        if generation >= MAX_GENERATION:
            raise CannotOpen(f"leaf {self.leaf} has come to its last generation", rule=Rule.TOO_FAR_AHEAD)
        if generation == self.generation:  # in order, as nearly all come
            key, left_over = self._key(suite, self.secret, generation), self.skipped[-keep:] if keep else ()
            secret = derive_tree_secret(suite, self.secret, "secret", generation, suite.hash_length)
            return key, Ratchet(self.leaf, self.kind, generation + 1, secret, left_over)
        skipped = list(self.skipped)
        secret = self.secret
        for passing in range(self.generation, generation):
            if generation - passing <= keep:
                skipped.append(self._key(suite, secret, passing))
            secret = derive_tree_secret(suite, secret, "secret", passing, suite.hash_length)
        key = self._key(suite, secret, generation)
        secret = derive_tree_secret(suite, secret, "secret", generation, suite.hash_length)
        left_over = tuple(skipped[max(0, len(skipped) - keep) :])
        return key, Ratchet(self.leaf, self.kind, generation + 1, secret, left_over)

    @staticmethod
    def _key(suite: Suite, secret: bytes, generation: int) -> MessageKey:
        return MessageKey(
            generation,
            derive_tree_secret(suite, secret, "key", generation, suite.aead_key_length),
            derive_tree_secret(suite, secret, "nonce", generation, suite.aead_nonce_length),
        )


class TreeSecret(Struct):
    """§9: the secret of a subtree none of whose leaves has spoken."""

    node: U32
    secret: SecretBytes


class RatchetsState(Struct):
    """How ratchets are kept at rest."""

    leaf_count: U32
    secrets: Annotated[tuple[TreeSecret, ...], vec(max=1 << 26)]
    ratchets: Annotated[tuple[Ratchet, ...], vec(max=1 << 29)]


@dataclass(frozen=True, slots=True)
class Ratchets:
    """All message keys of an epoch that aren't spent. A value: taking a key answers with the next one."""

    leaf_count: int
    secrets: Mapping[NodeIndex, Secret]
    ratchets: Mapping[tuple[int, int], Ratchet]

    @classmethod
    def start(cls, leaf_count: int, encryption_secret: Secret) -> Ratchets:
        """§9: at the start of an epoch."""
        return cls(leaf_count, {root(leaf_count): encryption_secret}, {})

    def take(
        self, suite: Suite, leaf: LeafIndex, content_type: ContentType, generation: int, keep: int = MAX_SKIPPED
    ) -> tuple[Ratchets, MessageKey]:
        """The key of one message. Raises `CannotOpen` for a generation that is spent or too far ahead."""
        kind = _APPLICATION if content_type is ContentType.APPLICATION else _HANDSHAKE
        opened = self._opened(suite, leaf)
        key, ratchet = opened.ratchets[leaf, kind].key_at(suite, generation, keep)
        return Ratchets(opened.leaf_count, opened.secrets, {**opened.ratchets, (leaf, kind): ratchet}), key

    def next_generation(self, leaf: LeafIndex, content_type: ContentType) -> int:
        """The generation that the leaf's next message of that type has, as far as seen here."""
        kind = _APPLICATION if content_type is ContentType.APPLICATION else _HANDSHAKE
        ratchet = self.ratchets.get((leaf, kind))
        return 0 if ratchet is None else ratchet.generation

    def _opened(self, suite: Suite, leaf: LeafIndex) -> Ratchets:
        """§9: with the leaf's ratchets in being, and no secret kept from which they could be derived again."""
        if not 0 <= leaf < self.leaf_count:
            raise CannotOpen(f"there is no leaf {leaf}")
        if (leaf, _HANDSHAKE) in self.ratchets:
            return self
        target = node_of(leaf)
        at = target
        top = root(self.leaf_count)
        while at not in self.secrets:
            if at == top:
                raise Misuse(f"the secret tree holds neither ratchets nor a secret for leaf {leaf}")
            at = parent(at)
        secrets = dict(self.secrets)
        secret = secrets.pop(at)
        size = suite.hash_length
        while not is_leaf(at):
            lower, upper = children(at)
            of_lower = expand_with_label(suite, secret, "tree", b"left", size)
            of_upper = expand_with_label(suite, secret, "tree", b"right", size)
            if target < at:
                at, secret, secrets[upper] = lower, of_lower, of_upper
            else:
                at, secret, secrets[lower] = upper, of_upper, of_lower
        made: dict[tuple[int, int], Ratchet] = {
            (leaf, kind): Ratchet(leaf, kind, 0, expand_with_label(suite, secret, label, b"", size), ())
            for kind, label in ((_HANDSHAKE, "handshake"), (_APPLICATION, "application"))
        }
        return Ratchets(self.leaf_count, secrets, {**self.ratchets, **made})

    def encode(self) -> bytes:
        """At rest: holds message keys. One value has one form. A ratchet that didn't change isn't encoded anew."""
        secrets = tuple(TreeSecret(node, self.secrets[node]) for node in sorted(self.secrets))
        ratchets = tuple(self.ratchets[place] for place in sorted(self.ratchets))
        return RatchetsState(self.leaf_count, secrets, ratchets).encode()

    @classmethod
    def decode(cls, data: bytes) -> Ratchets:
        """From rest. Raises `Malformed`."""
        state = RatchetsState.decode(data)
        if state.leaf_count < 1 or state.leaf_count & (state.leaf_count - 1):
            raise Malformed(f"ratchets of {state.leaf_count} leaves")
        return cls(
            state.leaf_count,
            {NodeIndex(kept.node): kept.secret for kept in state.secrets},
            {(ratchet.leaf, ratchet.kind): ratchet for ratchet in state.ratchets},
        )
