"""STIX 2.1: is this a bundle (or one object) that every reader of the standard can use?

Checked: the form of the bundle, the properties each type requires and their kinds, identifiers, times and their order,
references (well-formed and to a type that may stand there; they may point outside), rules between properties, granular
markings that select something that is there, and two different objects under one id and version. Not forbidden, because
the standard leaves it open and most real files use it: custom properties, custom objects, words outside a vocabulary.

A single object is as welcome as a bundle, since the bytes are signed as they are and wrapping would be another text; a
bare list of objects is no STIX document at all, and STIX 2.0 is refused with the advice to convert it.
"""

from __future__ import annotations

import base64
import calendar
import functools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final, cast

from securechan.bulletin import tlp
from securechan.bulletin.findings import Enough, Findings, Json, Place, kind_of, quote
from securechan.bulletin.shape import Anything, Book, Boolean, Number, Record, Shape, Text, canonical, one_of
from securechan.bulletin.stix_tables import (
    BUNDLE,
    CUSTOM_CREATED,
    CUSTOM_OBSERVED,
    HASHES,
    IMPLIES,
    JOINED_NEVER,
    NOT_BOTH,
    OBJECTS,
    OBSERVABLE_TYPES,
    ORDER,
    PARTS,
    SOME_OF,
)
from securechan.errors import Finding, Unfit

_UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
_TYPE: Final = r"[a-z][a-z0-9-]{1,248}[a-z0-9]"
_ID: Final = re.compile(rf"({_TYPE})--{_UUID}")
_TIME: Final = re.compile(
    r"(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?Z", re.ASCII
)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_HASH_KEY: Final = re.compile(r"[A-Za-z0-9_-]{3,250}")
_SELECTOR: Final = re.compile(r"[a-z0-9_-]{1,250}(?:\.(?:\[\d{1,9}\]|[A-Za-z0-9_-]{1,250}))*", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9_]{1,250}", re.ASCII)
_EXTENSION_KEY: Final = re.compile(rf"(?:extension-definition--{_UUID}|[a-z0-9][a-z0-9-]{{2,249}})", re.ASCII)
_ASIDE: Final = re.compile(
    r"/\*.*?(?:\*/|\Z)|//[^\n]*|'(?:[^'\\]|\\.)*(?:'|\Z)", re.DOTALL
)  # of a pattern: comments, quoted text
_CVE: Final = re.compile(r"CVE-\d{4}-\d{4,19}", re.ASCII)
_CONVERT: Final = "convert it to STIX 2.1 first: there every object has its own spec_version, the bundle none"


def _is_time(text: str) -> bool:
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    return day <= 28 or (year > 0 and day <= calendar.monthrange(year, month)[1])


def _instant(text: str) -> tuple[str, str]:
    """A form of a valid time that sorts like the time: seconds, then the fraction without trailing zeros."""
    return text[:19], text[20:-1].rstrip("0")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or letters beyond ASCII
        return False
    return True


def _is_ip(text: str, version: int) -> bool:
    import ipaddress  # noqa: PLC0415 - only files with addresses pay for it

    try:
        return ipaddress.ip_interface(text).version == version
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Reference:
    """An identifier whose type may stand here; custom types may wherever a class of types is meant."""

    allowed: frozenset[str]
    barred: frozenset[str] = frozenset()

    def check(self, value: Json, place: Place, found: Findings) -> None:
        match = _ID.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            found.add(place, f"{quote(value)} is not an identifier (type--uuid)")
        elif match[1] in self.barred or (self.allowed and match[1] not in self.allowed):
            found.add(place, f"may not refer to an object of type {match[1]}")


@dataclass(frozen=True, slots=True)
class _Hashes:
    """§2.7: algorithm to value; where the algorithm is known the value must have its length."""

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if not isinstance(value, dict) or not value:
            found.add(place, f"must be an object of hashes, not {'empty' if value == {} else kind_of(value)}")
            return
        for name, digest in value.items():
            if not _HASH_KEY.fullmatch(name):
                found.add((place, name), f"{quote(name)} is not a hash algorithm's name")
            elif not isinstance(digest, str) or not digest:
                found.add((place, name), f"must be text, not {kind_of(digest)}")
            elif name in HASHES and (len(digest) != HASHES[name] or not _HEX.fullmatch(digest)):
                found.add((place, name), f"{quote(digest)} is not a {name} value ({HASHES[name]} hex digits)")


