"""A document as a bulletin carries it: what kind it is, what it says of itself, and whether it may be published at all.

`inspect` is the one door for content, whether a desk is about to publish it or a relay has just delivered it. The bytes
stay as they are, since they are what is signed; this only looks. Every refusal is `Unfit` with findings.

Kinds: a STIX 2.1 bundle or single object, a CSAF 2.0 or 2.1 advisory, plain text. A media type that the sender states
must hold; without one, content that begins like JSON must be one of the two, and everything else is text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from securechan.bulletin import tlp
from securechan.bulletin.findings import Json, printable
from securechan.bulletin.strict_json import MAX_SIZE, decode_text, parse_text
from securechan.errors import Finding, Unfit

STIX: Final = "application/stix+json;version=2.1"
CSAF: Final = "application/csaf+json"
TEXT: Final = "text/plain"
MEDIA_TYPES: Final = (STIX, CSAF, TEXT)

MAX_TITLE: Final = 256  # bytes of UTF-8, as many as a bulletin's header holds

__all__ = ["CSAF", "MAX_SIZE", "MEDIA_TYPES", "STIX", "TEXT", "Document", "inspect", "media_type_of", "one_line"]


@dataclass(frozen=True, slots=True)
class Document:
    """Content that is fit to publish and to show."""

    media_type: str
    """one of ``MEDIA_TYPES``"""
    title: str
    """what it calls itself, one line of at most ``MAX_TITLE`` bytes, without control characters"""
    facts: tuple[tuple[str, str | int], ...]
    """what a listing shows, in this order: counts, identifiers, versions"""
    tlp_floor: tlp.Tlp | None
    """the strictest label found inside: the bulletin's own may not be milder"""

    @property
    def facts_by_name(self) -> dict[str, str | int]:
        """The facts as a mapping, for ``--json``."""
        return dict(self.facts)


def inspect(content: bytes, media_type: str | None = None) -> Document:
    """Judge content of a stated or unstated kind; at most 4 MiB. Raises `Unfit`."""
    text = decode_text(content)
    kind = _detect(text) if media_type is None else media_type_of(media_type)
    if kind == TEXT:
        return _text(text)
    value = parse_text(text)
    if kind is None:
        kind = _kind_of_json(value)
    return _stix(value) if kind == STIX else _csaf(value)


def media_type_of(stated: str) -> str:
    """The canonical media type that people or a header state. Raises `Unfit` where it isn't one that we carry."""
    essence, *parameters = (part.strip().lower() for part in stated.split(";"))
    values = dict(part.partition("=")[::2] for part in parameters if part)
    version = values.get("version", "").strip('" ')
    match essence:
        case "application/stix+json" if version in ("", "2.1"):
            return STIX
        case "application/csaf+json" if version in ("", "2.0", "2.1"):
            return CSAF
        case "text/plain" if values.get("charset", "utf-8").strip('" ') in ("utf-8", "us-ascii"):
            return TEXT
        case _:
            raise Unfit(
                f"the media type '{printable(stated[:60])}' is not one that bulletins have",
                hint=f"use one of {', '.join(MEDIA_TYPES)}",
                findings=(Finding("/", "media type not supported"),),
            )


_JSON_START: Final = re.compile(r'\s*(?:\{|\[\s*[\[{"\]])')


def _detect(text: str) -> str | None:
    """None for what begins like JSON; a bracket alone doesn't, since ``[TLP:GREEN] …`` is how people begin a text."""
    return None if _JSON_START.match(text) else TEXT


def _kind_of_json(value: Json) -> str:
    match value:
        case {"document": {"csaf_version": _}} | {"document": {"tracking": _}}:
            return CSAF
        case {"type": str(), "id": str()} | {"type": "bundle"} | [{"type": str()}, *_]:
            return STIX
        case _:
            raise Unfit(
                "the content is JSON, but neither STIX nor CSAF",
                hint="convert it to STIX 2.1 or CSAF; to publish it as it is, say --media-type text/plain",
                findings=(Finding("/", "neither a STIX type and id nor a CSAF document"),),
            )


def one_line(text: str) -> str:
    """A title: control characters and the like out, blanks single, at most ``MAX_TITLE`` bytes."""
    shown = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text[: 4 * MAX_TITLE])
    line = " ".join(shown.split())
    encoded = line.encode("utf-8")
    return line if len(encoded) <= MAX_TITLE else encoded[: MAX_TITLE - 3].decode("utf-8", "ignore") + "…"


def _stix(value: Json) -> Document:
    from securechan.bulletin import stix  # noqa: PLC0415 - tables are compiled only where they are needed

    found = stix.check(value)
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.types[:4])
    facts: list[tuple[str, str | int]] = [("objects", found.objects), ("kinds", kinds), ("cves", len(found.cves))]
    return Document(STIX, one_line(found.title), (*facts, *_named(found.cves)), found.tlp_floor)


def _csaf(value: Json) -> Document:
    from securechan.bulletin import csaf  # noqa: PLC0415 - as above

    found = csaf.check(value)
    facts: list[tuple[str, str | int]] = [
        ("csaf", found.csaf_version),
        ("tracking", one_line(found.tracking_id)),
        ("version", one_line(found.version)),
        ("status", found.status),
        ("publisher", one_line(found.publisher)),
        ("released", found.current_release),
        ("vulnerabilities", found.vulnerabilities),
        ("products", found.products),
        ("cves", len(found.cves)),
    ]
    return Document(CSAF, one_line(found.title), (*facts, *_named(found.cves)), found.tlp_floor)


def _named(cves: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The first few CVE numbers, for the listing."""
    return (("cve", ", ".join(cves[:5]) + (", …" if len(cves) > 5 else "")),) if cves else ()


_CVE: Final = re.compile(r"\bCVE-\d{4}-\d{4,19}\b", re.ASCII)


_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _text(text: str) -> Document:
    bad = _CONTROL.search(text)
    if bad is not None:
        where = f"line {text.count(chr(10), 0, bad.start()) + 1}"
        raise Unfit(
            f"not plain text: control character U+{ord(bad[0]):04X} on {where}",
            hint="save it as plain text (UTF-8); files of other kinds go as attachments",
            findings=(Finding(where, f"control character U+{ord(bad[0]):04X}"),),
        )
    lines = text.split("\n")
    shown = (one_line(line) for line in lines if line and not line.isspace())
    first = next((line for line in shown if line and not _only_label(line)), "")
    if not first:
        raise Unfit("the text is empty", hint="write something", findings=(Finding("line 1", "no text"),))
    cves = tuple(sorted(set(_CVE.findall(text))))
    facts: tuple[tuple[str, str | int], ...] = (("lines", len(lines)), ("cves", len(cves)))
    return Document(TEXT, first, (*facts, *_named(cves)), tlp.of_text(text))


def _only_label(line: str) -> bool:
    return re.fullmatch(r"\W*tlp\W*[a-z]+(?:\W*strict)?\W*", line, re.IGNORECASE) is not None
