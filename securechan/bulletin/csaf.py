"""CSAF 2.0 and 2.1: is this an advisory that every consumer of the standard must accept?

Two steps, as the standard has them: the structure (what its JSON schema says, here `csaf_tables`), and on a sound
structure the mandatory tests of §6.1 (`csaf_rules`, `csaf_profiles`). A finding of a test begins with its number,
``6.1.2: …``, so that an author can look it up; those of the structure have none.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from securechan.bulletin import csaf_profiles, csaf_rules, csaf_rules_21, tlp
from securechan.bulletin.advisory import Advisory, TooMuch, instant
from securechan.bulletin.csaf_rules import Rule
from securechan.bulletin.csaf_tables import (
    EXTENSION,
    SSVC,
    TABLE_20,
    TABLE_21,
    WORDS,
    WORDS_20,
    WORDS_21,
)
from securechan.bulletin.findings import Enough, Findings, Json, Place, kind_of, quote
from securechan.bulletin.shape import Anything, Array, Book, Boolean, Shape, Text, one_of
from securechan.errors import Finding, Unfit

_SEMANTIC: Final = (
    r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}"
    r"(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_LANGUAGE: Final = (  # RFC 5646 §2.1
    r"(?:(?:[a-z]{2,3}(?:-[a-z]{3}(?:-[a-z]{3}){0,2})?|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+|i-default|i-mingo)"
)
_ATTRIBUTE: Final = r"(?:[*\-]|(?:\?+|\*)?(?:[A-Za-z0-9\-._]|\\[!-,/:-@\[-^`{-~])+(?:\?+|\*)?)"  # NISTIR 7695 §6.2
_CPE: Final = (
    rf"cpe:2\.3:[aho*\-](?::{_ATTRIBUTE}){{5}}:(?:[*\-]|[A-Za-z]{{2,3}}(?:-(?:[A-Za-z]{{2}}|\d{{3}}))?)"
    rf"(?::{_ATTRIBUTE}){{4}}|[cC][pP][eE]:/[AHOaho]?(?::[A-Za-z0-9._\-~%]*){{0,6}}"
)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_UNSPACED: Final = r"[^\s\-_.](?:.*[^\s\-_.])?"


@dataclass(frozen=True, slots=True)
class _Ruled:
    """A shape whose findings belong to a numbered test."""

    rule: str
    shape: Shape

    def check(self, value: Json, place: Place, found: Findings, /) -> None:
        with found.rule(self.rule):
            self.shape.check(value, place, found)


def _text(what: str, pattern: str, flags: int = 0) -> Text:
    return Text(what, re.compile(pattern, flags | re.ASCII))


_SCALARS: Final[dict[str, Shape]] = {
    "any": Anything(),
    "bool": Boolean(),
    "free": Text(least=0),
    "uri": _text("a URI", r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s<>\"{}|\\^`]+"),
    "lang": _text("a language tag (RFC 5646)", _LANGUAGE, re.IGNORECASE),
    "version": _text("a version (a whole number, or major.minor.patch)", rf"0|[1-9]\d*|{_SEMANTIC}"),
    "semantic": _text("a version (major.minor.patch)", _SEMANTIC),
    "category": Text("a category (no blank, dash, underscore, dot at its ends)", re.compile(_UNSPACED)),
    "tracking-id": Text("an id (no blank at its ends)", re.compile(r"\S(?:.*\S)?")),
    "cpe": _text("a CPE name (2.2 or 2.3)", _CPE),
    "cve": _text("a CVE number", r"CVE-\d{4}-\d{4,}"),
    "cwe-id": _text("a CWE number", r"CWE-[1-9]\d{0,5}"),
    "cwe-name": Text("a CWE name", re.compile(_UNSPACED)),
    "cwe-version": _text("a version of CWE", r"[1-9]\d*\.(?:\d|[1-9]\d+)(?:\.\d+)?"),
    "unit": _text("a decimal between 0 and 1", r"0\.\d+|1\.0+"),
    "products-2": Array(Text(), least=2, unique=True),
    "key": _text("a decision point's key", r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9_]*[A-Za-z0-9]|T\*"),
    "namespace": _text(
        "an SSVC namespace",
        rf"(?=.{{3,1000}}\Z)(?:x_{_LABEL}(?:\.{_LABEL})+\#[a-z0-9]+(?:[.\-][a-z0-9]+)*"
        r"|[a-z][a-z0-9]+(?:[.\-][a-z0-9]+)*(?:\#[a-z0-9]+(?:[.\-][a-z0-9]+)*)?)(?:/[A-Za-z0-9.\-#$]*)*",
    ),
    "sharing-id": _text(
        "a UUID of version 4, or the Nil or Max UUID, in lower case",
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|0{8}(?:-0{4}){3}-0{12}|f{8}(?:-f{4}){3}-f{12}",
    ),
    **{name: one_of(words) for name, words in WORDS.items()},
}
_SCALARS_20: Final[dict[str, Shape]] = {
    **_SCALARS,
    **{name: one_of(words) for name, words in WORDS_20.items()},
    "time": Text("a time (RFC 3339), such as 2026-01-31T08:00:00Z", fits=lambda text: instant(text) is not None),
    "algorithm": Text(),
    "digest": _text("a hash of at least 32 hex digits", r"[0-9a-fA-F]{32,}"),
    "purl": _text("a package URL", r"pkg:[A-Za-z.\-+][A-Za-z0-9.\-+]*/[^\s]+"),
}
_SCALARS_21: Final[dict[str, Shape]] = {
    **_SCALARS,
    **{name: one_of(words) for name, words in WORDS_21.items()},
    "time": _Ruled(
        "6.1.37",
        Text("a time such as 2026-01-31T08:00:00Z", fits=lambda text: instant(text, strict=True) is not None),
    ),
    "algorithm": _text("a hash algorithm's name in lower case", r"[0-9a-z][0-9a-z-]*"),
    "digest": _text("a hash of at least 32 hex digits in lower case", r"[0-9a-f]{32,}"),
    "purl": _text("a package URL", r"pkg:[a-z][a-z0-9.\-]*/[^\s]+"),
}


@functools.cache
def _book(version: str) -> Book:
    """Compiled on first use."""
    if version == "2.0":
        return Book(TABLE_20, _SCALARS_20)
    return Book({**TABLE_21, **SSVC, **EXTENSION}, _SCALARS_21, closed=True)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a listing says of a CSAF document."""

    title: str
    csaf_version: str
    category: str
    tracking_id: str
    version: str
    status: str
    publisher: str
    current_release: str
    cves: tuple[str, ...]
    vulnerabilities: int
    products: int
    tlp_floor: tlp.Tlp | None


