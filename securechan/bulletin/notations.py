"""Small languages that advisories quote, each read as its own standard has it: package URLs, version ranges, licenses.

A function takes the text and answers what is wrong with it in words that follow the quoted text, or nothing.
"""

from __future__ import annotations

import re
from typing import Final

from securechan.bulletin.findings import quote

# --------------------------------------------------------------------------------------------------------- package URLs

_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUALIFIER: Final = re.compile(r"[A-Za-z.\-_][A-Za-z0-9.\-_]*=[^=&]*", re.ASCII)
# Types of package URL without a namespace (purl-spec, types); CSAF 2.1 demands the rules of ECMA-427
_FLAT: Final = frozenset(
    ["bitnami", "cargo", "cocoapods", "conda", "cran", "hackage", "mlflow", "nuget", "oci", "pub", "pypi"]
)


def purl_fault(purl: str, *, typed: bool = False) -> str:
    """What is wrong with a package URL (ECMA-427), empty when nothing is; ``typed`` adds the rules of known types."""
    rest, _, _ = purl.removeprefix("pkg:").partition("#")
    rest, _, qualifiers = rest.partition("?")
    kind, _, path = rest.strip("/").partition("/")
    head, separator, version = path.rpartition("@")
    named = head if separator and "/" not in version else path
    name = named.rstrip("/").rpartition("/")[2]
    if separator and named is head and head.endswith("/"):
        name = ""
    if not re.fullmatch(r"[A-Za-z.+\-][A-Za-z0-9.+\-]*", kind, re.ASCII):
        return "its type isn't valid"
    if not name:
        return "it has no name"
    if typed and kind in _FLAT and "/" in named.strip("/"):
        return f"a package of type {kind} has no namespace"
    if _ESCAPE.search(purl):
        return "a percent sign isn't followed by two hex digits"
    keys = [part.partition("=")[0].lower() for part in qualifiers.split("&")] if qualifiers else []
    if any(not _QUALIFIER.fullmatch(part) for part in qualifiers.split("&") if qualifiers):
        return "its qualifiers aren't key=value"
    return "a qualifier stands twice" if len(keys) != len(set(keys)) else ""


# ------------------------------------------------------------------------------------------------------- version ranges

_VERS: Final = re.compile(r"vers:([a-z][a-z0-9.-]*)/(.+)", re.DOTALL)
_CONSTRAINT: Final = re.compile(r"(?:>=|<=|!=|<|>)?[^\s|<>=!*]+")


def range_fault(name: str) -> str:
    """What is wrong with a version range (VERS, or its constraints alone), empty when nothing is."""
    match = _VERS.fullmatch(name)
    if match is None and name.startswith("vers:"):
        return "it isn't vers:type/constraints"
    constraints = match[2] if match else name
    if constraints == "*":
        return "" if match and match[1] == "all" else "all versions are written vers:all/*"
    if match and match[1] == "all":
        return "the type all has only the constraint *"
    parts = constraints.split("|")
    if not all(_CONSTRAINT.fullmatch(part) for part in parts):
        return "a constraint is <, <=, >, >=, != or nothing, and then a version"
    versions = [part.lstrip("<>=!") for part in parts]
    return "a version stands twice" if len(versions) != len(set(versions)) else ""


# ------------------------------------------------------------------------------------------------------------- licenses

_LICENSE: Final = re.compile(r"[A-Za-z0-9.-]+")
_TOKEN: Final = re.compile(r"\s*(\(|\)|[^\s()]+)")


def license_fault(expression: str) -> str:
    """What is wrong with an SPDX license expression (SPDX 3.0.1 annex B, no DocumentRef), empty when nothing is."""
    depth, wanted = 0, "license"  # what the next word has to be
    for part in _TOKEN.findall(expression):
        word = part.upper()
        if part == "(" and wanted == "license":
            depth += 1
        elif part == ")" and wanted in ("operator", "joined") and depth:
            depth, wanted = depth - 1, "joined"
        elif word in ("AND", "OR") and part in (word, word.lower()) and wanted in ("operator", "joined"):
            wanted = "license"
        elif word == "WITH" and part in (word, word.lower()) and wanted == "operator":
            wanted = "exception"
        elif wanted in ("license", "exception") and word not in ("AND", "OR", "WITH", "(", ")"):
            if fault := _license_id_fault(part, exception=wanted == "exception"):
                return fault
            wanted = "operator" if wanted == "license" else "joined"
        else:
            return f"{quote(part)} can't stand there"
    if depth or wanted in ("license", "exception"):
        return "it ends too early"
    return ""


def _license_id_fault(token: str, *, exception: bool) -> str:
    own = "AdditionRef-" if exception else "LicenseRef-"
    plain = token[:-1] if token.endswith("+") and not exception and not token.startswith(own) else token
    if not _LICENSE.fullmatch(plain):
        return f"{quote(token)} is not an identifier"
    lower = plain.lower()
    if lower.startswith("documentref-") or (lower.startswith(own.lower()) and not plain.startswith(own)):
        return f"{quote(token)} is not an identifier that may stand here"
    return ""
