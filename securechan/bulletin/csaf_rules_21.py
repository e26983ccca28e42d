"""The mandatory tests that CSAF 2.1 adds: §6.1.34 to §6.1.61.
Those of its profiles are in `csaf_profiles`.

Left to the structure: 6.1.37 (times), 6.1.46 (SSVC) and 6.1.60.1 (extensions), which `csaf` runs. Not judged, because
they need lists that others keep and change: 6.1.48 (SSVC decision points), 6.1.60.2 and 6.1.60.3 (schemas of
extensions), and of 6.1.55 whether an identifier is in the SPDX list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from securechan.bulletin.advisory import Advisory, Instant, Item, instant, listed
from securechan.bulletin.csaf_profiles import VERSIONS, titled
from securechan.bulletin.csaf_rules import CVSS, Rule, rule_book
from securechan.bulletin.findings import Findings, Place, quote
from securechan.bulletin.notations import license_fault, range_fault

RULES: Final[list[tuple[str, Rule]]] = []
rule = rule_book(RULES)

_DOCUMENT: Final[Place] = (None, "document")
_DISTRIBUTION: Final[Place] = (_DOCUMENT, "distribution")
_MAX_UUID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"


# ------------------------------------------------------------------------------------------ branches and remediations


@rule("6.1.34")
def _depth(advisory: Advisory, found: Findings) -> None:
    """Branches recursion depth."""
    for place, branch, above in advisory.branches():
        if "product" in branch and len(above) + 1 > 30:
            found.add(place, "lies under more than 30 branches")


_EXCLUDE: Final = {  # §3.2.4.11, first table
    frozenset(pair.split())
    for pair in [
        "workaround optional_patch",
        "workaround none_available",
        "mitigation optional_patch",
        "mitigation none_available",
        "vendor_fix optional_patch",
        "vendor_fix none_available",
        "vendor_fix fix_planned",
        "vendor_fix no_fix_planned",
        "optional_patch none_available",
        "optional_patch fix_planned",
        "optional_patch no_fix_planned",
        "none_available fix_planned",
        "none_available no_fix_planned",
        "fix_planned no_fix_planned",
    ]
}
_STATUS_EXCLUDES: Final = {  # second table
    "affected": {"optional_patch"},
    "not affected": {"workaround", "mitigation", "vendor_fix", "none_available"},
    "fixed": {"workaround", "mitigation", "vendor_fix", "none_available", "fix_planned", "no_fix_planned"},
}


@rule("6.1.35")
def _contradicting_remediations(advisory: Advisory, found: Findings) -> None:
    """Contradicting remediations."""
    for base, vulnerability in advisory.vulnerabilities():
        given: dict[str, set[str]] = {}
        for place, item in listed(vulnerability, "remediations", base):
            category = item["category"]
            for product in sorted(advisory.scope(item)):
                others = given.setdefault(product, set())
                for other in sorted(others):
                    if frozenset((other, category)) in _EXCLUDE:
                        found.add(place, f"{category} contradicts {other} for {quote(product)}")
                others.add(category)


@rule("6.1.36")
def _contradicting_combination(advisory: Advisory, found: Findings) -> None:
    """Contradicting product status remediation combination.

    Not for the deprecated profile, which exists for advisories converted from 2.0: there vendors name the fix with the
    fixed product, and OASIS's own examples of the profile do.
    """
    if advisory.category == "csaf_deprecated_security_advisory":
        return
    for base, vulnerability in advisory.vulnerabilities():
        status = advisory.status(vulnerability)
        for place, item in listed(vulnerability, "remediations", base):
            for product in sorted(advisory.scope(item)):
                for said in sorted(status.get(product, ())):
                    if item["category"] in _STATUS_EXCLUDES.get(said, ()):
                        found.add(place, f"{item['category']} is for {quote(product)}, which is {said}")


@rule("6.1.57")
def _stacked(advisory: Advisory, found: Findings) -> None:
    """Stacked branch categories."""
    for place, branch, above in advisory.branches():
        if "product" not in branch:
            continue
        path = [one["category"] for one in (*above, branch) if one["category"] != "product_family"]
        for category in sorted({one for one in path if path.count(one) > 1}):
            found.add(place, f"the category {category} stands more than once on its path")


@rule("6.1.58")
def _version_and_range(advisory: Advisory, found: Findings) -> None:
    """Use of product_version in one path with product_version_range."""
    for place, branch, above in advisory.branches():
        if "product" in branch and {one["category"] for one in (*above, branch)} >= VERSIONS:
            found.add(place, "both product_version and product_version_range stand on its path")


@rule("6.1.50")
def _range_rules(advisory: Advisory, found: Findings) -> None:
    """Product version range rules."""
    for place, name in _ranges(advisory):
        if fault := range_fault(name):
            found.add(place, f"{quote(name)} is no version range: {fault}")


@rule("6.1.59")
def _single_version(advisory: Advisory, found: Findings) -> None:
    """Single version as product version range."""
    for place, name in _ranges(advisory):
        constraint = name.partition("/")[2] if name.startswith("vers:") else name
        if re.fullmatch(r"=?[^\s|<>=!*]+", constraint):
            found.add(place, f"{quote(name)} is a single version")


def _ranges(advisory: Advisory) -> Iterator[tuple[Place, str]]:
    for place, branch, _ in advisory.branches():
        if branch["category"] == "product_version_range":
            yield (place, "name"), branch["name"]


# --------------------------------------------------------------------------------------------------------- distribution


def _sharing(advisory: Advisory) -> tuple[Item | None, str]:
    distribution = advisory.document["distribution"]
    return distribution.get("sharing_group"), str(distribution["tlp"]["label"])


@rule("6.1.38")
def _max_uuid(advisory: Advisory, found: Findings) -> None:
    """Non-public sharing group with Max UUID."""
    group, label = _sharing(advisory)
    if group is not None and group["id"] == _MAX_UUID and label != "CLEAR":
        found.add(((_DISTRIBUTION, "sharing_group"), "id"), f"the Max UUID means public, but the label is {label}")


@rule("6.1.39")
def _public_group(advisory: Advisory, found: Findings) -> None:
    """Public sharing group with no Max UUID."""
    group, label = _sharing(advisory)
    if group is None or label != "CLEAR" or group["id"] == _MAX_UUID:
        return
    if group["id"] != _NIL_UUID or advisory.tracking["status"] != "draft":
        found.add(((_DISTRIBUTION, "sharing_group"), "id"), "a document for everyone has the Max UUID or no group")


_RESERVED: Final = {"Public": _MAX_UUID, "No sharing allowed": _NIL_UUID}


@rule("6.1.40")
def _group_name(advisory: Advisory, found: Findings) -> None:
    """Invalid sharing group name."""
    group, _ = _sharing(advisory)
    name = group.get("name") if group else None
    if group is not None and name in _RESERVED and group["id"] != _RESERVED[name]:
        found.add(((_DISTRIBUTION, "sharing_group"), "name"), f"{quote(name)} is reserved for {_RESERVED[name]}")


@rule("6.1.41")
def _no_group_name(advisory: Advisory, found: Findings) -> None:
    """Missing sharing group name."""
    group, _ = _sharing(advisory)
    for name, identifier in _RESERVED.items():
        if group is not None and group["id"] == identifier and group.get("name") != name:
            found.add((_DISTRIBUTION, "sharing_group"), f"the name must be '{name}' with this id")


# ---------------------------------------------------------------------------------------------------------- identifiers


@rule("6.1.42")
def _purl_qualifiers(advisory: Advisory, found: Findings) -> None:
    """PURL qualifiers."""
    for place, purls in advisory.purls():
        if len({re.sub(r"\?[^#]*", "", purl) for purl in purls}) > 1:
            found.add(place, "the package URLs differ in more than their qualifiers")


_STAR: Final = re.compile(r"(?<!\\)(?:\\\\)*\*")


def _stars(advisory: Advisory, found: Findings, name: str) -> None:
    for place, helper in advisory.helpers():
        for index, number in enumerate(helper.get(name, ())):
            if len(_STAR.findall(number)) > 1:
                found.add(((place, name), index), f"{quote(number)} has more than one unescaped star")


@rule("6.1.43")
def _model_stars(advisory: Advisory, found: Findings) -> None:
    """Use of multiple stars in model number."""
    _stars(advisory, found, "model_numbers")


@rule("6.1.44")
def _serial_stars(advisory: Advisory, found: Findings) -> None:
    """Use of multiple stars in serial number."""
    _stars(advisory, found, "serial_numbers")


@rule("6.1.61")
def _sku_stars(advisory: Advisory, found: Findings) -> None:
    """Use of multiple stars in SKU."""
    _stars(advisory, found, "skus")


# ---------------------------------------------------------------------------------------------------------------- dates


def _not_later(advisory: Advisory, found: Findings, place: Place, text: Any) -> None:
    """A released document can't know of times after its newest revision."""
    newest = advisory.newest
    stated = instant(text) if isinstance(text, str) else None
    if advisory.tracking["status"] != "draft" and stated is not None and newest is not None and stated > newest:
        found.add(place, "is later than the newest revision of the document")


