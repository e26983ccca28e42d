"""JSON that every reader must read alike, or it isn't read at all.

A bulletin's bytes are signed as they are and parsed by many programs. Where two parsers may differ (a key given twice,
a lone surrogate, NaN, a number that rounding changes, a byte-order mark) one agency could read a warning where another
reads none, so all of that is refused, following I-JSON (RFC 7493). Size and nesting are bounded: neither a bracket bomb
nor a number of a million digits costs more than a look.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Final, cast

from securechan.bulletin.findings import Json, Place, pointer, printable, quote
from securechan.errors import Finding, Unfit

MAX_SIZE: Final = 4 << 20  # bytes; the inline limit of a bulletin
MAX_DEPTH: Final = 100  # containers inside containers; CSAF allows 30 branches, that is 60 and a few
MAX_INTEGER: Final = (1 << 53) - 1  # RFC 7493 §2.2
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_HINT: Final = "the file must be one JSON document (RFC 8259) in UTF-8"


class _Doubled(dict[str, Json]):
    """An object in which a key stood twice; remembered so that its place can be told after parsing."""

    key = ""


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    marked = _Doubled(value)
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            marked.key = key
            break
        seen.add(key)
    return marked


class _Number(ValueError):
    """A number that isn't one for every reader, as it is written."""

    def __init__(self, literal: str, what: str) -> None:
        super().__init__(what)
        self.literal = literal


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise _Number(digits, f"the integer {digits[:24]} is beyond 2^53-1 and readers would round it differently")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Number(digits, f"the number {digits[:24]} is too large")
    return value


def _constant(name: str) -> float:
    raise _Number(name, f"{name} is not a JSON number")


def decode_text(content: bytes) -> str:
    """UTF-8 text of at most ``MAX_SIZE`` bytes without a byte-order mark. Raises `Unfit`."""
    if len(content) > MAX_SIZE:
        raise Unfit(
            f"the content is {len(content):,} bytes, at most {MAX_SIZE:,} are allowed",
            hint="publish a summary, and send the whole as an attachment",
            findings=(Finding("/", "too large"),),
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unfit(
            f"the content is not UTF-8 (byte {error.start})",
            hint="save the file as UTF-8",
            findings=(Finding(f"byte {error.start}", "not UTF-8"),),
        ) from None
    if text.startswith("\ufeff"):
        raise Unfit(
            "the content begins with a byte-order mark",
            hint="save the file as UTF-8 without a byte-order mark",
            findings=(Finding("byte 0", "byte-order mark"),),
        )
    return text


def parse(content: bytes) -> Json:
    """The value of a strict JSON document. Raises `Unfit` with the place and the fault."""
    return parse_text(decode_text(content))


def parse_text(text: str) -> Json:
    """As `parse`, of text already decoded."""
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
        )
    except RecursionError:
        raise _unfit("/", f"nested more than {MAX_DEPTH} deep") from None
    except json.JSONDecodeError as error:
        raise _unfit(f"line {error.lineno} column {error.colno}", printable(error.msg.lower())) from None
    except _Number as error:
        raise _unfit(_line_of(error.literal, text), str(error)) from None
    _inspect(cast("Json", value), strings=_SURROGATE.search(text) is not None)
    return cast("Json", value)


_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s",:\[\]{}]+')


def _line_of(literal: str, text: str) -> str:
    """The line and column where a literal stands first, outside of strings; what follows it may be no JSON at all."""
    at = next((match.start() for match in _TOKEN.finditer(text) if match[0].startswith(literal)), 0)
    return f"line {text.count(chr(10), 0, at) + 1} column {at - text.rfind(chr(10), 0, at)}"


def _unfit(where: str, what: str) -> Unfit:
    return Unfit(f"not valid JSON: {what} ({where})", findings=(Finding(where, what),), hint=_HINT)


def _inspect(value: Json, *, strings: bool) -> None:
    """Depth, keys given twice and, where escapes hint at them, lone surrogates: level by level, never by recursion.

    The first walk keeps no places, since those of a million small containers weigh more than the document.
    """
    level, depth = [value], 0
    while level:
        if depth == MAX_DEPTH and any(isinstance(item, (dict, list)) for item in level):
            break
        if any(isinstance(item, _Doubled) for item in level) or (strings and not all(map(_sound, level))):
            break
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list)) or (strings and isinstance(child, str))
        ]
        depth += 1
    else:
        return
    raise _unfit(*next(_faults(value)))


def _sound(item: Json) -> bool:
    """Whether a text, or the keys of an object, can be written as UTF-8."""
    return _encodes(item) if isinstance(item, str) else not isinstance(item, dict) or all(map(_encodes, item))


def _faults(value: Json) -> Iterator[tuple[str, str]]:
    """Where and what the faults are, of a value that has one."""
    level: list[tuple[Place, Json]] = [(None, value)]
    for depth in range(MAX_DEPTH + 1):
        for place, item in level:
            if depth == MAX_DEPTH and isinstance(item, (dict, list)):
                yield pointer(place), f"nested more than {MAX_DEPTH} deep"
            if isinstance(item, _Doubled):
                yield pointer(place), f"the key {quote(item.key)} stands twice in one object"
            if not _sound(item):
                yield pointer(place), "half of a surrogate pair"
        level = [
            ((place, key), child)
            for place, item in level
            if isinstance(item, (dict, list))
            for key, child in (item.items() if isinstance(item, dict) else enumerate(item))
            if isinstance(child, (dict, list, str))
        ]


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