def check(document: Json) -> Summary:
    """Validate a parsed CSAF 2.0 or 2.1 document. Raises `Unfit` with every finding up to the bound."""
    if not isinstance(document, dict):
        raise Unfit(
            f"not a CSAF document: {kind_of(document)}",
            hint="publish a CSAF 2.0 or 2.1 advisory",
            findings=(Finding("/", "must be an object"),),
        )
    body = document.get("document")
    version = body.get("csaf_version") if isinstance(body, dict) else None
    if version not in ("2.0", "2.1"):
        raise Unfit(
            f"not a CSAF 2.0 or 2.1 document: csaf_version is {quote(version)}",
            hint="/document/csaf_version must be 2.0 or 2.1",
            findings=(Finding("/document/csaf_version", f"{quote(version)} is not one of 2.0, 2.1"),),
        )
    found = Findings()
    what = f"CSAF {version} document"
    try:
        _book(version)["csaf"].check(cast("Json", document), None, found)
        if not found:
            _run_tests(Advisory(cast("dict[str, Any]", document), version), found)
    except Enough:
        raise found.unfit(what) from None
    except TooMuch:
        found.items.append(
            Finding("/product_tree/product_groups", "too many products in too many groups to be checked")
        )
    if found:
        raise found.unfit(what)
    return _summary(cast("dict[str, Any]", document))


def _in_order(rules: list[tuple[str, Rule]]) -> list[tuple[str, Rule]]:
    """By their numbers in the standard, ``6.1.9`` before ``6.1.10``."""
    return sorted(rules, key=lambda rule: [int(part) for part in rule[0].split()[0].split(".")])


_SHARED: Final = csaf_rules.RULES + csaf_profiles.RULES
_TESTS: Final = {
    "2.0": _in_order(_SHARED),
    "2.1": _in_order(_SHARED + csaf_profiles.RULES_21 + csaf_rules_21.RULES),
}


def _run_tests(advisory: Advisory, found: Findings) -> None:
    for number, test in _TESTS[advisory.csaf]:
        with found.rule(number):
            test(advisory, found)
    if advisory.csaf == "2.0":
        return
    for place, content, _ in advisory.contents():
        if "ssvc_v2" in content:
            with found.rule("6.1.46"):
                _book("2.1")["ssvc"].check(content["ssvc_v2"], (place, "ssvc_v2"), found)
    for place, extensions in csaf_rules_21.extensions(advisory):
        with found.rule("6.1.60.1"):
            Array(_book("2.1")["extension"], unique=True).check(extensions, place, found)


def _summary(document: dict[str, Any]) -> Summary:
    body = document["document"]
    tracking = body["tracking"]
    items = document.get("vulnerabilities", [])
    return Summary(
        title=body["title"],
        csaf_version=body["csaf_version"],
        category=body["category"],
        tracking_id=tracking["id"],
        version=tracking["version"],
        status=tracking["status"],
        publisher=body["publisher"]["name"],
        current_release=tracking["current_release_date"],
        cves=tuple(sorted({item["cve"] for item in items if "cve" in item})),
        vulnerabilities=len(items),
        products=sum(1 for _ in Advisory(document, body["csaf_version"]).products()),
        tlp_floor=tlp.of_csaf(cast("Json", document)),
    )