@rule("6.1.45")
def _disclosure(advisory: Advisory, found: Findings) -> None:
    """Inconsistent disclosure date."""
    if _sharing(advisory)[1] == "CLEAR":
        for place, item in advisory.vulnerabilities():
            _not_later(advisory, found, (place, "disclosure_date"), item.get("disclosure_date"))


@rule("6.1.49")
def _ssvc_time(advisory: Advisory, found: Findings) -> None:
    """Inconsistent SSVC timestamp."""
    for place, ssvc, _ in _ssvc(advisory):
        _not_later(advisory, found, (place, "timestamp"), ssvc.get("timestamp"))


@rule("6.1.51")
def _epss_time(advisory: Advisory, found: Findings) -> None:
    """Inconsistent EPSS timestamp."""
    for place, content, _ in advisory.contents():
        if "epss" in content:
            _not_later(advisory, found, ((place, "epss"), "timestamp"), content["epss"]["timestamp"])


@rule("6.1.52")
def _exploitation_dates(advisory: Advisory, found: Findings) -> None:
    """Inconsistent first known exploitation dates."""
    for place, item in advisory.items("first_known_exploitation_dates"):
        for name in ("date", "exploitation_date"):
            _not_later(advisory, found, (place, name), item[name])


@rule("6.1.53")
def _exploitation_order(advisory: Advisory, found: Findings) -> None:
    """Inconsistent exploitation date."""
    for place, item in advisory.items("first_known_exploitation_dates"):
        never = Instant(0, "")
        if (instant(item["exploitation_date"]) or never) > (instant(item["date"]) or never):
            found.add((place, "exploitation_date"), "is later than the date on which it was known")


