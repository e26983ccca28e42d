"""RFC 9420 §2.1: the presentation language, read from annotations. The only binary parser in the house.

A format is a class, and the class is the format:

    class HPKECiphertext(Struct):
        kem_output: Opaque                                  # opaque kem_output<V>
        ciphertext: Opaque                                  # opaque ciphertext<V>

    class Sender(Struct):
        kind: SenderType                                    # an Enum8: closed, unknown values are malformed
        who: Annotated[Member | Outsider, select("kind", {SenderType.MEMBER: Member, ...})]

``Struct.encode()`` and ``Struct.decode(data)`` do the rest. Decoding is strict: a vector's length is in its shortest
form (§2.1.2), an optional is 0 or 1, nothing trails, and a size is held against its bound and against the bytes that
are really there before anything is allocated. Every fault in the bytes is `Malformed`, naming the place and offset; a
value that does not fit its own declaration when *encoding* is `Misuse`, since it is ours.

From annotation to work there is one step: `_codec_of` maps a type to a small object with ``write`` and ``read``; a
struct compiles its fields on first use and keeps the result.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Self,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from securechan.errors import Malformed, Misuse

T = TypeVar("T")

VECTOR_MAX: Final = (1 << 30) - 1  # §2.1.2: the 2^62 form is not used
DEFAULT_BOUND: Final = 1 << 24  # bytes of a vector without a bound of its own


# ---------------------------------------------------------------------------------------------------- reading, writing


class Reader:
    """A cursor over bytes that can only move forward and never past ``end``. Raises `Malformed`."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end

    def take(self, n: int, what: str = "field") -> bytes:
        """The next ``n`` bytes."""
        start = self.pos
        stop = start + n
        if stop > self.end:
            raise Malformed(f"{what}: {n} bytes wanted at offset {start}, {self.end - start} left")
        self.pos = stop
        return self.data[start:stop]

    def uint(self, size: int, what: str = "number") -> int:
        """An unsigned integer of ``size`` bytes, big-endian."""
        return int.from_bytes(self.take(size, what), "big")

    def u8(self) -> int:
        return self.uint(1)

    def u16(self) -> int:
        return self.uint(2)

    def u32(self) -> int:
        return self.uint(4)

    def u64(self) -> int:
        return self.uint(8)

    def varint(self, what: str = "length") -> int:
        """A variable-size length (§2.1.2) of 1, 2 or 4 bytes in its shortest form."""
        pos = self.pos
        if pos >= self.end:
            raise Malformed(f"{what}: nothing left at offset {pos}")
        first = self.data[pos]
        prefix = first >> 6
        if prefix == 0:
            self.pos = pos + 1
            return first
        if prefix == 3:
            raise Malformed(f"{what}: 8-byte length at offset {pos} is not allowed")
        if prefix == 1 and pos + 2 <= self.end:
            self.pos = pos + 2
            value = (first ^ 0x40) << 8 | self.data[pos + 1]
        else:
            size = 1 << prefix
            value = int.from_bytes(self.take(size, what), "big") & ((1 << (8 * size - 2)) - 1)
        if value < (1 << 6 if prefix == 1 else 1 << 14):
            raise Malformed(f"{what}: length at offset {pos} is not in its shortest form")
        return value

    def vector(self, bound: int = DEFAULT_BOUND, what: str = "vector") -> bytes:
        """``opaque<V>`` of at most ``bound`` bytes."""
        return self.take(self._length(bound, what), what)

    def sub(self, bound: int = DEFAULT_BOUND, what: str = "vector") -> Reader:
        """A reader confined to the next vector; this one moves past it."""
        outside = self.enter(bound, what)
        inside = Reader(self.data, self.pos, self.end)
        self.pos, self.end = self.end, outside
        return inside

    def enter(self, bound: int = DEFAULT_BOUND, what: str = "vector") -> int:
        """Confine this reader to the next vector; answers with the end that it had, to be given back to it after."""
        length = self._length(bound, what)
        before, start = self.end, self.pos
        if start + length > before:
            raise Malformed(f"{what}: {length} bytes wanted at offset {start}, {before - start} left")
        self.end = start + length
        return before

    def _length(self, bound: int, what: str) -> int:
        length = self.varint(what)
        if length > bound:
            raise Malformed(f"{what}: {length} bytes at offset {self.pos}, at most {bound} allowed")
        return length

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return self.end - self.pos

    def done(self, what: str = "message") -> None:
        """Raise unless everything was read."""
        if self.pos != self.end:
            raise Malformed(f"{what}: {self.end - self.pos} bytes trail at offset {self.pos}")


