"""A QR code on a terminal: two modules a character, in black on white whatever the terminal's own colours are."""

from __future__ import annotations

import os
import sys
from typing import Final

MARGIN: Final = 4  # modules of white around it: cameras need them (ISO/IEC 18004)
_BLACK_ON_WHITE: Final = "\x1b[30;107m"
_RESET: Final = "\x1b[0m"
_HALVES: Final = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def drawn(text: str, *, coloured: bool | None = None) -> str:
    """The code of ``text``, line by line. Without colours white is drawn, as on a dark terminal; by default they are
    there where stdout is a terminal and NO_COLOR isn't set."""
    import segno

    if coloured is None:
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    rows = [list(row) for row in segno.make_qr(text, error="m").matrix_iter(border=MARGIN)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    white = 0 if coloured else 1
    lines = [
        "".join(_HALVES[above ^ white, below ^ white] for above, below in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]
    return "\n".join(f"{_BLACK_ON_WHITE}{line}{_RESET}" if coloured else line for line in lines)