# ------------------------------------------------------------------------------------------------------ SSVC, severity


def _ssvc(advisory: Advisory) -> Iterator[tuple[Place, Item, Item]]:
    """SSVC objects (their own structure isn't checked yet) with the vulnerability they belong to."""
    for base, vulnerability in advisory.vulnerabilities():
        for place, content, _ in advisory.contents_of(base, vulnerability):
            if isinstance(content.get("ssvc_v2"), dict):
                yield (place, "ssvc_v2"), content["ssvc_v2"], vulnerability


@rule("6.1.47")
def _ssvc_targets(advisory: Advisory, found: Findings) -> None:
    """Inconsistent SSVC target ids."""
    alone = len(advisory.root["vulnerabilities"]) == 1 if "vulnerabilities" in advisory.root else False
    for place, ssvc, vulnerability in _ssvc(advisory):
        known = {vulnerability.get("cve"), *(one["text"] for one in vulnerability.get("ids", ()))}
        targets = ssvc.get("target_ids")
        for index, target in enumerate(targets if isinstance(targets, list) else ()):
            own = target == advisory.tracking["id"]
            if isinstance(target, str) and (target not in known or (own and not alone)):
                found.add(((place, "target_ids"), index), f"{quote(target)} isn't an identifier of this vulnerability")


@rule("6.1.56")
def _rating_and_score(advisory: Advisory, found: Findings) -> None:
    """Use of CVSS and qualitative severity rating."""
    for base, vulnerability in advisory.vulnerabilities():
        kinds: dict[tuple[str, str], set[str]] = {}
        for place, content, item in advisory.contents_of(base, vulnerability):
            words = {"score"} if any(name in content for name in CVSS) else set[str]()
            if "qualitative_severity_rating" in content:
                words.add("rating")
            for product in item["products"]:
                said = kinds.setdefault((product, str(item.get("source", ""))), set())
                said |= words
                if len(said) > 1 and words:
                    found.add(place, f"{quote(product)} has a CVSS score and a qualitative rating of one source")


# -------------------------------------------------------------------------------------------------------------- license


@rule("6.1.54")
def _license(advisory: Advisory, found: Findings) -> None:
    """License expression."""
    expression = advisory.document.get("license_expression")
    if expression is not None and (fault := license_fault(expression)):
        found.add((_DOCUMENT, "license_expression"), f"is no SPDX license expression: {fault}")


@rule("6.1.55")
def _license_text(advisory: Advisory, found: Findings) -> None:
    """License text."""
    words = re.findall(r"(?:LicenseRef|AdditionRef)-[A-Za-z0-9.-]+", advisory.document.get("license_expression", ""))
    if advisory.english() and any(not word.split("-", 1)[1].startswith("scancode-") for word in words):
        titled(advisory, found, "License", "legal_disclaimer")


# ----------------------------------------------------------------------------------------------------------- extensions


def extensions(advisory: Advisory) -> Iterator[tuple[Place, Any]]:
    """Every list of extensions, wherever one may stand; their structure isn't checked yet."""
    holders: list[tuple[Place, Item]] = [(None, advisory.root), (_DOCUMENT, advisory.document)]
    holders.extend(advisory.products())
    holders.extend(advisory.vulnerabilities())
    holders.extend((place, content) for place, content, _ in advisory.contents())
    for place, holder in holders:
        if "x_extensions" in holder:
            yield (place, "x_extensions"), holder["x_extensions"]