def write_varint(out: bytearray, value: int) -> None:
    """Append a variable-size length (§2.1.2) in its shortest form."""
    if value < 1 << 6:
        out.append(value)
    elif value < 1 << 14:
        out += (value | 0x4000).to_bytes(2, "big")
    elif value <= VECTOR_MAX:
        out += (value | 0x8000_0000).to_bytes(4, "big")
    else:
        raise Misuse(f"a vector of {value} bytes is longer than the format allows")


def write_vector(out: bytearray, data: bytes | bytearray) -> None:
    """Append ``opaque<V>``."""
    length = len(data)
    if length < 1 << 6:
        out.append(length)
    else:
        write_varint(out, length)
    out += data


# ------------------------------------------------------------------------------------------------- what annotations say


class Codec:
    """How one type is written and read."""

    __slots__ = ()

    def write(self, value: Any, out: bytearray) -> None:  # noqa: ARG002 - for codecs that stand alone to override
        raise Misuse(f"{type(self).__name__} has no form outside a struct")

    def read(self, r: Reader) -> Any:  # noqa: ARG002 - likewise
        raise Misuse(f"{type(self).__name__} has no form outside a struct")


@dataclass(frozen=True, slots=True)
class UintCodec(Codec):
    """``uint8`` … ``uint64``."""

    size: int

    def write(self, value: int, out: bytearray) -> None:
        try:
            out += value.to_bytes(self.size, "big")
        except OverflowError:
            raise Misuse(f"{value} does not fit in {self.size} bytes") from None

    def read(self, r: Reader) -> int:
        start = r.pos
        stop = start + self.size
        if stop > r.end:
            return r.uint(self.size)  # which says what is missing
        r.pos = stop
        return int.from_bytes(r.data[start:stop], "big")


@dataclass(frozen=True, slots=True)
class VarintCodec(Codec):
    """A bare variable-size number below 2^30."""

    def write(self, value: int, out: bytearray) -> None:
        if value < 0:
            raise Misuse(f"{value} is negative")
        write_varint(out, value)

    def read(self, r: Reader) -> int:
        return r.varint("number")


@dataclass(frozen=True, slots=True)
class FixedCodec(Codec):
    """``opaque[n]``."""

    size: int

    def write(self, value: bytes, out: bytearray) -> None:
        if len(value) != self.size:
            raise Misuse(f"{len(value)} bytes where exactly {self.size} belong")
        out += value

    def read(self, r: Reader) -> bytes:
        return r.take(self.size)


@dataclass(frozen=True, slots=True)
class OpaqueCodec(Codec):
    """``opaque<V>`` of at most ``bound`` bytes."""

    bound: int

    def write(self, value: bytes, out: bytearray) -> None:
        length = len(value)
        if length > self.bound:
            raise Misuse(f"{length} bytes where at most {self.bound} belong")
        if length < 1 << 6:
            out.append(length)
        else:
            write_varint(out, length)
        out += value

    def read(self, r: Reader) -> bytes:
        data, start = r.data, r.pos + 1
        if start < r.end:  # the two short forms of a length, without a detour
            length = data[start - 1]
            if length >= 1 << 6:
                length = (length ^ 0x40) << 8 | data[start]
                start += 1
            stop = start + length
            if (
                stop <= r.end
                and length <= self.bound
                and (length < 1 << 6) == (start == r.pos + 1)
                and length < 1 << 14
            ):
                r.pos = stop
                return data[start:stop]
        return r.vector(self.bound)  # all other forms, and all faults


