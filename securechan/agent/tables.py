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
from typing import Any, Generic, Protocol, TypeVar, cast

from securechan.errors import NotFound

T = TypeVar("T")
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Write:
    """One row to adopt: ``value`` is its new bytes, None erases it. All writes of a transition are one transaction."""

    table: str
    id: str
    value: bytes | None = field(repr=False)  # which may hold keys


class Table(Protocol[T]):
    """A kind of row, kept in the vault table of the same name."""

    @property
    def name(self) -> str: ...

    def load(self, records: Mapping[str, bytes]) -> dict[str, T]:
        """All rows out of a vault's table. Raises what their decoder raises."""

    def writes(self, row: str, before: T | None, after: T | None) -> tuple[Write, ...]:
        """What makes the row another: None stands for one that isn't there."""


@dataclass(frozen=True, slots=True, eq=False)
class Whole(Generic[T]):
    """A kind of row, each a record. Values are equal where they encode alike."""

    name: str
    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]

    def load(self, records: Mapping[str, bytes]) -> dict[str, T]:
        return {row: self.decode(records[row]) for row in sorted(records)}

    def writes(self, row: str, before: T | None, after: T | None) -> tuple[Write, ...]:
        if before == after:
            return ()
        return (Write(self.name, row, None if after is None else self.encode(after)),)

    def __repr__(self) -> str:
        return f"<table {self.name}>"


def table(name: str, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> Table[T]:
    """A table whose rows are kept whole."""
    return Whole(name, encode, decode)


@dataclass(frozen=True, slots=True, eq=False)
class Scattered(Generic[T]):
    """A kind of row that is too large to be written whole at each change: its pieces are records, called by the row's
    id, a slash and the piece's name. ``changes`` tells the pieces that are to be written, and erased (None), to come
    from one value (None: from nothing) to another; ``join`` makes a value of all pieces."""

    name: str
    changes: Callable[[T | None, T], Mapping[str, bytes | None]]
    join: Callable[[Mapping[str, bytes]], T]

    def load(self, records: Mapping[str, bytes]) -> dict[str, T]:
        pieces: dict[str, dict[str, bytes]] = {}
        for key, data in records.items():
            row, _, name = key.partition("/")
            pieces.setdefault(row, {})[name] = data
        return {row: self.join(pieces[row]) for row in sorted(pieces)}

    def writes(self, row: str, before: T | None, after: T | None) -> tuple[Write, ...]:
        changed: Mapping[str, bytes | None] = {}
        if after is not None:
            changed = self.changes(before, after)
        elif before is not None:  # what goes takes all its pieces along
            changed = dict.fromkeys(self.changes(None, before))
        return tuple(Write(self.name, f"{row}/{name}", data) for name, data in changed.items())


@dataclass(frozen=True, slots=True)
class Rows:
    """Every durable row of an agent, by table."""

    _tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, tables: tuple[Table[Any], ...], records: Mapping[str, Mapping[str, bytes]]) -> Rows:
        """The rows that these records say. Raises what the tables' decoders raise."""
        return cls({each.name: each.load(records.get(each.name, _EMPTY)) for each in tables})

    def all(self, kind: Table[T]) -> Mapping[str, T]:
        return cast("Mapping[str, T]", self._tables.get(kind.name, _EMPTY))

    def get(self, kind: Table[T], row: str) -> T | None:
        return self.all(kind).get(row)

    def replaced(self, tables: Mapping[str, Mapping[str, Any]]) -> Rows:
        """These tables in place of those of their names."""
        return Rows({**self._tables, **tables})

    def edit(self) -> Draft:
        return Draft(self)

    def records(self, tables: tuple[Table[Any], ...]) -> dict[str, dict[str, bytes]]:
        """Everything, encoded: what a vault that adopted every write holds."""
        out: dict[str, dict[str, bytes]] = {}
        for each in tables:
            for row, value in self.all(each).items():
                for write in each.writes(row, None, value):
                    if write.value is not None:
                        out.setdefault(write.table, {})[write.id] = write.value
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
        """The rows as they are now, and what has to be written to get there: of a row in pieces those that changed, so
        that a message doesn't write its group's tree."""
        writes: list[Write] = []
        for name, row in self._touched:
            kind = self._kinds[name]
            before, after = self._base.get(kind, row), self._tables[name].get(row)
            if before is not after:
                writes += kind.writes(row, before, after)
        if not self._tables:
            return self._base, ()
        return self._base.replaced(self._tables), tuple(writes)
