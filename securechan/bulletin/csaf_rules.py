"""The mandatory tests of CSAF that both versions share: §6.1.1 to §6.1.33, but for those of profiles (`csaf_profiles`).

Each test is a function with its number, its name in the standard as docstring, and findings at the places that break
it. Where 2.1 changed a test, the function says so. 6.1.11 checks the form of a CWE only: names differ from release to
release, and a list of a thousand of them would have to follow.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from securechan.bulletin import cvss_check
from securechan.bulletin.advisory import Advisory, instant, listed, version_of
from securechan.bulletin.csaf_tables import (
    LANGUAGES,
    RANGE_SIGNS,
    RANGE_WORDS,
    REGIONS,
)
from securechan.bulletin.findings import Findings, Place, quote
from securechan.bulletin.notations import purl_fault

Rule: TypeAlias = Callable[[Advisory, Findings], None]

CVSS: Final = ("cvss_v2", "cvss_v3", "cvss_v4")

_DOCUMENT: Final[Place] = (None, "document")
_TRACKING: Final[Place] = (_DOCUMENT, "tracking")
_TREE: Final[Place] = (None, "product_tree")


def rule_book(rules: list[tuple[str, Rule]]) -> Callable[..., Callable[[Rule], Rule]]:
    """A decorator that enters tests into ``rules``; with profiles a test is run for documents of these only."""

    def rule(number: str, *profiles: str) -> Callable[[Rule], Rule]:
        def enter(test: Rule) -> Rule:
            def run_for_profile(advisory: Advisory, found: Findings) -> None:
                if advisory.category in profiles:
                    test(advisory, found)

            rules.append((number, run_for_profile if profiles else test))
            return test

        return enter

    return rule


RULES: Final[list[tuple[str, Rule]]] = []
rule = rule_book(RULES)


def _repeated(pairs: Iterable[tuple[Place, str]], found: Findings, what: str) -> None:
    seen: set[str] = set()
    for place, value in pairs:
        if value in seen:
            found.add(place, f"{quote(value)} {what}")
        seen.add(value)


# ------------------------------------------------------------------------------------------------------------ products


@rule("6.1.1")
def _missing_product(advisory: Advisory, found: Findings) -> None:
    """Missing definition of product id."""
    known = {product["product_id"] for _, product in advisory.products()}
    for place, name in advisory.mentions():
        if name not in known:
            found.add(place, f"{quote(name)} isn't defined in the product tree")


@rule("6.1.2")
def _product_twice(advisory: Advisory, found: Findings) -> None:
    """Multiple definition of product id."""
    pairs = (((place, "product_id"), product["product_id"]) for place, product in advisory.products())
    _repeated(pairs, found, "is defined more than once")


@rule("6.1.3")
def _product_circle(advisory: Advisory, found: Findings) -> None:
    """Circular definition of product id."""
    made_of: dict[str, set[str]] = {}
    places: dict[str, Place] = {}
    for place, compound in advisory.compounds():
        name = compound["full_product_name"]["product_id"]
        made_of.setdefault(name, set()).update(part for _, part in advisory.components(place, compound))
        places.setdefault(name, ((place, "full_product_name"), "product_id"))
    done: set[str] = set()
    for start, parts in made_of.items():
        path, on_path, todo = [start], {start}, [iter(sorted(parts))]
        while todo and start not in done:
            part = next(todo[-1], None)
            if part is None:
                todo.pop()
                done.add(path[-1])
                on_path.discard(path.pop())
            elif part in on_path:
                found.add(places[part], f"{quote(part)} is defined by way of itself")
                done.update(path)
            elif part in made_of and part not in done:
                path.append(part)
                on_path.add(part)
                todo.append(iter(sorted(made_of[part])))


@rule("6.1.4")
def _missing_group(advisory: Advisory, found: Findings) -> None:
    """Missing definition of product group id."""
    for place, name in advisory.group_mentions():
        if name not in advisory.groups:
            found.add(place, f"{quote(name)} isn't defined in the product tree")


@rule("6.1.5")
def _group_twice(advisory: Advisory, found: Findings) -> None:
    """Multiple definition of product group id."""
    groups = listed(advisory.tree, "product_groups", _TREE)
    pairs = (((place, "group_id"), group["group_id"]) for place, group in groups)
    _repeated(pairs, found, "is defined more than once")


@rule("6.1.6")
def _contradicting_status(advisory: Advisory, found: Findings) -> None:
    """Contradicting product status."""
    for place, vulnerability in advisory.vulnerabilities():
        for product, said in advisory.status(vulnerability).items():
            if len(said) > 1:
                found.add((place, "product_status"), f"{quote(product)} is at once {' and '.join(sorted(said))}")


# ------------------------------------------------------------------------------------------------------------- metrics


@rule("6.1.7")
def _scores_twice(advisory: Advisory, found: Findings) -> None:
    """Multiple scores with the same version per product (2.1: and of the same source)."""
    for base, vulnerability in advisory.vulnerabilities():
        seen: set[tuple[str, str, str]] = set()
        for place, content, item in advisory.contents_of(base, vulnerability):
            for name in CVSS:
                score = content.get(name)
                version = str(score.get("version")) if isinstance(score, dict) else ""
                for product in item["products"] if version else ():
                    key = (product, version, str(item.get("source", "")))
                    if key in seen:
                        found.add((place, name), f"{quote(product)} has another CVSS {quote(version)} score")
                    seen.add(key)


@rule("6.1.8 to 6.1.10")
def _cvss(advisory: Advisory, found: Findings) -> None:
    """Invalid CVSS, invalid CVSS computation, inconsistent CVSS."""
    for place, content, _ in advisory.contents():
        for name in CVSS:
            if name in content and (name != "cvss_v4" or advisory.csaf != "2.0"):
                cvss_check.check(name, content[name], (place, name), found)


# ------------------------------------------------------------------------------------------- languages and identifiers


@rule("6.1.12")
def _language(advisory: Advisory, found: Findings) -> None:
    """Language."""
    for name in ("lang", "source_lang"):
        tag = advisory.document.get(name)
        if tag is None:
            continue
        parts = tag.split("-")
        if len(parts[0]) == 2 and parts[0].lower() not in LANGUAGES:
            found.add((_DOCUMENT, name), f"{quote(parts[0])} is no language")
        for part in parts[1:]:
            if len(part) == 1:
                break  # extensions and private use begin
            if len(part) == 2 and part.upper() not in REGIONS:
                found.add((_DOCUMENT, name), f"{quote(part)} is no region")


@rule("6.1.13")
def _purl(advisory: Advisory, found: Findings) -> None:
    """PURL."""
    for place, purls in advisory.purls():
        for purl in purls:
            if fault := purl_fault(purl, typed=advisory.csaf != "2.0"):
                found.add(place, f"{quote(purl)} is no valid package URL: {fault}")


# ------------------------------------------------------------------------------------------------- versions and status


@rule("6.1.14")
def _sorted_history(advisory: Advisory, found: Findings) -> None:
    """Sorted revision history."""
    history = advisory.history
    for (_, first), (place, second) in itertools.pairwise(history):
        if version_of(second["number"]) < version_of(first["number"]):
            found.add((place, "number"), f"is dated after {first['number'][:40]} but has a lower number")


@rule("6.1.15")
def _translator(advisory: Advisory, found: Findings) -> None:
    """Translator."""
    if advisory.document["publisher"]["category"] == "translator" and "source_lang" not in advisory.document:
        found.add(_DOCUMENT, "a translator's document needs source_lang")


@rule("6.1.16")
def _latest_version(advisory: Advisory, found: Findings) -> None:
    """Latest document version: build metadata is ignored, and in drafts the pre-release part."""
    stated, last = version_of(advisory.tracking["version"]), version_of(advisory.history[-1][1]["number"])
    same = stated.core == last.core if advisory.tracking["status"] == "draft" else stated == last
    if not same:
        found.add((_TRACKING, "version"), "is not the number of the newest revision")


@rule("6.1.17")
def _draft(advisory: Advisory, found: Findings) -> None:
    """Document status draft."""
    version = version_of(advisory.tracking["version"])
    if (version.zero or not version.released) and advisory.tracking["status"] != "draft":
        found.add((_TRACKING, "status"), f"must be draft with version {advisory.tracking['version'][:40]}")


@rule("6.1.18")
def _released_history(advisory: Advisory, found: Findings) -> None:
    """Released revision history."""
    if advisory.tracking["status"] == "draft":
        return
    for place, revision in advisory.history:
        if version_of(revision["number"]).zero:
            found.add((place, "number"), "a released document has no revision 0")


@rule("6.1.19")
def _prerelease_history(advisory: Advisory, found: Findings) -> None:
    """Revision history entries for pre-release versions."""
    for place, revision in advisory.history:
        if not version_of(revision["number"]).released:
            found.add((place, "number"), "a revision has no pre-release part")


@rule("6.1.20")
def _non_draft(advisory: Advisory, found: Findings) -> None:
    """Non-draft document version."""
    if advisory.tracking["status"] != "draft" and not version_of(advisory.tracking["version"]).released:
        found.add((_TRACKING, "version"), "only a draft has a pre-release part")


@rule("6.1.21")
def _missing_revision(advisory: Advisory, found: Findings) -> None:
    """Missing item in revision history (of semantic versions, the major one)."""
    history = advisory.history
    majors = [version_of(revision["number"]).core[0] for _, revision in history]
    if majors[0] > 1:
        found.add((history[0][0], "number"), "the first revision is neither 0 nor 1")
    for index, (before, after) in enumerate(itertools.pairwise(majors), start=1):
        if after - before > 1:
            how = "stands elsewhere in the list" if before + 1 in majors else "isn't there"
            found.add((history[index][0], "number"), f"revision {str(before + 1)[:40]} is missing before it ({how})")


@rule("6.1.22")
def _revision_twice(advisory: Advisory, found: Findings) -> None:
    """Multiple definition in revision history."""
    history = listed(advisory.tracking, "revision_history", _TRACKING)
    _repeated((((place, "number"), item["number"]) for place, item in history), found, "stands twice in the history")


@rule("6.1.23")
def _cve_twice(advisory: Advisory, found: Findings) -> None:
    """Multiple use of the same CVE."""
    pairs = (((place, "cve"), item["cve"]) for place, item in advisory.vulnerabilities() if "cve" in item)
    _repeated(pairs, found, "is used by another vulnerability")


@rule("6.1.24")
def _involvement_twice(advisory: Advisory, found: Findings) -> None:
    """Multiple definition in involvements."""
    for base, vulnerability in advisory.vulnerabilities():
        seen: set[tuple[str, object]] = set()
        for place, item in listed(vulnerability, "involvements", base):
            key = (item["party"], instant(item["date"]) if "date" in item else None)
            if key in seen:
                found.add(place, f"the party {item['party']} stands twice at one date")
            seen.add(key)


@rule("6.1.25")
def _hash_twice(advisory: Advisory, found: Findings) -> None:
    """Multiple use of the same hash algorithm."""
    for place, helper in advisory.helpers():
        for inner, file in listed(helper, "hashes", place):
            hashes = listed(file, "file_hashes", inner)
            _repeated(
                (((at, "algorithm"), item["algorithm"]) for at, item in hashes), found, "is used twice for one file"
            )


# ------------------------------------------------------------------------------------------------------------- the rest


@rule("6.1.28")
def _translation(advisory: Advisory, found: Findings) -> None:
    """Translation."""
    lang, source = advisory.document.get("lang"), advisory.document.get("source_lang")
    if lang is not None and source is not None and lang.lower() == source.lower():
        found.add((_DOCUMENT, "source_lang"), "is the document's own language")


@rule("6.1.29")
def _remediation_scope(advisory: Advisory, found: Findings) -> None:
    """Remediation without product reference."""
    for place, item in advisory.items("remediations"):
        if "group_ids" not in item and "product_ids" not in item:
            found.add(place, "must name products or groups")


@rule("6.1.30")
def _mixed_versions(advisory: Advisory, found: Findings) -> None:
    """Mixed integer and semantic versioning."""
    whole = "." not in advisory.tracking["version"]
    for place, item in listed(advisory.tracking, "revision_history", _TRACKING):
        if ("." not in item["number"]) != whole:
            found.add((place, "number"), "is not of the same kind of versioning as the document's version")


@rule("6.1.31")
def _range_in_version(advisory: Advisory, found: Findings) -> None:
    """Version range in product version."""
    for place, branch, _ in advisory.branches():
        name = branch["name"].lower()
        if branch["category"] == "product_version" and (
            any(sign in name for sign in RANGE_SIGNS) or RANGE_WORDS & set(name.split())
        ):
            found.add((place, "name"), f"{quote(branch['name'])} is a range, not one version")


@rule("6.1.32")
def _flag_scope(advisory: Advisory, found: Findings) -> None:
    """Flag without product reference."""
    for place, item in advisory.items("flags"):
        if "group_ids" not in item and "product_ids" not in item:
            found.add(place, "must name products or groups")


@rule("6.1.33")
def _flags_twice(advisory: Advisory, found: Findings) -> None:
    """Multiple flags with VEX justification codes per product (all labels are such codes)."""
    for base, vulnerability in advisory.vulnerabilities():
        seen: set[str] = set()
        for place, item in listed(vulnerability, "flags", base):
            products = advisory.scope(item)
            for product in sorted(products & seen):
                found.add(place, f"{quote(product)} has another flag")
            seen |= products
