"""How inputs are altered so that they keep their form: else all that is ever tried is the outermost length.

    damaged       bytes as bytes: bits turned, pieces cut, doubled, put in, lengths made long
    of_struct     one field of one struct somewhere inside, by its annotation, everything around it encoded anew
    of_json       one place of a JSON document, for another value, key or kind

All are functions of (data, random) and answer something that differs now and then not at all; what doesn't parse as its
form is damaged as bytes. No coverage is known here: that is the fuzzer's part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from securechan.codec import (
    Codec,
    EnumCodec,
    FixedCodec,
    NothingCodec,
    OpaqueCodec,
    OptionalCodec,
    SelectCodec,
    Struct,
    StructCodec,
    TextCodec,
    UintCodec,
    VarintCodec,
    VectorCodec,
)
from securechan.errors import Malformed, Misuse
from tests.fuzz.target import Form

_LENGTHS: Final = (b"\x00", b"\x3f", b"\x40\x00", b"\x7f\xff", b"\x80\x00\x00\x01", b"\xbf\xff\xff\xff", b"\xc0")
_TEXTS: Final = ("", "\0", "a/b", "../..", "cert-hr", "É", "e\u0301", "\u202e", "ı", "ﬀ", "A" * 300, "\U0001f6a8" * 64)
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2, 2**31, 2**53, 2**64, -(2**63), 10**400, 1.5, 1e308, "", "x", "\ud800", "\0",
    "A" * 5000, "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "AA==", "é", "TLP:RED",
    "CVE-2026-0001", [], {}, [[]], [{}], {"": ""}, ["x"] * 50, {"type": "bundle"}, {"v": 1},
)  # fmt: skip


def damaged(data: bytes, random: Random) -> bytes:
    """The bytes with one to three wounds."""
    found = bytearray(data)
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(found))
        match random.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << random.randrange(8)
            case 1 if at < len(found):
                found[at] = random.choice((0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xFF))
            case 2:
                del found[at : at + random.randint(1, 1 + len(found) // 2)]
            case 3:
                length = random.choice(_LENGTHS)
                found[at : at + len(length)] = length
            case 4:
                piece = found[at : at + random.randint(1, 64)]
                to = random.randint(0, len(found))
                found[to:to] = piece * random.randint(1, 3)
            case _:
                found[at:at] = random.randbytes(random.randint(1, 8))
    return bytes(found)


def after(size: int, form: Form) -> Form:
    """For inputs whose first ``size`` bytes choose what the rest is."""

    def alter(data: bytes, random: Random) -> bytes:
        head, rest = data[:size], data[size:]
        if random.random() < 0.05:
            return random.randbytes(size) + rest
        return head + form(rest, random)

    return alter


def either(*forms: Form) -> Form:
    """One of several forms, by chance: an input is in one of them."""
    return lambda data, random: random.choice(forms)(data, random)


# ------------------------------------------------------------------------------------------------------------- structs


def of_struct(struct: type[Struct], *others: type[Struct]) -> Form:
    """For inputs that are one of these structs."""
    return by_struct(lambda data, random: random.choice((struct, *others)))


def by_struct(choose: Callable[[bytes, Random], type[Struct]], skip: int = 0) -> Form:
    """For inputs that say, in their first ``skip`` bytes, which struct follows."""

    def alter(data: bytes, random: Random) -> bytes:
        struct = choose(data, random)
        try:
            value = struct.decode(data[skip:])
            for _ in range(random.choice((1, 1, 2))):
                value = altered(value, random)
            return data[:skip] + value.encode()
        except (Malformed, Misuse):  # not of this form, or a value that its declaration has no room for
            return data[:skip] + damaged(data[skip:], random)

    return alter


def altered(value: Struct, random: Random) -> Struct:
    """The same struct with one field, here or further in, another. Raises `Misuse` where the format is irregular."""
    plan = type(value)._compiled()
    if not plan:
        return value
    name, codec = random.choice(plan)
    fields = {each: value.__dict__[each] for each, _ in plan}
    if isinstance(codec, SelectCodec):
        codec = codec.case(fields[codec.field])
    fields[name] = _other(codec, fields[name], random)
    for follower, chosen in plan:  # another kind has another body
        if isinstance(chosen, SelectCodec) and chosen.field == name and fields[name] != value.__dict__[name]:
            fields[follower] = least(chosen.case(fields[name]))
    return type(value)(**fields)


def least(codec: Codec) -> Any:
    """The smallest value that a codec writes. Raises `Misuse` for an irregular one."""
    match codec:
        case UintCodec() | VarintCodec():
            return 0
        case FixedCodec(size):
            return bytes(size)
        case OpaqueCodec():
            return b""
        case TextCodec():
            return ""
        case EnumCodec(members):
            return next(iter(members))
        case NothingCodec() | OptionalCodec():
            return None
        case VectorCodec():
            return ()
        case StructCodec(struct):
            fields: dict[str, Any] = {}
            for name, inner in struct._compiled():
                fields[name] = least(inner.case(fields[inner.field]) if isinstance(inner, SelectCodec) else inner)
            return struct(**fields)
    raise Misuse(f"nothing is known of {type(codec).__name__}")


def _other(codec: Codec, value: Any, random: Random) -> Any:
    match codec:
        case UintCodec(size):
            most = (1 << 8 * size) - 1
            return random.choice((0, 1, most, most - 1, 1 << (8 * size - 1), min(most, value + 1), max(0, value - 1)))
        case VarintCodec():
            return random.choice((0, 63, 64, (1 << 30) - 1, max(0, value - 1), value + 1))
        case FixedCodec(size):
            return random.choice((bytes(size), b"\xff" * size, random.randbytes(size), _turned(value, random)))
        case OpaqueCodec():
            return random.choice((b"", damaged(value, random), damaged(value, random), value + b"\0", value * 2))
        case TextCodec():
            return random.choice((*_TEXTS, value[:-1], value + "x", value.upper(), value + "\0"))
        case EnumCodec(members):
            return random.choice(list(members))
        case OptionalCodec(inner):
            return None if value is None or random.random() < 0.3 else _other(inner, value, random)
        case VectorCodec(inner):
            return _items(inner, value, random)
        case StructCodec() if isinstance(value, Struct):
            return altered(value, random)
    return value


def _turned(value: bytes, random: Random) -> bytes:
    at = random.randrange(8 * len(value)) if value else 0
    return value[: at // 8] + bytes([value[at // 8] ^ 1 << at % 8]) + value[at // 8 + 1 :] if value else value


def _items(inner: Codec, items: tuple[Any, ...], random: Random) -> tuple[Any, ...]:
    if not items:
        return items
    at = random.randrange(len(items))
    match random.randrange(7):
        case 0:
            return items[:at] + items[at + 1 :]
        case 1:
            return (*items, items[at])
        case 2:
            return (*items[:at], items[at], *items[at:])
        case 3:
            return tuple(reversed(items))
        case 4:
            return (items[at],) * random.choice((2, 17, 300))
        case _:
            return (*items[:at], _other(inner, items[at], random), *items[at + 1 :])


# ---------------------------------------------------------------------------------------------------------------- JSON


def of_json(data: bytes, random: Random) -> bytes:
    """For inputs that are a JSON document."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return damaged(data, random)
    for _ in range(random.choice((1, 1, 2, 4))):
        value = exchanged(value, random)
    if random.random() < 0.02:
        return damaged(data, random)
    return dumped(value)


