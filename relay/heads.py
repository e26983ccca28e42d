"""The relay signs where its topics end: at most once a second, for all of them at once, off the event loop.

A topic's head is pushed to those who have all of it when it changed, at most every ten seconds, and to whoever asks
with `GetHeads`. All topics that are due in a second go into one Merkle tree under one signature; each reader gets its
own leaves, and readers of the same topics get the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from relay.bounds import Bounds
from relay.member import Member
from relay.topics import OpenTopic, State
from securechan.crypto.contexts import HEAD
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.wire.chain import Position
from securechan.wire.frames import Frame, Heads
from securechan.wire.heads import HeadsSigned, Tree, head_leaf, leaf_hash

_PERIOD: Final = 1.0  # seconds between two signatures
_LEAVES: Final = 256  # of one frame


class HeadSigner(Protocol):
    """An online key. ``key`` is a composite key made ready."""

    @property
    def key(self) -> SigningKey: ...


@dataclass(frozen=True, slots=True)
class OnlineKey:
    """The relay's online key: signs heads, and snapshot and timestamp where this relay publishes."""

    key: SigningKey

    @property
    def public(self) -> bytes:
        return self.key.public


class HeadBook:
    """Which topics' heads are due, and for whom."""

    def __init__(self, relay: str, signer: HeadSigner, clock: Callable[[], int], bounds: Bounds) -> None:
        self._relay = relay
        self._signer = signer
        self._clock = clock
        self._bounds = bounds
        self._changed: dict[bytes, OpenTopic] = {}
        self._asked: dict[Member, dict[bytes, OpenTopic]] = {}
        self._wake = asyncio.Event()
        self.signatures = 0

    def changed(self, topic: OpenTopic) -> None:
        """The topic has grown."""
        if topic.readers:
            self._changed[topic.id] = topic
            self._wake.set()

    def ask(self, member: Member, topics: list[OpenTopic]) -> None:
        """This member wants these heads with the next batch."""
        self._asked.setdefault(member, {}).update((topic.id, topic) for topic in topics)
        self._wake.set()

    async def run(self) -> None:
        """Sign until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            now = loop.time()
            due = [t for t in self._changed.values() if now - t.head_sent >= self._bounds.head_every]
            if due or self._asked:
                await self._batch(due, now)
            if not self._changed and not self._asked:
                self._wake.clear()
            await asyncio.sleep(_PERIOD)

    async def _batch(self, due: list[OpenTopic], now: float) -> None:
        wanted: dict[Member, set[bytes]] = {}
        topics: dict[bytes, OpenTopic] = {}
        for topic in due:
            del self._changed[topic.id]
            topic.head_sent = now
            for member, reader in topic.readers.items():
                if reader.state is State.TAIL:
                    wanted.setdefault(member, set()).add(topic.id)
                    topics[topic.id] = topic
        asked, self._asked = self._asked, {}
        for member, some in asked.items():
            wanted.setdefault(member, set()).update(some)
            topics.update(some)
        if not topics:
            return
        positions = {name: topic.last for name, topic in topics.items()}
        indices = {name: index for index, name in enumerate(positions)}
        tree = Tree([leaf_hash(name, position) for name, position in positions.items()])
        time = self._clock()
        signed = HeadsSigned(self._relay, time, len(positions), tree.root)
        signature = await asyncio.to_thread(COMPOSITE.sign, self._signer.key, HEAD, signed.encode())
        self.signatures += 1
        self._send(wanted, lambda name: (positions[name], indices[name]), tree, signed, signature)

    def _send(
        self,
        wanted: dict[Member, set[bytes]],
        place: Callable[[bytes], tuple[Position, int]],
        tree: Tree,
        signed: HeadsSigned,
        signature: bytes,
    ) -> None:
        frames: dict[tuple[bytes, ...], bytes] = {}
        for member, names in wanted.items():
            if member.gone or member.outlet.congested:
                continue
            ordered = sorted(names)
            for first in range(0, len(ordered), _LEAVES):
                some = tuple(ordered[first : first + _LEAVES])
                frame = frames.get(some)
                if frame is None:
                    leaves = tuple(head_leaf(tree, name, *place(name)) for name in some)
                    heads = Heads(signed.relay, signed.time, signed.count, signed.root, signature, leaves)
                    frame = frames[some] = Frame.of(heads).encode()
                member.outlet.send(frame)
