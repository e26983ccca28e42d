"""What a record holds once it is opened: what its sender does next, frames, and padding.

It says nothing of who it is for, so that `filled` makes one for all who are sent the same. Most records that a relay
opens hold one small append and nothing else; `lone_append` reads these without building what is around it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

from securechan.codec import Enum8, Struct, vec, write_varint
from securechan.errors import Misuse
from securechan.wire.frames import MAX_FRAMES, MOST_FRAMES, Append, Frame, FrameKind, RequestKind
from securechan.wire.padding import bucket


class Then(Enum8):
    """What the sender does after this record."""

    STAY = 0
    REKEY = 1  # its next record is under the next keys of its direction


_LONE: Final = struct.Struct(">BHBIB32s32sH")  # a record's plaintext up to the body of its append
_UP_TO_END_OF_BODY: Final = _LONE.size + (1 << 6)
_IS_LONE: Final = (int(Then.STAY), int(FrameKind.REQUEST), int(RequestKind.APPEND))


class RecordBody(Struct):
    """The plaintext of a record: what comes next, the frames, then zero bytes up to the bucket (padding.py)."""

    then: Then
    frames: Annotated[tuple[Frame, ...], vec(MAX_FRAMES, MOST_FRAMES)]


def filled(frames: Sequence[bytes]) -> bytes:
    """The plaintext of a record of these encoded frames that says `Then.STAY`, padding and all, for
    `Session.seal_filled`. Raises `Misuse` where they exceed `MAX_FRAMES` bytes."""
    size = sum(map(len, frames))
    if size > MAX_FRAMES:
        raise Misuse(f"{size} bytes of frames where a record takes {MAX_FRAMES}", hint="split them")
    head = bytearray((Then.STAY,))
    write_varint(head, size)
    size += len(head)
    return b"".join((head, *frames, bytes(bucket(size) - size)))


def rekeying(plain: bytes) -> bytes:
    """As that plaintext, but it says `Then.REKEY`."""
    return bytes((Then.REKEY,)) + plain[1:]


class LoneAppend(NamedTuple):
    """The request of a record that holds nothing else, as comes by the ten thousand."""

    number: int
    append: Append


def lone_append(plain: bytes) -> LoneAppend | None:
    """The append in a record's plaintext, padding and all, that holds one of 64 to 16,000 bytes, no commit, and no
    rekeying: read in one go. None of what else it may be, or of what is wrong: `RecordBody` says. The tests hold the
    two to each other."""
    if len(plain) < _UP_TO_END_OF_BODY:
        return None
    then, length, kind, number, what, topic, entry_id, size = _LONE.unpack_from(plain)
    length ^= 0x4000  # both in the form of two bytes; of another, a number beyond it
    size ^= 0x4000
    stop = _LONE.size + size
    if (
        not 1 << 6 <= size < length < 1 << 14
        or length + 3 != stop + 1
        or stop >= len(plain)
        or (then, kind, what) != _IS_LONE
        or plain[stop:] != bytes(len(plain) - stop)  # no commit, and zeros to the end
    ):
        return None
    append = Append.__new__(Append)
    append.__dict__.update(topic=topic, entry_id=entry_id, body=plain[_LONE.size : stop], commit=None)
    return LoneAppend(number, append)