@dataclass(frozen=True, slots=True)
class TextCodec(Codec):
    """UTF-8 in ``opaque<V>`` of at most ``bound`` bytes."""

    bound: int

    def write(self, value: str, out: bytearray) -> None:
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise Misuse("text with lone surrogates has no UTF-8 form") from None
        if len(data) > self.bound:
            raise Misuse(f"{len(data)} bytes of text where at most {self.bound} belong")
        write_vector(out, data)

    def read(self, r: Reader) -> str:
        start = r.pos
        try:
            return r.vector(self.bound, "text").decode()
        except UnicodeDecodeError:
            raise Malformed(f"text at offset {start} is not UTF-8") from None


@dataclass(frozen=True, slots=True)
class EnumCodec(Codec):
    """A closed enumeration."""

    members: type[enum.IntEnum]
    size: int
    values: Mapping[int, enum.IntEnum] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {int(member): member for member in self.members})

    def write(self, value: int, out: bytearray) -> None:
        out += int(value).to_bytes(self.size, "big")

    def read(self, r: Reader) -> enum.IntEnum:
        start = r.pos
        stop = start + self.size
        if stop > r.end:
            r.take(self.size, self.members.__name__)  # which says what is missing
        value = int.from_bytes(r.data[start:stop], "big")
        found = self.values.get(value)
        if found is None:
            raise Malformed(f"{self.members.__name__}: unknown value {value} at offset {start}")
        r.pos = stop
        return found


@dataclass(frozen=True, slots=True)
class NothingCodec(Codec):
    """``struct {}``: a case without content."""

    def write(self, value: None, out: bytearray) -> None:  # noqa: ARG002 - a codec has one shape
        if value is not None:
            raise Misuse(f"{type(value).__name__} where nothing belongs")

    def read(self, r: Reader) -> None:  # noqa: ARG002 - likewise
        return None


@dataclass(frozen=True, slots=True)
class OptionalCodec(Codec):
    """``optional<T>`` (§2.1.1)."""

    inner: Codec

    def write(self, value: Any, out: bytearray) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(1)
            self.inner.write(value, out)

    def read(self, r: Reader) -> Any:
        start = r.pos
        present = r.u8()
        if present == 0:
            return None
        if present == 1:
            return self.inner.read(r)
        raise Malformed(f"optional: {present} at offset {start} is neither 0 nor 1")


@dataclass(frozen=True, slots=True)
class VectorCodec(Codec):
    """``T items<V>`` whose encoding is at most ``bound`` bytes, of at most ``most`` items."""

    inner: Codec
    bound: int
    most: int = DEFAULT_BOUND

    def write(self, value: tuple[Any, ...], out: bytearray) -> None:
        if not value:
            out.append(0)
            return
        if len(value) > self.most:
            raise Misuse(f"a vector of {len(value)} items where at most {self.most} belong")
        body = bytearray()
        write = self.inner.write
        for item in value:
            write(item, body)
        if len(body) > self.bound:
            raise Misuse(f"a vector of {len(body)} bytes where at most {self.bound} belong")
        write_vector(out, body)

    def read(self, r: Reader) -> tuple[Any, ...]:
        outside = r.enter(self.bound)
        items: list[Any] = []
        read = _reading(self.inner)
        while (before := r.pos) < r.end:
            if len(items) >= self.most:  # small items cost far more time and memory than their bytes
                raise Malformed(f"vector: more than {self.most} items at offset {before}")
            items.append(read(r))
            if r.pos == before:  # an empty element would loop for ever
                raise Malformed(f"vector: element of no bytes at offset {before}")
        r.end = outside
        return tuple(items)


@dataclass(frozen=True, slots=True)
class StructCodec(Codec):
    """A nested `Struct`."""

    struct: type[Struct]

    def write(self, value: Struct, out: bytearray) -> None:
        if not isinstance(value, self.struct):
            raise Misuse(f"{type(value).__name__} where {self.struct.__name__} belongs")
        value.write_to(out)

    def read(self, r: Reader) -> Struct:
        return self.struct.read_from(r)


