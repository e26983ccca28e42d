"""Rows and letters: every format reads what it wrote, and only that."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.operations.newcomer import Newcomer
from securechan.agent import letters, state
from securechan.agent.agent import Enrolled
from securechan.agent.claims import Claim
from securechan.agent.founding import Founding
from securechan.agent.policy import Officer, Policy
from securechan.agent.session import Session
from securechan.agent.state import KEYS, PACKAGES
from securechan.agent.tables import Rows, Scattered, Write, table
from securechan.bulletin.payload import BlobRef, Payload
from securechan.codec import Struct
from securechan.errors import Malformed, NotFound
from securechan.wire.frames import Show
from tests.agent.places import community, row_of
from tests.support.strategies import strategies
from tests.support.world import World

STRUCTS: list[type[Struct]] = [
    *(
        each
        for each in vars(state).values()
        if isinstance(each, type) and issubclass(each, Struct) and each is not Struct
    ),
    letters.Letter,
    letters.SignedLetter,
    letters.SealedLetter,
    Claim,
    Founding,
    Officer,
    Policy,
    Payload,
]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_row_reads_what_it_wrote(struct: type[Struct], data: st.DataObject) -> None:
    value = data.draw(strategies(struct))
    assert struct.decode(value.encode()) == value


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
@given(data=st.binary(max_size=200))
@settings(max_examples=30, deadline=None)
def test_bytes_that_are_no_row_are_malformed_and_nothing_else(struct: type[Struct], data: bytes) -> None:
    try:
        value = struct.decode(data)
    except Malformed:
        return
    assert value.encode() == data


WORDS = table("words", str.encode, bytes.decode)


def test_writes_are_the_difference_and_nothing_is_written_twice() -> None:
    rows, writes = _edited(Rows(), a="one", b="two")
    assert writes == (Write("words", "a", b"one"), Write("words", "b", b"two"))
    again, writes = _edited(rows, a="one", b="three")
    assert writes == (Write("words", "b", b"three"),)
    draft = again.edit()
    draft.drop(WORDS, "a")
    draft.drop(WORDS, "never")
    draft.put(WORDS, "c", "fleeting")
    draft.drop(WORDS, "c")
    last, writes = draft.seal()
    assert writes == (Write("words", "a", None),)
    assert dict(rows.all(WORDS)) == {"a": "one", "b": "two"}  # the values of before are still what they were
    assert dict(last.all(WORDS)) == {"b": "three"}
    with pytest.raises(NotFound):
        last.edit().need(WORDS, "a")


def _edited(rows: Rows, **words: str) -> tuple[Rows, tuple[Write, ...]]:
    draft = rows.edit()
    for name, word in words.items():
        draft.put(WORDS, name, word)
    return draft.seal()


def _letters_changed(before: str | None, after: str) -> dict[str, bytes | None]:
    """A word, a piece for each of its letters."""
    old, new = before or "", after
    gone: dict[str, bytes | None] = {str(at): None for at in range(len(new), len(old))}
    return gone | {str(at): letter.encode() for at, letter in enumerate(new) if old[at : at + 1] != letter}


SPELLED = Scattered(
    "spelled", _letters_changed, lambda pieces: "".join(pieces[key].decode() for key in sorted(pieces, key=int))
)


def test_a_row_in_pieces_writes_those_that_changed_and_goes_with_all_of_them() -> None:
    def step(rows: Rows, row: str, word: str | None) -> tuple[Rows, tuple[Write, ...]]:
        draft = rows.edit()
        if word is None:
            draft.drop(SPELLED, row)
        else:
            draft.put(SPELLED, row, word)
        return draft.seal()

    rows, writes = step(Rows(), "a", "cat")
    assert writes == tuple(Write("spelled", f"a/{at}", letter) for at, letter in enumerate((b"c", b"a", b"t")))
    rows, writes = step(rows, "a", "car")
    assert writes == (Write("spelled", "a/2", b"r"),)
    rows, _ = step(rows, "b", "on")
    assert Rows.load((SPELLED,), rows.records((SPELLED,))).all(SPELLED) == {"a": "car", "b": "on"}
    rows, writes = step(rows, "a", "c")
    assert set(writes) == {Write("spelled", "a/1", None), Write("spelled", "a/2", None)}
    rows, writes = step(rows, "b", None)
    assert set(writes) == {Write("spelled", "b/0", None), Write("spelled", "b/1", None)}
    assert rows.records((SPELLED,)) == {"spelled": {"a/0": b"c"}}


def test_a_row_that_lacks_a_part_is_malformed() -> None:
    with pytest.raises(Malformed):
        Rows.load(state.KINDS, {"groups": {"00/node.0": b""}})


def test_a_session_begins_with_nothing() -> None:
    assert not Session().connected
    assert Session() == Session()


def test_what_is_secret_is_not_shown_in_print(world: World) -> None:
    """A traceback or a log line that holds a row holds no key."""
    ana, _bor, _cene, topic = community(world)
    me = ana.agent.me
    key = next(iter(ana.agent.rows.all(KEYS).values()))
    row = row_of(ana, topic)
    enrolled = Enrolled(me.device, me.officer, key.private, me.inbox_private, me.inbox_public, b"", b"", "", "", b"")
    newcomer = Newcomer.make("cert-hr", "new", "ana", now=world.now, roster_private=b"roster's own")
    package = next(iter(ana.agent.rows.all(PACKAGES).values()))
    blob, show = BlobRef(bytes(32), b"k" * 32, 1), Show(topic, b"s" * 32)
    shown = " ".join(repr(each) for each in (me, key, row, enrolled, newcomer, package, blob, show))
    secrets = (
        me.inbox_private,
        key.private,
        *row.accesses,
        newcomer.signature_private,
        newcomer.inbox_private,
        newcomer.roster_private,
        package.bundle,
        b"k" * 32,
        b"s" * 32,
    )
    assert row.accesses
    assert me.device in shown
    assert not [each for each in secrets if repr(bytes(each))[2:-1] in shown]
    assert BlobRef.decode(blob.encode()) == blob


def test_what_is_written_is_not_shown() -> None:
    assert "secret" not in repr(Write("keys", "a", b"secret"))
