"""A small sound advisory of each version, and a way to break it in one place and be told."""

from __future__ import annotations

import copy
import json
from typing import Any

from securechan.bulletin import csaf
from tests.bulletin.files import DEMO, refusal, whats

A, B, C = "P-1", "P-2", "P-3"


def sound(version: str) -> dict[str, Any]:
    """A csaf_base document with three products, a group, and one vulnerability."""
    document: dict[str, Any] = {
        "document": {
            "category": "csaf_base",
            "csaf_version": version,
            "lang": "en",
            "publisher": {"category": "coordinator", "name": "n", "namespace": "https://example.org"},
            "title": "t",
            "tracking": {
                "current_release_date": "2026-01-02T00:00:00Z",
                "id": "X-1",
                "initial_release_date": "2026-01-01T00:00:00Z",
                "revision_history": [
                    {"date": "2026-01-01T00:00:00Z", "number": "1", "summary": "s"},
                    {"date": "2026-01-02T00:00:00Z", "number": "2", "summary": "s"},
                ],
                "status": "final",
                "version": "2",
            },
        },
        "product_tree": {
            "full_product_names": [{"name": name, "product_id": name} for name in (A, B, C)],
            "product_groups": [{"group_id": "G", "product_ids": [A, B]}],
        },
        "vulnerabilities": [{"cve": "CVE-2026-0001", "product_status": {"known_affected": [A, B], "fixed": [C]}}],
    }
    if version == "2.1":
        document["$schema"] = "https://docs.oasis-open.org/csaf/csaf/v2.1/schema/csaf.json"
        document["document"]["distribution"] = {"tlp": {"label": "GREEN"}}
    return document


def demo(name: str) -> dict[str, Any]:
    """One of the demo's own advisories."""
    value: dict[str, Any] = json.loads((DEMO / name).read_bytes())
    return value


class _Gone:
    """A property that is left out."""

    def __repr__(self) -> str:
        return "GONE"


GONE = _Gone()


def change(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with other values at some places, written ``a/0/b``; ``GONE`` takes away; ``-`` appends to a list."""
    result = copy.deepcopy(document)
    for path, value in changes.items():
        *steps, last = path.split("/")
        at: Any = result
        for step in steps:
            at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
        if value is GONE:
            del at[int(last) if isinstance(at, list) else last]
        elif last == "-":
            at.append(value)
        else:
            at[int(last) if isinstance(at, list) else last] = value
    return result


def found_in(number: str, versions: tuple[str, ...], changes: dict[str, Any]) -> None:
    """The sound advisory, so changed, is refused by the test of that number, in each of these versions."""
    for version in versions:
        error = refusal(csaf.check, change(sound(version), changes))
        assert error is not None, version
        assert any(item.what.startswith(f"{number}: ") for item in error.findings), whats(error)