def _reading(codec: Codec) -> Callable[[Reader], Any]:
    """How it is read: a nested struct without a codec in between."""
    return codec.struct.read_from if isinstance(codec, StructCodec) else codec.read


@dataclass(frozen=True, slots=True)
class SelectCodec(Codec):
    """``select (kind) { case …: }``; the discriminant is an earlier field of the same struct."""

    field: str
    cases: Mapping[Any, Codec]
    types: Mapping[Any, Any]

    def case(self, kind: Any) -> Codec:
        try:
            return self.cases[kind]
        except KeyError:
            raise Malformed(f"{self.field}: no case for {kind!r}") from None


# ------------------------------------------------------------------------------------------- the words of declarations

U8 = Annotated[int, UintCodec(1)]
U16 = Annotated[int, UintCodec(2)]
U32 = Annotated[int, UintCodec(4)]
U64 = Annotated[int, UintCodec(8)]
Varint = Annotated[int, VarintCodec()]
Opaque = Annotated[bytes, OpaqueCodec(DEFAULT_BOUND)]
Text = Annotated[str, TextCodec(4096)]
Nothing = Annotated[None, NothingCodec()]


def fixed(size: int) -> FixedCodec:
    """``Annotated[bytes, fixed(32)]`` is ``opaque[32]``."""
    return FixedCodec(size)


def opaque(max: int) -> OpaqueCodec:
    """``Annotated[bytes, opaque(max=1024)]`` is ``opaque<V>`` of at most 1,024 bytes."""
    return OpaqueCodec(max)


def text(max: int) -> TextCodec:
    """``Annotated[str, text(max=64)]`` is UTF-8 of at most 64 bytes."""
    return TextCodec(max)


@dataclass(frozen=True, slots=True)
class vec:  # noqa: N801 - a word of the declaration language
    """``Annotated[tuple[T, ...], vec(max=64, most=3)]``: the whole vector encodes to at most 64 bytes, and has at most
    3 items."""

    max: int
    most: int = DEFAULT_BOUND


@dataclass(frozen=True, slots=True)
class select:  # noqa: N801 - a word of the declaration language
    """``Annotated[A | B, select("kind", {Kind.A: A, Kind.B: B})]``: the type follows the earlier field ``kind``."""

    field: str
    cases: Mapping[Any, Any]


class Enum8(enum.IntEnum):
    """A closed enumeration of one byte."""


class Enum16(enum.IntEnum):
    """A closed enumeration of two bytes."""


# -------------------------------------------------------------------------------------------------------------- structs


# A field's name, how it is read and written, and its codec where an earlier field chooses the case.
_Field = tuple[str, Callable[[Reader], Any], Callable[[Any, bytearray], None], SelectCodec | None]


