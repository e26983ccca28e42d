"""A CSAF advisory whose structure is sound, as the mandatory tests want to see it.

The two versions keep products, references and metrics in different places; here both have the same views: every product
that is defined, every mention of a product or a group, the items of each vulnerability. A view yields the place beside
the value, so that a test can say where.
"""

from __future__ import annotations

import calendar
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from securechan.bulletin.csaf_tables import STATUS_GROUPS
from securechan.bulletin.findings import Place

Item: TypeAlias = dict[str, Any]  # an object of the advisory; its structure has been checked

_TIME: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})([Tt ])(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII
)


MAX_EFFORT: Final = 2_000_000  # products looked at through groups; the largest real advisories need some thousands


class TooMuch(Exception):
    """Few bytes can say "each of a thousand remedies is for each of a thousand products"; that isn't followed."""


class Instant(NamedTuple):
    """A point in time that sorts rightly whatever zone it was written in: seconds, then the fraction's digits."""

    seconds: int
    fraction: str


def instant(text: str, *, strict: bool = False) -> Instant | None:
    """An RFC 3339 time, None when it isn't one; ``strict`` as in CSAF 2.1: capital T and Z, no leap second."""
    match = _TIME.fullmatch(text)
    if match is None or match[4] == " " or (strict and (match[4] != "T" or match[9] == "z")):
        return None
    year, month, day, hour, minute, second = (int(match[group]) for group in (1, 2, 3, 5, 6, 7))
    ahead = int(match[11] or 0) * 60 + int(match[12] or 0)
    if not (year >= 1 and 1 <= month <= 12 and hour <= 23 and minute <= 59 and second <= (59 if strict else 60)):
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1] or int(match[11] or 0) > 23 or int(match[12] or 0) > 59:
        return None
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    return Instant(seconds - (-ahead if match[10] == "-" else ahead) * 60, (match[8] or "").rstrip("0"))


class Version(NamedTuple):
    """A document version that sorts as semantic versioning orders it; whole numbers count as ``n.0.0``."""

    core: tuple[int, int, int]
    released: bool  # no pre-release part; a pre-release sorts before its release
    pre: tuple[tuple[bool, int, str], ...]

    @property
    def zero(self) -> bool:
        """Version 0 or 0.y.z: nothing has been released yet."""
        return self.core[0] == 0


@functools.lru_cache(maxsize=512)
def version_of(text: str) -> Version:
    """The version that ``text`` names; the structure has been checked. Build metadata is left out."""
    core, _, pre = text.partition("+")[0].partition("-")
    major, minor, patch = ([_number(part) for part in core.split(".")] + [0, 0])[:3]
    parts = tuple((not part.isdigit(), _number(part) if part.isdigit() else 0, part) for part in pre.split(".") if part)
    return Version((major, minor, patch), not pre, parts)


def _number(digits: str) -> int:
    return int(digits[:400])  # int() itself refuses thousands of digits; no document has that many versions


