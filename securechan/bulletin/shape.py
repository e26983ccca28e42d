"""Shapes: what a JSON value must look like, declared as tables of one line a property kind.

STIX and CSAF are long lists of objects and their properties. A table says them in a line each,

    "identity": "name! description roles:[str] identity_class sectors:[str] contact_information"

and `Book` makes shapes of the lines. Notation of a property: ``name`` is a string, ``name:kind`` of that kind,
``name:[kind]`` a list of at least one, ``name:{kind}`` a list without repetition; ``!`` after the name means required.
A kind is a named scalar, a record of the same book (records may contain each other), or is made by ``resolve`` when
the book has a notation of its own. ``&n`` in a line demands at least n properties, ``...`` allows others beside those
named.

`check` walks a value and fills `Findings`; it never raises on account of the value but `Enough`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from securechan.bulletin.findings import Findings, Json, Place, kind_of, quote
from securechan.errors import Misuse

LONGEST: Final = 1 << 16  # characters of a text that has a pattern; matching costs memory by length


class Shape(Protocol):
    """Anything that can judge a JSON value."""

    def check(self, value: Json, place: Place, found: Findings, /) -> None:
        """Add what is wrong with ``value`` to ``found``."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string of at least ``least`` characters, that matches ``pattern`` whole and passes ``fits`` where given."""

    what: str = "text"
    pattern: re.Pattern[str] | None = None
    fits: Callable[[str], bool] | None = None
    least: int = 1

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if not isinstance(value, str):
            found.add(place, f"must be {self.what}, not {kind_of(value)}")
        elif len(value) < self.least:
            found.add(place, "must not be empty")
        elif self.pattern is not None and len(value) > LONGEST:
            found.add(place, f"is longer than {LONGEST} characters, which {self.what} never is")
        elif (self.pattern is not None and not self.pattern.fullmatch(value)) or (
            self.fits is not None and not self.fits(value)
        ):
            found.add(place, f"{quote(value)} is not {self.what}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed set of words."""

    words: frozenset[str]

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if not isinstance(value, str) or value not in self.words:
            found.add(place, f"{quote(value)} is not one of {', '.join(sorted(self.words))}")


@dataclass(frozen=True, slots=True)
class Number:
    """A number within bounds; ``whole`` means an integer."""

    least: float | None = None
    most: float | None = None
    whole: bool = False

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            found.add(place, f"must be a number, not {kind_of(value)}")
        elif self.whole and not isinstance(value, int):
            found.add(place, f"{value} is not a whole number")
        elif (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            found.add(place, f"{value} is not between {self.least} and {self.most}")


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false."""

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if not isinstance(value, bool):
            found.add(place, f"must be true or false, not {kind_of(value)}")


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value."""

    def check(self, _value: Json, _place: Place, _found: Findings, /) -> None:
        """Nothing can be wrong."""


@dataclass(frozen=True, slots=True)
class Array:
    """A list of at least ``least`` items of one shape."""

    item: Shape
    least: int = 1
    unique: bool = False

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if not isinstance(value, list):
            found.add(place, f"must be a list, not {kind_of(value)}")
            return
        if len(value) < self.least:
            found.add(place, "must not be empty" if self.least == 1 else f"must have at least {self.least} items")
        check = self.item.check
        for index, item in enumerate(value):
            check(item, (place, index), found)
        if self.unique:
            seen: set[str] = set()
            for index, item in enumerate(value):
                form = canonical(item)
                if form in seen:
                    found.add((place, index), f"{quote(item)} stands twice in the list")
                seen.add(form)


@dataclass(frozen=True, slots=True)
class Record:
    """An object with named properties; ``fields`` is filled after all records of a book exist."""

    fields: dict[str, Shape]
    required: tuple[str, ...]
    least: int = 0
    extra: Shape | None = None  # judges properties that are not named; None forbids them
    extra_name: re.Pattern[str] | None = None

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if not isinstance(value, dict):
            found.add(place, f"must be an object, not {kind_of(value)}")
            return
        for name in self.required:
            if name not in value:
                found.add(place, f"the required property {name} is missing")
        if len(value) < self.least:
            found.add(place, f"must have at least {self.least} properties")
        fields = self.fields
        for name, item in value.items():
            shape = fields.get(name)
            if shape is not None:
                shape.check(item, (place, name), found)
            elif self.extra is None:
                found.add((place, name), f"there is no property {quote(name)} here")
            else:
                if self.extra_name is not None and not self.extra_name.fullmatch(name):
                    found.add((place, name), f"{quote(name)} is not a valid property name")
                self.extra.check(item, (place, name), found)


def canonical(value: Json) -> str:
    """Text that is equal for equal JSON values, whatever the order of keys; 1, 1.0 and true stay apart from text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def one_of(words: str) -> Choice:
    """A closed set from words between blanks."""
    return Choice(frozenset(words.split()))


_PROPERTY = re.compile(
    r"(?P<name>[$\w-]+)(?P<required>!?)(?::(?:\[(?P<list>[^\[\]{}]+)\]|\{(?P<set>[^\[\]{}]+)\}|(?P<kind>[^\[\]{}]+)))?"
)


class Book:
    """Records compiled from a table; ``book[name]`` is a record, ``book.kind(name)`` any named shape."""

    def __init__(
        self,
        table: Mapping[str, str],
        scalars: Mapping[str, Shape],
        *,
        resolve: Callable[[str], Shape | None] = lambda _: None,
        closed: bool = False,
        extra_name: re.Pattern[str] | None = None,
    ) -> None:
        self._scalars = {"str": Text(), **scalars}
        self._resolve = resolve
        self._records: dict[str, Record] = {}
        parsed: dict[str, list[re.Match[str]]] = {}
        for name, line in table.items():
            least, extra, properties = 0, None if closed else Anything(), list[re.Match[str]]()
            for word in line.split():
                if word.startswith("&"):
                    least = int(word[1:])
                elif word == "...":
                    extra = Anything()
                elif match := _PROPERTY.fullmatch(word):
                    properties.append(match)
                else:
                    raise Misuse(f"the table of {name} has an unreadable word: {word}")
            required = tuple(match["name"] for match in properties if match["required"])
            parsed[name] = properties
            self._records[name] = Record({}, required, least, extra, extra_name)
        for name, properties in parsed.items():
            fields = self._records[name].fields
            for match in properties:
                fields[match["name"]] = self._shape(match)

    def _shape(self, match: re.Match[str]) -> Shape:
        if several := match["list"] or match["set"]:
            return Array(self.kind(several), unique=match["set"] is not None)
        return self.kind(match["kind"] or "str")

    def kind(self, name: str) -> Shape:
        """The shape of a kind: scalar, record, or of the book's own notation."""
        found = self._scalars.get(name) or self._records.get(name) or self._resolve(name)
        if found is None:
            raise Misuse(f"no kind named {name}")
        return found

    def __getitem__(self, name: str) -> Record:
        return self._records[name]

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def names(self) -> Iterable[str]:
        return self._records.keys()
