"""What a CSAF document of a profile must have and must not have: the mandatory tests §6.1.26 and §6.1.27.

A document's category says which profile it claims; a test that names profiles is run for these alone. `RULES` are the
tests that both versions share, `RULES_21` those that 2.1 adds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

from securechan.bulletin.advisory import Advisory, Item, listed
from securechan.bulletin.csaf_rules import Rule, rule_book
from securechan.bulletin.csaf_tables import PROFILES_20, PROFILES_21
from securechan.bulletin.findings import Findings, Place, quote

RULES: Final[list[tuple[str, Rule]]] = []
RULES_21: Final[list[tuple[str, Rule]]] = []
rule = rule_book(RULES)
rule_21 = rule_book(RULES_21)

_DOCUMENT: Final[Place] = (None, "document")

_INFORMATIONAL: Final = "csaf_informational_advisory"
_INCIDENT: Final = "csaf_security_incident_response"
_SECURITY: Final = "csaf_security_advisory"
_DEPRECATED: Final = "csaf_deprecated_security_advisory"
_VEX: Final = "csaf_vex"
_WITHDRAWN: Final = "csaf_withdrawn"
_SUPERSEDED: Final = "csaf_superseded"
_GONE: Final = (_WITHDRAWN, _SUPERSEDED)
VERSIONS: Final = frozenset({"product_version", "product_version_range"})

_JOINTS: Final = frozenset({"Pd", "Pc", "Zs", "Cc"})  # dashes, underscores, blanks of any script
_MORE_JOINTS: Final = frozenset("\u2212\u00ad\u0332")  # minus sign, soft hyphen, combining low line


def _squeezed(text: str) -> str:
    """Lower case, without blanks, dashes and underscores."""
    return "".join(
        sign for sign in text.lower() if unicodedata.category(sign) not in _JOINTS and sign not in _MORE_JOINTS
    )


@rule("6.1.26")
def _prohibited_category(advisory: Advisory, found: Findings) -> None:
    """Prohibited document category name: what looks like a profile and isn't one."""
    profiles = PROFILES_20 if advisory.csaf == "2.0" else PROFILES_21
    category = advisory.category
    if category in profiles or category == "csaf_base":
        return
    taken = {_squeezed(word) for pair in profiles.items() for word in pair}
    if _squeezed(category) in taken or category.lower().startswith("csaf_"):
        found.add((_DOCUMENT, "category"), f"{quote(category)} is reserved for a profile and isn't its name")


@rule("6.1.27.1", _INFORMATIONAL, _INCIDENT)
def _notes(advisory: Advisory, found: Findings) -> None:
    """Document notes."""
    if not any(
        note["category"] in ("description", "details", "general", "summary") for note in _document(advisory, "notes")
    ):
        found.add(_DOCUMENT, "a note of category description, details, general or summary is needed")


@rule("6.1.27.2", _INFORMATIONAL, _INCIDENT)
def _references(advisory: Advisory, found: Findings) -> None:
    """Document references; a reference without category is external."""
    if not any(item.get("category", "external") == "external" for item in _document(advisory, "references")):
        found.add(_DOCUMENT, "an external reference is needed")


def _document(advisory: Advisory, name: str) -> Iterator[Item]:
    return (item for _, item in listed(advisory.document, name, _DOCUMENT))


@rule("6.1.27.3", _INFORMATIONAL, *_GONE)
def _no_vulnerabilities(advisory: Advisory, found: Findings) -> None:
    """Vulnerabilities (of documents that mustn't have any)."""
    if "vulnerabilities" in advisory.root:
        found.add((None, "vulnerabilities"), f"a document of category {advisory.category} has none")


@rule("6.1.27.4", _SECURITY, _VEX, _DEPRECATED)
def _product_tree(advisory: Advisory, found: Findings) -> None:
    """Product tree."""
    if "product_tree" not in advisory.root:
        found.add(None, f"a document of category {advisory.category} needs a product_tree")


@rule("6.1.27.5", _SECURITY, _VEX, _DEPRECATED)
def _vulnerability_notes(advisory: Advisory, found: Findings) -> None:
    """Vulnerability notes."""
    for place, item in advisory.vulnerabilities():
        if "notes" not in item:
            found.add(place, "notes are needed")


@rule("6.1.27.6", _SECURITY, _DEPRECATED)
def _product_status(advisory: Advisory, found: Findings) -> None:
    """Product status."""
    for place, item in advisory.vulnerabilities():
        if "product_status" not in item:
            found.add(place, "product_status is needed")


@rule("6.1.27.7", _VEX)
def _vex_status(advisory: Advisory, found: Findings) -> None:
    """VEX product status."""
    words = ("fixed", "known_affected", "known_not_affected", "under_investigation")
    for place, item in advisory.vulnerabilities():
        if not any(word in item.get("product_status", {}) for word in words):
            found.add((place, "product_status"), f"one of {', '.join(words)} is needed")


@rule("6.1.27.8", _VEX)
def _vulnerability_id(advisory: Advisory, found: Findings) -> None:
    """Vulnerability id (2.1: one that applies to every product)."""
    for place, item in advisory.vulnerabilities():
        if "cve" in item:
            continue
        ids = item.get("ids", [])
        if not ids:
            found.add(place, "a cve or ids is needed")
        elif advisory.csaf != "2.0" and all("group_ids" in one or "product_ids" in one for one in ids):
            covered = set().union(*(advisory.scope(one) for one in ids))
            for product in sorted(
                {name for names in item.get("product_status", {}).values() for name in names} - covered
            ):
                found.add((place, "ids"), f"no identifier applies to {quote(product)}")


