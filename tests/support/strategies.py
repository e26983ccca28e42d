"""Hypothesis strategies from the annotations that are the formats: declared once, written, read and tested.

``strategies(KeyPackage)`` draws key packages that encode (they need not verify). A struct whose format the
presentation language can't say in one piece overrides its methods; its strategy is said to ``register``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

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

S = TypeVar("S", bound=Struct)

BYTES: Final = 70  # enough to cross from one-byte lengths into two-byte ones
ITEMS: Final = 3

_known: dict[type[Struct], st.SearchStrategy[Any]] = {}
_codecs: dict[type[Codec], Callable[[Any], st.SearchStrategy[Any]]] = {}


def register(struct: type[S], strategy: st.SearchStrategy[S]) -> None:
    """The strategy of a struct that isn't read from its annotations."""
    _known[struct] = strategy


def register_codec(codec: type[Codec], make: Callable[[Any], st.SearchStrategy[Any]]) -> None:
    """The strategy of a codec that another floor of the house defines."""
    _codecs[codec] = make


def strategies(struct: type[S]) -> st.SearchStrategy[S]:
    """Values of ``struct`` that fit its declaration."""
    found = _known.get(struct)
    if found is None:
        found = _known[struct] = st.deferred(lambda: _struct(struct))
    return found


def _struct(struct: type[S]) -> st.SearchStrategy[S]:
    plan = struct._compiled()
    choosers = {codec.field: codec for _, codec in plan if isinstance(codec, SelectCodec)}

    @st.composite
    def built(draw: st.DrawFn) -> S:
        values: dict[str, Any] = {}
        for name, codec in plan:
            if name in choosers:
                values[name] = draw(st.sampled_from(sorted(choosers[name].cases)))
            elif isinstance(codec, SelectCodec):
                values[name] = draw(_of(codec.case(values[codec.field])))
            else:
                values[name] = draw(_of(codec))
        return struct(**values)

    return built()


def _of(codec: Codec) -> st.SearchStrategy[Any]:
    if type(codec) in _codecs:
        return _codecs[type(codec)](codec)
    match codec:
        case UintCodec(size):
            return st.integers(0, (1 << (8 * size)) - 1)
        case VarintCodec():
            return st.integers(0, (1 << 30) - 1)
        case FixedCodec(size):
            return st.binary(min_size=size, max_size=size)
        case OpaqueCodec(bound):
            return st.binary(max_size=min(bound, BYTES))
        case TextCodec(bound):
            return st.text(st.characters(codec="utf-8"), max_size=min(bound // 4, BYTES))
        case EnumCodec(members):
            return st.sampled_from(list(members))
        case NothingCodec():
            return st.none()
        case OptionalCodec(inner):
            return st.none() | _of(inner)
        case VectorCodec(inner, bound):
            size = 0 if bound < BYTES else ITEMS
            return st.lists(_of(inner), max_size=size).map(tuple)
        case StructCodec(struct):
            return strategies(struct)
    raise NotImplementedError(f"no strategy for {codec!r}")


def rebuilt(value: Any) -> Any:
    """The same value without what a `Kept` remembers of its wire form, so that encoding it again is put to the test."""
    match value:
        case Struct():
            return type(value)(**{name: rebuilt(part) for name, part in value.__dict__.items() if name != "_wire"})
        case tuple():
            return tuple(map(rebuilt, value))
    return value
