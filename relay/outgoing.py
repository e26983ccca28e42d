"""Frames that leave thousands of times a second, encoded by hand: `Answer` of an append, and runs of stored entries.

Both are byte for byte what `Frame.of(...).encode()` gives; the tests hold them to it. Everything else goes through the
declared formats.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from securechan.codec import write_varint
from securechan.wire.frames import Answer, AnswerBody, AnswerKind, Code, Error, Frame, FrameKind, Halt

_APPENDED: Final = struct.Struct(">BIBQ")
_ANSWER: Final = int(FrameKind.ANSWER)
_IS_APPENDED: Final = int(AnswerKind.APPENDED)


def answer_frame(number: int, body: AnswerBody) -> bytes:
    """The frame of one answer."""
    return Frame.of(Answer.of(number, body)).encode()


def appended_frame(number: int, sequence: int) -> bytes:
    """The frame of an answer that is `Appended`."""
    return _APPENDED.pack(_ANSWER, number, _IS_APPENDED, sequence)


def entries_frame(topic: bytes, wires: Iterable[bytes], halt: Halt) -> bytes:
    """The frame of a run of entries that are encoded already."""
    run = b"".join(wires)
    out = bytearray((FrameKind.ENTRIES,))
    out += topic
    write_varint(out, len(run))
    out += run
    out.append(halt)
    return bytes(out)


def refusal(code: Code, message: str, *, retry_after: int = 0, sequence: int = 0, entry_id: bytes = bytes(32)) -> Error:
    """An error answer; ``retry_after`` in milliseconds."""
    return Error(code, retry_after, message, sequence, entry_id)
