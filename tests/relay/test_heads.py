"""Signed heads: the tree, what its paths prove, and how often the relay signs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.bounds import Bounds
from relay.heads import HeadBook, OnlineKey
from securechan.crypto.contexts import HEAD
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, Invalid
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import Frame, Halt, Heads
from securechan.wire.heads import HeadsSigned, Tree, head_leaf, leaf_hash, root_from, signed_part, verify_heads
from tests.relay.desk import NAME, digest, online, open_desk

S0 = digest("secret")


def position(n: int) -> Position:
    return Position(n, hashlib.sha384(b"%d" % n).digest())


def signed(count: int, only: tuple[int, ...] | None = None) -> Heads:
    topics = [digest(n) for n in range(count)]
    tree = Tree([leaf_hash(topic, position(n)) for n, topic in enumerate(topics)])
    said = HeadsSigned(NAME, 1_800_000_000_000, count, tree.root)
    signature = COMPOSITE.sign(online().key, HEAD, said.encode())
    leaves = tuple(head_leaf(tree, topics[n], position(n), n) for n in (range(count) if only is None else only))
    return Heads(NAME, said.time, count, tree.root, signature, leaves)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
def test_every_leaf_proves_itself(count: int) -> None:
    heads = signed(count)
    assert Frame.decode(Frame.of(heads).encode()).body == heads
    assert verify_heads(heads, online().public, NAME) == {digest(n): position(n) for n in range(count)}


@given(st.integers(1, 40), st.data())
def test_a_path_proves_one_leaf_in_one_place(count: int, data: st.DataObject) -> None:
    leaves = [hashlib.sha384(b"leaf %d" % n).digest() for n in range(count)]
    tree = Tree(leaves)
    index = data.draw(st.integers(0, count - 1))
    path = tree.path(index)
    assert root_from(leaves[index], index, count, path) == tree.root
    other = data.draw(st.integers(0, count))
    if other != index:
        with contextlib.suppress(Invalid):
            assert root_from(leaves[index], other, count, path) != tree.root
    with pytest.raises(Invalid):
        root_from(leaves[index], index, count, (*path, bytes(48)))
    if path:
        with pytest.raises(Invalid):
            root_from(leaves[index], index, count, path[:-1])


def test_what_is_not_in_the_batch_is_refused() -> None:
    heads = signed(5, only=(2,))
    (leaf,) = heads.leaves
    public = online().public
    for wrong in (
        replace(heads, leaves=(replace(leaf, sequence=99),)),
        replace(heads, leaves=(replace(leaf, topic=digest("other")),)),
        replace(heads, leaves=(replace(leaf, index=3),)),
        replace(heads, leaves=(replace(leaf, index=5),)),
        replace(heads, relay="relay-2"),
    ):
        with pytest.raises(Invalid):
            verify_heads(wrong, public, NAME)
    for wrong in (replace(heads, time=heads.time + 1), replace(heads, root=bytes(48)), replace(heads, count=6)):
        with pytest.raises((BadSignature, Invalid)):
            verify_heads(wrong, public, NAME)
    assert signed_part(heads) == HeadsSigned(NAME, heads.time, 5, heads.root).encode()
    with pytest.raises(Invalid):
        Tree([])


async def test_a_topic_s_head_is_pushed_now_and_then_under_one_signature() -> None:
    async with open_desk(signer=online(), bounds=Bounds(head_every=3600)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        topics = [digest("topic", n) for n in range(3)]
        for topic in topics:
            await one.create(topic, digest(topic))
            for client in (one, two):
                await client.read(topic, digest(topic))
                await client.halted(topic, Halt.TAIL)
        await asyncio.gather(*[one.say(topic, b"said") for topic in topics])
        await two.outlet.until(two.heads)
        await asyncio.gather(*[one.say(topic, b"said more") for topic in topics])  # not again so soon
        (heads,) = two.heads()
        proved = verify_heads(heads, online().public, NAME)
        for topic in topics:
            assert proved[topic] == advance(start(topic), 0, digest(topic, b"said"), 1, b"said")
        frames = [
            next(raw for raw, frame in zip(c.outlet.raw, c.outlet.frames, strict=True) if frame == heads)
            for c in (one, two)
        ]
        assert frames[0] is frames[1]
        assert desk.mailroom.stats()["head_signatures"] == 1


def test_what_signs() -> None:
    key = OnlineKey(COMPOSITE.load(bytes(64)))
    assert key.public == key.key.public
    book = HeadBook(NAME, key, lambda: 0, Bounds())
    assert book.signatures == 0
