"""Room in SQLite's log before it is needed, so that an fsync writes what was said and nothing else.

A file that grows must have its length and its blocks made durable too: on a file system with a journal of its own that
doubles what a group commit waits for. So whenever SQLite has written beyond the end that was laid out, zeros are laid
out ahead of it: as much again as there is, and soon a quarter of a megabyte at a time. It writes over them (a log is
read up to the first frame whose checksum does not fit, and zeros have none), and once the log has reached its full
length it is used again from the start.

The fsync after such zeros makes them durable as well, and takes longer. So the rest is laid out soon after the start,
in pieces that are synced by themselves (`lay_ahead`), and only a relay that is busy from its first second on meets it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LEAST: Final = 64 << 10  # bytes laid out at once
MOST: Final = 256 << 10  # more at once, and one fsync in a hundred takes milliseconds
SOON: Final = 0.3  # seconds after the start that this begins: a store that is opened for a moment has no use for it
PIECE: Final = 512 << 10  # bytes laid out at once soon after the start …
PAUSE: Final = 0.03  # … seconds between two of them: others are at work here
FULL: Final = 32 << 20  # bytes that a log has which goes into the database in time


def lay_out(log: Path, laid: int) -> int:
    """To be called between two transactions, by whoever writes them: how long the log is laid out, which was ``laid``
    bytes. Where the disk has no room for it there is none ahead: whether a commit fits is for SQLite to find out."""
    size = log.stat().st_size
    if size <= laid or size >= FULL:
        return size
    more = max(LEAST, min(size, MOST, FULL - size))
    try:
        with log.open("ab", buffering=0) as file:
            return size + file.write(bytes(more))
    except OSError:
        return log.stat().st_size


def lay_ahead(log: Path) -> int:
    """Lay out a piece more and make it durable: how long the log is then. To be called as `lay_out`. Where the log is
    no longer than before, it is full, or the disk has no room."""
    try:
        size = log.stat().st_size
        if size < FULL:
            with log.open("r+b", buffering=0) as file:
                file.seek(0, os.SEEK_END)
                size += file.write(bytes(min(PIECE, FULL - size)))
                os.fdatasync(file.fileno())
    except OSError:
        return log.stat().st_size if log.exists() else 0
    return size
