"""What the agent remembers: typed tables of rows, and the difference between two states of them.

The durable state of an agent *is* its rows: nothing is kept beside them. So "what must be written" needs no second
thought in any handler: it is the difference between the rows before and after an input, taken in one place.

    Rows ──edit()──► Draft ──put, drop──► Draft ──seal()──► (Rows', writes)

`Rows` is a value; a `Draft` copies a table when it is first touched. A row's encoding is made when it has changed and
not before, so a conversation of megabytes costs nothing while nobody speaks in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from securechan.errors import Malformed, NotFound

T = TypeVar("T")
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Write:
    """One row to adopt: ``value`` is its new bytes, None erases it. All writes of a transition are one transaction."""

    table: str
    id: str
    value: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class Part(Generic[T]):
    """One vault table's share of a row. ``stamp`` tells cheaply whether the share of two rows is the same; without it
    their encodings do."""

    encode: Callable[[T], bytes]
    stamp: Callable[[T], object] | None = None

    def change(self, before: T | None, after: T) -> bytes | None:
        """The share of the row that is now, None where it is as before."""
        if before is None:
            return self.encode(after)
        if self.stamp is not None:
            return None if self.stamp(before) == self.stamp(after) else self.encode(after)
        made = self.encode(after)
        return None if made == self.encode(before) else made


@dataclass(frozen=True, slots=True, eq=False)
class Table(Generic[T]):
    """A kind of row. ``parts`` are the vault tables that hold it, mostly one of the same name; ``join`` makes the row
    of what they hold."""

    name: str
    parts: Mapping[str, Part[T]]
    join: Callable[[Mapping[str, bytes]], T]

    def load(self, records: Mapping[str, Mapping[str, bytes]]) -> dict[str, T]:
        """All rows out of a vault's tables. Raises `Malformed` where a row lacks a part."""
        ids = {row for part in self.parts for row in records.get(part, _EMPTY)}
        found: dict[str, T] = {}
        for row in sorted(ids):
            pieces = {part: records[part][row] for part in self.parts if row in records.get(part, _EMPTY)}
            if len(pieces) != len(self.parts):
                raise Malformed(f"{self.name} {row[:16]}: a part of the row is missing")
            found[row] = self.join(pieces)
        return found

    def __repr__(self) -> str:
        return f"<table {self.name}>"


def table(name: str, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> Table[T]:
    """A table whose rows, values that are equal where they encode alike, are kept whole in the vault table of the same
    name."""
    return Table(name, MappingProxyType({name: Part(encode, _itself)}), lambda pieces: decode(pieces[name]))


def _itself(row: object) -> object:
    return row


@dataclass(frozen=True, slots=True)
class Rows:
    """Every durable row of an agent, by table."""

    _tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, tables: tuple[Table[Any], ...], records: Mapping[str, Mapping[str, bytes]]) -> Rows:
        """The rows that these records say. Raises what the tables' decoders raise."""
        return cls({each.name: each.load(records) for each in tables})

    def all(self, kind: Table[T]) -> Mapping[str, T]:
        return cast("Mapping[str, T]", self._tables.get(kind.name, _EMPTY))

    def get(self, kind: Table[T], row: str) -> T | None:
        return self.all(kind).get(row)

    def edit(self) -> Draft:
        return Draft(self)

    def records(self, tables: tuple[Table[Any], ...]) -> dict[str, dict[str, bytes]]:
        """Everything, encoded: what a vault that adopted every write holds."""
        out: dict[str, dict[str, bytes]] = {}
        for each in tables:
            for row, value in self.all(each).items():
                for name, part in each.parts.items():
                    out.setdefault(name, {})[row] = part.encode(value)
        return out


class Draft:
    """Rows being changed within one transition. Not kept beyond it."""

    __slots__ = ("_base", "_kinds", "_tables", "_touched")

    def __init__(self, base: Rows) -> None:
        self._base = base
        self._tables: dict[str, dict[str, Any]] = {}
        self._kinds: dict[str, Table[Any]] = {}
        self._touched: dict[tuple[str, str], None] = {}

    def all(self, kind: Table[T]) -> Mapping[str, T]:
        mine = self._tables.get(kind.name)
        return mine if mine is not None else self._base.all(kind)

    def items(self, kind: Table[T]) -> Iterator[tuple[str, T]]:
        """The rows in the order of their ids; safe against changes made meanwhile."""
        return iter(sorted(self.all(kind).items(), key=lambda pair: pair[0]))

    def get(self, kind: Table[T], row: str) -> T | None:
        return self.all(kind).get(row)

    def need(self, kind: Table[T], row: str) -> T:
        """A row that must be there. Raises `NotFound`."""
        value = self.get(kind, row)
        if value is None:
            raise NotFound(f"no {kind.name} {row[:16]}")
        return value

    def put(self, kind: Table[T], row: str, value: T) -> None:
        self._mine(kind)[row] = value
        self._touched[kind.name, row] = None

    def drop(self, kind: Table[T], row: str) -> None:
        if self.get(kind, row) is not None:
            del self._mine(kind)[row]
            self._touched[kind.name, row] = None

    def _mine(self, kind: Table[T]) -> dict[str, Any]:
        mine = self._tables.get(kind.name)
        if mine is None:
            mine = self._tables[kind.name] = dict(self._base.all(kind))
            self._kinds[kind.name] = kind
        return mine

    def seal(self) -> tuple[Rows, tuple[Write, ...]]:
        """The rows as they are now, and what has to be written to get there. A part that encodes as before is left
        alone: a group's epoch does not change with each of its messages."""
        writes: list[Write] = []
        for name, row in self._touched:
            kind = self._kinds[name]
            before, after = self._base.get(kind, row), self._tables[name].get(row)
            if before is after:
                continue
            for where, part in kind.parts.items():
                if after is None:
                    writes.append(Write(where, row, None))
                elif (made := part.change(before, after)) is not None:
                    writes.append(Write(where, row, made))
        if not self._tables:
            return self._base, ()
        merged = dict(self._base._tables)  # noqa: SLF001 - the draft is the other half of Rows
        merged.update(self._tables)
        return Rows(merged), tuple(writes)