def _field_of(name: str, codec: Codec) -> _Field:
    return name, _reading(codec), codec.write, codec if isinstance(codec, SelectCodec) else None


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Struct:
    """A frozen dataclass whose annotations are its wire format. Equal by value; hashable when its fields are. A field
    that is secret says ``= field(repr=False)``."""

    _plan: ClassVar[tuple[_Field, ...]] = ()  # empty: not made yet

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._plan = ()
        dataclass(frozen=True)(cls)

    @classmethod
    def _compiled(cls) -> tuple[tuple[str, Codec], ...]:
        hints = get_type_hints(cls, include_extras=True)
        return tuple((f.name, _codec_of(hints[f.name])) for f in fields(cls))  # type: ignore[arg-type]  # every subclass is a dataclass

    @classmethod
    def _planned(cls) -> tuple[_Field, ...]:
        cls._plan = tuple(_field_of(name, codec) for name, codec in cls._compiled())
        return cls._plan

    def write_to(self, out: bytearray) -> None:
        values = self.__dict__
        for name, _, write, chosen in self._plan or self._planned():
            if chosen is None:
                write(values[name], out)
            else:
                chosen.case(values[chosen.field]).write(values[name], out)

    @classmethod
    def read_from(cls, r: Reader) -> Self:
        made = cls.__new__(cls)
        values = made.__dict__  # what is read is well-typed; __init__ would only be a detour
        for name, read, _, chosen in cls._plan or cls._planned():
            values[name] = read(r) if chosen is None else chosen.case(values[chosen.field]).read(r)
        return made

    def encode(self) -> bytes:
        """The wire form. Raises `Misuse` where a value does not fit its declaration."""
        out = bytearray()
        self.write_to(out)
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Exactly one value from exactly these bytes. Raises `Malformed`."""
        r = Reader(data)
        made = cls.read_from(r)
        r.done(cls.__name__)
        return made


class Kept(Struct):
    """A struct that remembers its wire form: for values that are hashed, signed and sent far more often than made.

    Decoding is strict, so the bytes that were read *are* the encoding. ``settle`` gives the memory back.
    """

    def encode(self) -> bytes:
        known = self.__dict__
        wire: bytes | None = known.get("_wire")
        if wire is None:
            out = bytearray()
            super().write_to(out)
            wire = bytes(out)
            if "_wire" not in known:
                known["_wire"] = wire
        return wire

    def known_as(self, wire: bytes) -> Self:
        """This value, told its wire form by who has it at hand. It must be what ``encode`` would give."""
        self.__dict__["_wire"] = wire
        return self

    def settle(self) -> None:
        """From now on the wire form is made anew when it is wanted: for values that stay long and are rarely sent."""
        self.__dict__["_wire"] = None

    def write_to(self, out: bytearray) -> None:
        out += self.encode()

    @classmethod
    def read_from(cls, r: Reader) -> Self:
        start = r.pos
        return super().read_from(r).known_as(r.data[start : r.pos])


_PLAIN: Final[dict[Any, Codec]] = {bytes: OpaqueCodec(DEFAULT_BOUND), str: TextCodec(4096)}


def _codec_of(tp: Any, bound: int = DEFAULT_BOUND, most: int = DEFAULT_BOUND) -> Codec:
    """The codec that an annotation asks for. Raises `Misuse` for an annotation that says too little."""
    origin = get_origin(tp)
    if origin is Annotated:
        inner, *notes = get_args(tp)
        for note in notes:
            match note:
                case Codec():
                    return note
                case vec():
                    return _codec_of(inner, note.max, note.most)
                case select():
                    return SelectCodec(note.field, {k: _codec_of(v) for k, v in note.cases.items()}, note.cases)
        return _codec_of(inner, bound)
    if origin is tuple:
        args = get_args(tp)
        if len(args) == 2 and args[1] is Ellipsis:
            return VectorCodec(_codec_of(args[0]), bound, most)
    if origin in (Union, types.UnionType):
        args = get_args(tp)
        if len(args) == 2 and args[1] is types.NoneType:
            return OptionalCodec(_codec_of(args[0]))
    if isinstance(tp, type):
        if issubclass(tp, Struct):
            return StructCodec(tp)
        if issubclass(tp, Enum8):
            return EnumCodec(tp, 1)
        if issubclass(tp, Enum16):
            return EnumCodec(tp, 2)
        if tp in _PLAIN:
            return _PLAIN[tp]
    supertype = getattr(tp, "__supertype__", None)  # NewType("LeafIndex", U32): a kind of number is a kind of type
    if supertype is not None:
        return _codec_of(supertype)
    raise Misuse(f"no wire format for the annotation {tp!r}")


@overload
def encode(tp: type[T], value: T) -> bytes: ...
@overload
def encode(tp: Any, value: Any) -> bytes: ...
def encode(tp: Any, value: Any) -> bytes:
    """The wire form of a value of a bare type such as ``tuple[Node | None, ...]``."""
    out = bytearray()
    _codec_of(tp).write(value, out)
    return bytes(out)


@overload
def decode(tp: type[T], data: bytes) -> T: ...
@overload
def decode(tp: Any, data: bytes) -> Any: ...
def decode(tp: Any, data: bytes) -> Any:
    """Exactly one value of a bare type from exactly these bytes. Raises `Malformed`."""
    r = Reader(data)
    value = _codec_of(tp).read(r)
    r.done(getattr(tp, "__name__", str(tp)))
    return value
