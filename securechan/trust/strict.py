"""The one JSON form of everything that is signed: compact, keys sorted, ASCII, whole numbers.

A document that two parsers could read differently lets one member see a device that another doesn't. So a document has
exactly one form, and anything else is malformed: a key given twice, NaN, a fraction, blanks, an unescaped letter, a
number beyond 2^53, half a surrogate pair. Parsing and writing it again must give the same bytes; that one comparison
finds all of it. Size and depth are bounded before anything is built on them.
"""

from __future__ import annotations

import json
from typing import Final, TypeAlias

from securechan.errors import Malformed

MAX_DOCUMENT: Final = 3 << 19  # bytes (1.5 MiB) of one document: a roster of some 200 devices
MAX_DEPTH: Final = 12  # containers inside containers; a root document has 6
MAX_INTEGER: Final = (1 << 53) - 1

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"


def dump(value: object) -> bytes:
    """The one form of ``value``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def load(content: bytes, what: str = "document", bound: int = MAX_DOCUMENT) -> dict[str, Json]:
    """The object that ``content`` is the one form of. Raises Malformed."""
    if len(content) > bound:
        raise Malformed(f"{what}: {len(content)} bytes, at most {bound} are allowed")
    try:
        value: Json = json.loads(
            content.decode("ascii"), parse_int=_integer, parse_float=_refuse, parse_constant=_refuse
        )
        _check_depth(value)
        same = dump(value) == content
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair has no UTF-8
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{what}: not the JSON it should be: {_why(error)}") from None
    if not same:
        raise Malformed(f"{what}: not in its one form (compact, sorted, ASCII, no key twice)")
    if not isinstance(value, dict):
        raise Malformed(f"{what}: not a JSON object")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError("a number beyond 2^53-1")
    return int(digits)


def _refuse(digits: str) -> float:
    raise ValueError(f"{digits[:20]} is no whole number")


def _check_depth(value: Json) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level if isinstance(item, dict | list) for child in _children(item)]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _children(item: dict[str, Json] | list[Json]) -> list[Json]:
    inside = item.values() if isinstance(item, dict) else item
    return [child for child in inside if isinstance(child, dict | list)]


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "characters outside ASCII, or half a surrogate pair"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at offset {error.pos}"
    return str(error)
