"""What is encoded by hand is byte for byte what the declared formats give."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.outgoing import answer_frame, entries_frame, refusal
from relay.store.base import Stored, tail_of
from securechan.wire.frames import (
    Answer,
    AnswerBody,
    Appended,
    Code,
    CommitClaim,
    Count,
    Done,
    Entries,
    Entry,
    EntryKind,
    Frame,
    Halt,
)

u64 = st.integers(0, 2**64 - 1)
hashes = st.binary(min_size=32, max_size=32)
entries = st.builds(
    Entry,
    u64,
    st.sampled_from(EntryKind),
    hashes,
    u64,
    st.binary(max_size=20_000),
    st.none() | st.builds(CommitClaim, u64, hashes),
)


@given(st.integers(0, 2**32 - 1), st.builds(Appended, u64) | st.builds(Count, st.integers(0, 9)) | st.just(Done()))
def test_answers(number: int, body: AnswerBody) -> None:
    assert answer_frame(number, body) == Frame.of(Answer.of(number, body)).encode()


@given(hashes, st.lists(entries, max_size=4), st.sampled_from(Halt))
def test_runs_of_entries(topic: bytes, run: list[Entry], halt: Halt) -> None:
    frame = entries_frame(topic, (entry.encode() for entry in run), halt)
    assert frame == Frame.of(Entries(topic, tuple(run), halt)).encode()


@given(entries)
def test_stored_entries(entry: Entry) -> None:
    tail = tail_of(entry.body, entry.commit)
    stored = Stored.make(entry.sequence, entry.kind, entry.entry_id, entry.time, tail)
    assert stored.wire == entry.encode()
    assert stored.entry() == entry
    assert stored.entry_id == entry.entry_id
    assert stored.is_commit == (entry.kind is EntryKind.COMMIT)
    assert stored.says(entry.kind, tail)
    assert not stored.says(entry.kind, tail + b"\0")


def test_refusals_encode() -> None:
    error = refusal(Code.STALE, "another came first", retry_after=5, sequence=7, entry_id=b"e" * 32)
    assert Frame.decode(answer_frame(3, error)).body == Answer.of(3, error)