@dataclass(frozen=True)
class Advisory:
    """A structurally sound CSAF document of version 2.0 or 2.1."""

    root: Item
    csaf: str
    _effort: list[int] = field(default_factory=lambda: [MAX_EFFORT], repr=False, compare=False)

    @property
    def document(self) -> Item:
        found: Item = self.root["document"]
        return found

    @property
    def tracking(self) -> Item:
        found: Item = self.document["tracking"]
        return found

    @property
    def tree(self) -> Item:
        found: Item = self.root.get("product_tree", {})
        return found

    @property
    def category(self) -> str:
        return str(self.document["category"])

    def english(self) -> bool:
        """The document language is English or not given: tests on English titles apply."""
        lang = self.document.get("lang")
        return lang is None or str(lang).lower().split("-")[0] == "en"

    def vulnerabilities(self) -> Iterator[tuple[Place, Item]]:
        for index, item in enumerate(self.root.get("vulnerabilities", ())):
            yield ((None, "vulnerabilities"), index), item

    def items(self, name: str) -> Iterator[tuple[Place, Item]]:
        """The items of one list of every vulnerability."""
        for place, vulnerability in self.vulnerabilities():
            yield from listed(vulnerability, name, place)

    @functools.cached_property
    def history(self) -> list[tuple[Place, Item]]:
        """The revision history, sorted by date and then by number."""
        place: Place = ((None, "document"), "tracking")
        items = list(listed(self.tracking, "revision_history", place))
        return sorted(
            items, key=lambda pair: (instant(pair[1]["date"]) or Instant(0, ""), version_of(pair[1]["number"]))
        )

    @functools.cached_property
    def newest(self) -> Instant | None:
        """The date of the newest revision."""
        return instant(self.history[-1][1]["date"])

    # ------------------------------------------------------------------------------------------------------ products

    def branches(self) -> Iterator[tuple[Place, Item, tuple[Item, ...]]]:
        """Every branch of the tree with the branches above it, by a stack: depth is the document's choice."""
        base: Place = (None, "product_tree")
        todo: list[tuple[Place, Item, tuple[Item, ...]]] = []
        todo.extend((place, item, ()) for place, item in listed(self.tree, "branches", base))
        todo.reverse()
        while todo:
            place, item, above = todo.pop()
            yield place, item, above
            below = list(listed(item, "branches", place))
            todo.extend((inner, child, (*above, item)) for inner, child in reversed(below))

    @functools.cached_property
    def _products(self) -> tuple[tuple[Place, Item], ...]:
        base: Place = (None, "product_tree")
        found: list[tuple[Place, Item]] = [
            ((place, "product"), branch["product"]) for place, branch, _ in self.branches() if "product" in branch
        ]
        found.extend(listed(self.tree, "full_product_names", base))
        for place, item in self.compounds():
            found.append(((place, "full_product_name"), item["full_product_name"]))
        return tuple(found)

    def products(self) -> Iterator[tuple[Place, Item]]:
        """Every full product name: in branches, listed, and made by relationships (2.0) or paths (2.1)."""
        return iter(self._products)

    def compounds(self) -> Iterator[tuple[Place, Item]]:
        """Products made of products: ``relationships`` (2.0), ``product_paths`` (2.1)."""
        name = "relationships" if self.csaf == "2.0" else "product_paths"
        yield from listed(self.tree, name, (None, "product_tree"))

    def components(self, place: Place, compound: Item) -> Iterator[tuple[Place, str]]:
        """The product ids that a compound is made of."""
        if self.csaf == "2.0":
            for name in ("product_reference", "relates_to_product_reference"):
                yield (place, name), compound[name]
            return
        yield (place, "beginning_product_reference"), compound["beginning_product_reference"]
        for inner, step in listed(compound, "subpaths", place):
            yield (inner, "next_product_reference"), step["next_product_reference"]

    @functools.cached_property
    def groups(self) -> dict[str, list[str]]:
        """Group id to product ids."""
        return {group["group_id"]: group["product_ids"] for group in self.tree.get("product_groups", ())}

    def scope(self, item: Item) -> set[str]:
        """The products an item speaks of, by name or through groups. Raises `TooMuch` when that gets out of hand."""
        found = set(item.get("product_ids", ()))
        for group in item.get("group_ids", ()):
            found.update(self.groups.get(group, ()))
        self._effort[0] -= len(found)
        if self._effort[0] < 0:
            raise TooMuch
        return found

    def mentions(self) -> Iterator[tuple[Place, str]]:
        """Every product id that isn't a definition."""
        for place, group in listed(self.tree, "product_groups", (None, "product_tree")):
            yield from _each(group, "product_ids", place)
        for place, compound in self.compounds():
            yield from self.components(place, compound)
        for place, item in self._scoped():
            yield from _each(item, "product_ids", place)
        for place, vulnerability in self.vulnerabilities():
            status: Place = (place, "product_status")
            for name in (*self._status_groups, "recommended"):
                yield from _each(vulnerability.get("product_status", {}), name, status)
        for place, item in self.items("scores" if self.csaf == "2.0" else "metrics"):
            yield from _each(item, "products", place)

    def group_mentions(self) -> Iterator[tuple[Place, str]]:
        """Every group id that isn't a definition."""
        for place, item in self._scoped():
            yield from _each(item, "group_ids", place)

    def _scoped(self) -> Iterator[tuple[Place, Item]]:
        names = ["flags", "remediations", "threats"]
        if self.csaf != "2.0":
            names += ["first_known_exploitation_dates", "ids", "involvements", "notes"]
            yield from listed(self.document, "notes", (None, "document"))
        for name in names:
            yield from self.items(name)

    @property
    def _status_groups(self) -> list[str]:
        """The groups that this version has: 2.0 lets a stranger's property of the same name be, whatever is in it."""
        return [name for name in STATUS_GROUPS if name != "unknown" or self.csaf != "2.0"]

    def status(self, vulnerability: Item) -> dict[str, set[str]]:
        """Product id to what is said of it: affected, not affected, fixed, under investigation, unknown."""
        said: dict[str, set[str]] = {}
        for name in self._status_groups:
            for product in vulnerability.get("product_status", {}).get(name, ()):
                said.setdefault(product, set()).add(STATUS_GROUPS[name])
        return said

    def contents(self) -> Iterator[tuple[Place, Item, Item]]:
        """Every set of metrics: place, the object that holds CVSS and others, and the item that names its products."""
        for place, vulnerability in self.vulnerabilities():
            yield from self.contents_of(place, vulnerability)

    def contents_of(self, base: Place, vulnerability: Item) -> Iterator[tuple[Place, Item, Item]]:
        """The sets of metrics of one vulnerability."""
        if self.csaf == "2.0":
            for place, item in listed(vulnerability, "scores", base):
                yield place, item, item
        else:
            for place, item in listed(vulnerability, "metrics", base):
                yield (place, "content"), item["content"], item

    def helpers(self) -> Iterator[tuple[Place, Item]]:
        """Every product identification helper."""
        for place, product in self.products():
            if "product_identification_helper" in product:
                yield (place, "product_identification_helper"), product["product_identification_helper"]

    def purls(self) -> Iterator[tuple[Place, list[str]]]:
        """The package URLs of each product: one (2.0) or several (2.1)."""
        for place, helper in self.helpers():
            if self.csaf == "2.0" and "purl" in helper:
                yield (place, "purl"), [helper["purl"]]
            elif self.csaf != "2.0" and "purls" in helper:
                yield (place, "purls"), helper["purls"]


def listed(item: Item, name: str, place: Place) -> Iterator[tuple[Place, Item]]:
    """The items of a list of objects, with their places."""
    for index, child in enumerate(item.get(name, ())):
        yield ((place, name), index), child


def _each(item: Item, name: str, place: Place) -> Iterator[tuple[Place, str]]:
    for index, text in enumerate(item.get(name, ())):
        yield ((place, name), index), text