def dumped(value: Any) -> bytes:
    """JSON in one line; a lone surrogate goes as its escape, which is how one comes in."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def exchanged(value: Any, random: Random) -> Any:
    """A JSON value with one place in it changed."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.05:
        return _another(value, random)
    if isinstance(value, dict):
        key = random.choice(list(value))
        match random.randrange(10):
            case 0:
                return {each: inner for each, inner in value.items() if each != key}
            case 1:
                return value | {random.choice((key + "x", "x_new", "", "type", "id", *value)): random.choice(_VALUES)}
            case 2:
                return {(key.upper() if each == key else each): inner for each, inner in value.items()}
            case 3:
                return value | {key: value[random.choice(list(value))]}
            case _:
                return value | {key: exchanged(value[key], random)}
    at = random.randrange(len(value))
    match random.randrange(8):
        case 0:
            return value[:at] + value[at + 1 :]
        case 1:
            return [*value, value[at]]
        case 2:
            return [value[at]] * random.choice((2, 40))
        case 3:
            return value[::-1]
        case _:
            return [*value[:at], exchanged(value[at], random), *value[at + 1 :]]


def _another(value: Any, random: Random) -> Any:
    if isinstance(value, str) and value and random.random() < 0.6:
        at = random.randrange(len(value))
        sign = random.choice(("", "\0", "A", "0", "/", ":", "\ud800", "é", value[at] * 2, random.choice(_TEXTS)))
        return value[:at] + sign + value[at + 1 :]
    if isinstance(value, int) and random.random() < 0.4:
        return value + random.choice((1, -1, 1 << 32))
    return random.choice(_VALUES)


def plain(seeds: Sequence[bytes], form: Form | None, random: Random) -> bytes:
    """An input by chance alone: a seed, altered a few times. What runs where there is no fuzzer that sees coverage."""
    data = random.choice(seeds)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = damaged(data, random) if form is None or random.random() < 0.4 else form(data, random)
    return data
