"""What people see: text from strangers made harmless, tables, times, sizes.

Everything that came from outside passes `safe` on its way to a terminal: control characters (escape sequences begin
with one) and the marks that turn the direction of writing are taken out or shown as what they are, and indicators are
*defanged*, so that nobody opens an attacker's address by clicking on a warning about it. ``--json`` shows everything
raw: scripts must not have to undo any of this.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

_KEPT_CONTROLS: Final = frozenset("\n\t")
_JOINER: Final = "\u200d"
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_URL: Final = re.compile(r"(https?|s?ftps?)(:/{1,3})([^\s/]*)", re.IGNORECASE)
_DOT: Final = re.compile(r"(?<!\[)\.(?!\])")
_HOSTLIKE: Final = re.compile(
    r"(?:[0-9A-Za-z_\-\u00a1-\uffff]+\.)+(?:[A-Za-z\u00a1-\uffff][0-9A-Za-z\-\u00a1-\uffff]+|[0-9]+)"
)
_FILE_NAMES: Final = frozenset(
    {"csv", "doc", "docx", "eml", "gz", "html", "jpeg", "jpg", "js", "json", "log", "md", "pdf", "pem", "png", "ps1"}
    | {"py", "sh", "tar", "toml", "txt", "xml", "yaml", "yml"}
)


def safe(text: str, *, lines: bool = False) -> str:
    """Text from outside, harmless on a terminal. With ``lines`` its line breaks and tabs stay; otherwise they become
    spaces. What is taken out leaves a visible mark."""
    out: list[str] = []
    for c in text.replace("\r\n", "\n"):
        if c in _KEPT_CONTROLS:
            out.append(c if lines else " ")
        elif c == _JOINER:
            continue  # joins emoji, and hides between letters
        elif unicodedata.category(c) in _UNSEEN:
            out.append(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}")
        else:
            out.append(c)
    return "".join(out)


def defang(text: str) -> str:
    """Addresses made unclickable: ``hxxps://``, ``example[.]int``, ``192.0.2[.]1``; file names stay as they are."""

    def url(found: re.Match[str]) -> str:
        scheme = re.sub("tt|t", lambda t: "x" * len(t[0]), found[1], count=1, flags=re.IGNORECASE)
        return scheme + found[2] + _DOT.sub("[.]", found[3])

    def host(found: re.Match[str]) -> str:
        name = found[0]
        last = name.rpartition(".")[2]
        if last.lower() in _FILE_NAMES and name.count(".") == 1:
            return name
        if last.isdigit() and not re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", name):
            return name  # a version or a section, not an address
        return _DOT.sub("[.]", name)

    return _HOSTLIKE.sub(host, _URL.sub(url, text))


def stranger(text: str, *, lines: bool = False) -> str:
    """`safe` and `defang` together: for whatever another person wrote."""
    return defang(safe(text, lines=lines))


def file_name(text: str) -> str:
    """A stranger's name for a file as one that may be written beside others: bare, visible, neither hidden nor an
    option nor ``-``, at most 120 bytes. Empty where nothing is left of it."""
    bare = text.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in bare if unicodedata.category(c) not in _UNSEEN).strip().lstrip(".-~ ")
    while len(kept.encode()) > 120:
        stem, dot, last = kept.rpartition(".")
        kept = f"{stem[:-1]}{dot}{last}" if dot and stem and len(last) <= 16 else kept[:-1]
    return kept


# -------------------------------------------------------------------------------------------------------------- layout


def width(text: str) -> int:
    """Columns that ``text`` takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, columns: int) -> str:
    """``text`` with spaces after it up to ``columns``."""
    return text + " " * max(0, columns - width(text))


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Rows in columns, two spaces between them. The caller has made the cells safe."""
    found = [list(head), *rows] if head else rows
    if not found:
        return ""
    columns = max(len(line) for line in found)
    lines = [[*line, *[""] * (columns - len(line))] for line in found]
    widths = [max(width(line[n]) for line in lines) for n in range(columns)]
    return "\n".join("  ".join(pad(cell, widths[n]) for n, cell in enumerate(line)).rstrip() for line in lines)


def shorten(text: str, columns: int) -> str:
    """At most ``columns`` columns of ``text``, with an ellipsis where some is missing."""
    if width(text) <= columns:
        return text
    out = ""
    for c in text:
        if width(out + c) > columns - 1:
            break
        out += c
    return out + "…"


# --------------------------------------------------------------------------------------------------------------- values


def when(seconds: float) -> str:
    """A Unix time as RFC 3339 in UTC, to the second; ``-`` for none."""
    if not seconds:
        return "-"
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a stranger's number
        return "?"


def duration(seconds: float) -> str:
    """A length of time for people: ``41 s``, ``2 h 10 m``, ``18 d``."""
    left = int(abs(seconds))
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} m"
    if left < 86400:
        hours, minutes = left // 3600, left % 3600 // 60
        return f"{hours} h {minutes} m" if minutes and hours < 10 else f"{hours} h"
    days, hours = left // 86400, left % 86400 // 3600
    return f"{days} d {hours} h" if hours and days < 3 else f"{days} d"


def count(number: int, what: str) -> str:
    """So many of something: ``1 device``, ``2 devices``, ``3 agencies``."""
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"


def size(count: int) -> str:
    """A number of bytes for people: ``812 B``, ``1.2 KiB``, ``3.4 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024 or unit == "MiB":
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


_SPAN: Final = re.compile(r"(\d{1,7})\s*([smhdw]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: str) -> int:
    """Seconds of ``90``, ``45s``, ``30m``, ``4h``, ``2d``, ``1w``. Raises ValueError."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no length of time: use 30m, 4h, 2d")
    return int(found[1]) * _UNITS[found[2]]