def _statement(advisory: Advisory, found: Findings, group: str, kinds: tuple[str, ...], what: str) -> None:
    for place, item in advisory.vulnerabilities():
        covered: set[str] = set()
        for kind in kinds:
            for _, one in listed(item, kind, place):
                if kind != "threats" or one["category"] == "impact":
                    covered |= advisory.scope(one)
        for product in item.get("product_status", {}).get(group, ()):
            if product not in covered:
                found.add(((place, "product_status"), group), f"{quote(product)} has no {what}")


@rule("6.1.27.9", _VEX)
def _impact(advisory: Advisory, found: Findings) -> None:
    """Impact statement."""
    _statement(advisory, found, "known_not_affected", ("flags", "threats"), "impact statement (a flag or a threat)")


@rule("6.1.27.10", _VEX)
def _action(advisory: Advisory, found: Findings) -> None:
    """Action statement."""
    _statement(advisory, found, "known_affected", ("remediations",), "action statement (a remediation)")


@rule("6.1.27.11", _SECURITY, _VEX, _DEPRECATED)
def _some_vulnerabilities(advisory: Advisory, found: Findings) -> None:
    """Vulnerabilities."""
    if "vulnerabilities" not in advisory.root:
        found.add(None, f"a document of category {advisory.category} needs vulnerabilities")


# ------------------------------------------------------------------------------------------------------- added by 2.1


@rule_21("6.1.27.12", _SECURITY)
def _affected(advisory: Advisory, found: Findings) -> None:
    """Affected products."""
    for place, item in advisory.vulnerabilities():
        if "known_affected" not in item.get("product_status", {}):
            found.add((place, "product_status"), "known_affected is needed")


@rule_21("6.1.27.13", _SECURITY)
def _corresponding(advisory: Advisory, found: Findings) -> None:
    """Corresponding affected products: what was fixed was affected in some version.

    Versions of one product share the branches above, but for those that name a version. A product listed without
    branches says nothing of itself, so any affected product may be its counterpart.
    """
    families = _families(advisory)
    for place, item in advisory.vulnerabilities():
        status = item.get("product_status", {})
        affected = {
            families.get(name)
            for group in ("first_affected", "known_affected", "last_affected")
            for name in status.get(group, ())
        }
        for product in status.get("fixed", ()):
            family = families.get(product)
            if not affected or (family is not None and not affected & {family, None}):
                found.add(((place, "product_status"), "fixed"), f"no affected version corresponds to {quote(product)}")


def _families(advisory: Advisory) -> dict[str, object]:
    families: dict[str, object] = {}
    for _, branch, above in advisory.branches():
        if "product" in branch:
            names = tuple(one["name"] for one in (*above, branch) if one["category"] not in VERSIONS)
            families[branch["product"]["product_id"]] = names
    for _, path in advisory.compounds():
        parts: list[object] = [families.get(path["beginning_product_reference"])]
        for step in path["subpaths"]:
            if step["category"] == "installed_with":
                break
            parts += [step["category"], step["next_product_reference"]]
        name = path["full_product_name"]["product_id"]
        families[name] = parts[0] if len(parts) == 1 else None if parts[0] is None else tuple(parts)
    return {name: family for name, family in families.items() if family is not None}


@rule_21("6.1.27.14", _WITHDRAWN, _SUPERSEDED)
def _description(advisory: Advisory, found: Findings) -> None:
    """Document notes."""
    if not any(note["category"] == "description" for note in advisory.document.get("notes", ())):
        found.add(_DOCUMENT, "a note of category description is needed")


@rule_21("6.1.27.15", _WITHDRAWN, _SUPERSEDED)
def _no_tree(advisory: Advisory, found: Findings) -> None:
    """Product tree."""
    if "product_tree" in advisory.root:
        found.add((None, "product_tree"), f"a document of category {advisory.category} has none")


@rule_21("6.1.27.16", _WITHDRAWN, _SUPERSEDED)
def _two_revisions(advisory: Advisory, found: Findings) -> None:
    """Revision history."""
    if len(advisory.tracking["revision_history"]) < 2:
        found.add(((_DOCUMENT, "tracking"), "revision_history"), "at least two revisions are needed")


def titled(advisory: Advisory, found: Findings, title: str, category: str) -> None:
    """Find it wrong unless there is one note of that title, and it is of that category."""
    notes = [note for note in advisory.document.get("notes", ()) if note.get("title") == title]
    if len(notes) != 1:
        found.add((_DOCUMENT, "notes"), f"exactly one note titled '{title}' is needed, there are {len(notes)}")
    elif notes[0]["category"] != category:
        found.add((_DOCUMENT, "notes"), f"the note '{title}' must be of category {category}")


@rule_21("6.1.27.17", _WITHDRAWN)
def _withdrawal(advisory: Advisory, found: Findings) -> None:
    """Reasoning for withdrawal."""
    if advisory.english():
        titled(advisory, found, "Reasoning for Withdrawal", "description")


@rule_21("6.1.27.18", _SUPERSEDED)
def _supersession(advisory: Advisory, found: Findings) -> None:
    """Reasoning for supersession."""
    if advisory.english():
        titled(advisory, found, "Reasoning for Supersession", "description")


@rule_21("6.1.27.19", _SUPERSEDED)
def _superseding(advisory: Advisory, found: Findings) -> None:
    """Reference to superseding document."""
    references = advisory.document.get("references", ())
    if advisory.english() and not any(
        item["summary"].startswith("Superseding Document") and item.get("category") == "external" for item in references
    ):
        found.add((_DOCUMENT, "references"), "an external reference 'Superseding Document …' is needed")