@dataclass(frozen=True, slots=True)
class _Container:
    """An object or list whose inside the standard leaves open, but which may not be empty."""

    kind: type[dict[str, Json]] | type[list[Json]]

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if not isinstance(value, self.kind):
            found.add(place, f"must be {'an object' if self.kind is dict else 'a list'}, not {kind_of(value)}")
        elif not value:
            found.add(place, "must not be empty")


@dataclass(frozen=True, slots=True)
class _Extensions:
    """§7.3: named by an extension-definition's id, or by one of the standard's own names."""

    def check(self, value: Json, place: Place, found: Findings) -> None:
        if not isinstance(value, dict) or not value:
            found.add(place, "must be an object with at least one extension")
            return
        for name, content in value.items():
            if not _EXTENSION_KEY.fullmatch(name):
                found.add((place, name), f"{quote(name)} is not the name of an extension")
            if not isinstance(content, dict):
                found.add((place, name), f"must be an object, not {kind_of(content)}")


_SCALARS: Final[dict[str, Shape]] = {
    "str": Text(least=0),
    "text": Text(),
    "bool": Boolean(),
    "any": Anything(),
    "object": _Container(dict),
    "list": _Container(list),
    "extensions": _Extensions(),
    "hashes": _Hashes(),
    "id": _Reference(frozenset()),
    "type": Text("an object type (a-z, 0-9, hyphen)", re.compile(_TYPE)),
    "2.1": Text("2.1, the only version read here", re.compile(r"2\.1")),
    "time": Text("a time in UTC such as 2026-01-31T08:00:00Z", fits=_is_time),
    "relation": Text("a relationship type (a-z, 0-9, hyphen)", re.compile(r"[a-z0-9-]{3,250}")),
    "selector": Text("a selector", _SELECTOR),
    "hex": Text("pairs of hex digits", _HEX),
    "base64": Text("base64", fits=_is_base64),
    "ipv4": Text("an IPv4 address or network", fits=lambda text: _is_ip(text, 4)),
    "ipv6": Text("an IPv6 address or network", fits=lambda text: _is_ip(text, 6)),
    "mac": Text("a MAC address in lower case with colons", re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")),
    "integer": Number(whole=True),
    "count": Number(0, whole=True),
    "tally": Number(1, 999_999_999, whole=True),
    "sightings": Number(0, 999_999_999, whole=True),
    "percent": Number(0, 100, whole=True),
    "port": Number(0, 65535, whole=True),
    "latitude": Number(-90, 90),
    "longitude": Number(-180, 180),
    "measure": Number(0),
    "opinion": one_of("strongly-disagree disagree neutral agree strongly-agree"),
    "encryption": one_of("AES-256-GCM ChaCha20-Poly1305 mime-type-indicated"),
    "extension-type": one_of("new-sdo new-sco new-sro property-extension toplevel-property-extension"),
}


def _reference(kind: str) -> Shape | None:
    match kind:
        case "@":
            return _Reference(frozenset(), frozenset({"bundle"}))
        case "@node":
            return _Reference(frozenset(), JOINED_NEVER)
        case "@domain":
            return _Reference(frozenset(), JOINED_NEVER | OBSERVABLE_TYPES)
        case _ if kind.startswith("@"):
            return _Reference(frozenset(kind[1:].split("|")))
        case _:
            return None


@functools.cache
def _book() -> Book:
    """Compiled on first use: a command that shows no STIX doesn't wait for it."""
    table = {**OBJECTS, **PARTS, "bundle": BUNDLE, "": CUSTOM_CREATED, "~": CUSTOM_OBSERVED}
    return Book(table, _SCALARS, resolve=_reference, extra_name=_NAME)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a listing says of a STIX document."""

    title: str
    objects: int
    types: tuple[tuple[str, int], ...]  # the most frequent first
    cves: tuple[str, ...]
    tlp_floor: tlp.Tlp | None


def check(document: Json) -> Summary:
    """Validate a parsed STIX 2.1 bundle or single object. Raises `Unfit` with every finding up to the bound."""
    if isinstance(document, list):
        raise Unfit(
            "not a STIX document: a bare list of objects",
            hint='put the objects into a bundle: {"type": "bundle", "id": "bundle--<uuid>", "objects": […]}',
            findings=(Finding("/", "must be a bundle or a single object, not a list"),),
        )
    if not isinstance(document, dict):
        raise Unfit(
            f"not a STIX document: {kind_of(document)}",
            hint="publish a STIX 2.1 bundle",
            findings=(Finding("/", "must be a bundle or a single object"),),
        )
    found = Findings()
    objects: list[Json]
    try:
        if document.get("type") == "bundle":
            objects = _check_bundle(document, found)
        else:
            objects = [document]
            _check_object(document, None, found)
    except Enough:
        raise found.unfit("STIX 2.1 document") from None
    if found:
        old = any("spec_version" in item.where or "spec_version" in item.what for item in found.items)
        raise found.unfit("STIX 2.1 document", hint=f"if this is STIX 2.0, {_CONVERT}" if old else "")
    return _summary(document, cast("list[dict[str, Json]]", objects))


def _check_bundle(bundle: dict[str, Json], found: Findings) -> list[Json]:
    version = bundle.get("spec_version")
    if version is not None:
        raise Unfit(
            f"not STIX 2.1: the bundle says spec_version {quote(version)}",
            hint=_CONVERT,
            findings=(Finding("/spec_version", "a STIX 2.1 bundle has no spec_version; 2.0 had one"),),
        )
    _book()["bundle"].check(bundle, None, found)
    identifier = bundle.get("id")
    if isinstance(identifier, str) and not identifier.startswith("bundle--"):
        found.add((None, "id"), "the id of a bundle begins with bundle--")
    objects = bundle.get("objects")
    listed = objects if isinstance(objects, list) else []
    versions: dict[tuple[str, str], tuple[int, dict[str, Json]]] = {}
    for index, item in enumerate(listed):
        place: Place = ((None, "objects"), index)
        if isinstance(item, dict) and item.get("type") == "bundle":
            found.add(place, "a bundle can't hold a bundle")
            continue
        _check_object(item, place, found)
        if isinstance(item, dict):
            _check_version(item, index, place, versions, found)
    return listed


def _check_version(
    item: dict[str, Json],
    index: int,
    place: Place,
    versions: dict[tuple[str, str], tuple[int, dict[str, Json]]],
    found: Findings,
) -> None:
    """Two different texts under one id and version: readers would keep one or the other."""
    identifier, modified = item.get("id"), item.get("modified", item.get("created"))
    if not isinstance(identifier, str) or not isinstance(modified, str):
        return
    first = versions.setdefault((identifier, modified), (index, item))
    if first[0] != index and canonical(cast("Json", first[1])) != canonical(cast("Json", item)):
        found.add(place, f"another object has this id and version, and differs: /objects/{first[0]}")


def _check_object(item: Json, place: Place, found: Findings) -> None:
    if not isinstance(item, dict):
        found.add(place, f"must be an object, not {kind_of(item)}")
        return
    kind = item.get("type")
    record = _record_for(item, kind)
    record.check(cast("Json", item), place, found)
    if not isinstance(kind, str):
        return
    identifier = item.get("id")
    if isinstance(identifier, str) and _ID.fullmatch(identifier) and not identifier.startswith(kind + "--"):
        found.add((place, "id"), f"the id of an object of type {quote(kind)} begins with its type")
    for first, second, strict in ORDER:
        if first in item and second in item:
            _check_order(item, first, second, place, found, strict=strict)
    names = SOME_OF.get(kind)
    if names and not any(name in item for name in names):
        found.add(place, f"at least one of {', '.join(names)} is needed")
    names = NOT_BOTH.get(kind)
    if names and all(name in item for name in names):
        found.add(place, f"{' and '.join(names)} exclude each other")
    for first, second in IMPLIES.get(kind, ()):
        if first in item and second not in item:
            found.add(place, f"with {first} the property {second} is needed")
    _check_special(kind, item, place, found)
    references = item.get("external_references")
    for index, reference in enumerate(references if isinstance(references, list) else ()):
        if isinstance(reference, dict) and not reference.keys() & {"description", "url", "external_id"}:
            found.add(((place, "external_references"), index), "one of description, url, external_id is needed")
    markings = item.get("granular_markings")
    for index, marking in enumerate(markings if isinstance(markings, list) else ()):
        _check_granular(item, marking, ((place, "granular_markings"), index), found)


def _record_for(item: dict[str, Json], kind: Json) -> Record:
    book = _book()
    if isinstance(kind, str) and kind in OBJECTS:
        return book[kind]
    # a custom type: versioned ones have times of creation, observables have none
    return book["" if "created" in item or "modified" in item else "~"]


def _check_order(
    item: dict[str, Json], first: str, second: str, place: Place, found: Findings, *, strict: bool
) -> None:
    early, late = item[first], item[second]
    if not (isinstance(early, str) and isinstance(late, str) and _is_time(early) and _is_time(late)):
        return  # found already, or another kind of property in a custom object
    if _instant(late) < _instant(early) or (strict and _instant(late) == _instant(early)):
        found.add((place, second), f"is {'not after' if strict else 'before'} {first}")


def _check_special(kind: str, item: dict[str, Json], place: Place, found: Findings) -> None:
    match kind:
        case "malware":
            if item.get("is_family") is True and "name" not in item:
                found.add(place, "a malware family needs a name")
        case "email-message":
            wrong = "body" if item.get("is_multipart") is True else "body_multipart"
            if wrong in item:
                found.add((place, wrong), f"does not go with is_multipart {'true' if wrong == 'body' else 'false'}")
        case "indicator":
            pattern = item.get("pattern")
            if item.get("pattern_type") == "stix" and isinstance(pattern, str) and not _looks_like_pattern(pattern):
                found.add((place, "pattern"), f"{quote(pattern)} is not a STIX pattern")
        case "marking-definition":
            stated, definition = item.get("definition_type"), item.get("definition")
            if isinstance(stated, str) and isinstance(definition, dict):
                if stated.lower() == "tlp" and tlp.of_marking({**item, "id": None}) is None:
                    found.add((place, "definition"), "names no TLP label that is known here")
                if stated == "statement" and not isinstance(definition.get("statement"), str):
                    found.add((place, "definition"), "a statement marking needs its statement")
        case _:
            return


def _looks_like_pattern(pattern: str) -> bool:
    """Comparison expressions stand in brackets; outside of quoted text brackets and parentheses must match (§9)."""
    open_ones: list[str] = []
    bare = _ASIDE.sub(" ", pattern)
    if not bare.lstrip().startswith(("[", "(")):
        return False
    for sign in bare:
        if sign in "[(":
            open_ones.append("]" if sign == "[" else ")")
        elif sign in "])" and (not open_ones or open_ones.pop() != sign):
            return False
    return not open_ones


def _check_granular(item: dict[str, Json], marking: Json, place: Place, found: Findings) -> None:
    if not isinstance(marking, dict):
        return
    if ("lang" in marking) == ("marking_ref" in marking):
        found.add(place, "exactly one of lang and marking_ref is needed")
    selectors = marking.get("selectors")
    for index, selector in enumerate(selectors if isinstance(selectors, list) else ()):
        if isinstance(selector, str) and _SELECTOR.fullmatch(selector) and not _selects(item, selector):
            found.add(((place, "selectors"), index), f"{quote(selector)} selects nothing in this object")


def _selects(item: dict[str, Json], selector: str) -> bool:
    value: Json = cast("Json", item)
    for step in selector.split("."):
        if step.startswith("["):
            index = int(step[1:-1])
            if not isinstance(value, list) or index >= len(value):
                return False
            value = value[index]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return False
    return True


# What a bundle is about, best first: the title of a listing is the name of the first object of the first type there.
_TITLE_TYPES: Final = ("report", "grouping", "campaign", "intrusion-set", "incident", "malware", "threat-actor", "tool",
                       "vulnerability", "infrastructure", "note", "attack-pattern", "indicator",
                       "course-of-action")  # fmt: skip


def _summary(document: dict[str, Json], objects: list[dict[str, Json]]) -> Summary:
    types = Counter(cast("str", item["type"]) for item in objects)
    cves: set[str] = set()
    for item in objects:
        if item["type"] == "vulnerability":
            references = cast("list[dict[str, Json]]", item.get("external_references", []))
            names = [item.get("name"), *(reference.get("external_id") for reference in references)]
            cves.update(name for name in names if isinstance(name, str) and _CVE.fullmatch(name))
    return Summary(
        title=_title(document, objects),
        objects=len(objects),
        types=tuple(types.most_common()),
        cves=tuple(sorted(cves)),
        tlp_floor=tlp.of_stix(cast("list[Json]", objects)),
    )


def _title(document: dict[str, Json], objects: list[dict[str, Json]]) -> str:
    by_type: dict[str, str] = {}
    for item in objects:
        name = item.get("name", item.get("abstract"))
        if isinstance(name, str) and name.strip():
            by_type.setdefault(cast("str", item["type"]), name.strip())
    for kind in _TITLE_TYPES:
        if kind in by_type:
            return by_type[kind]
    if document.get("type") != "bundle":
        return next(iter(by_type.values()), cast("str", document["id"]))
    return f"STIX bundle of {len(objects)} object{'' if len(objects) == 1 else 's'}"
