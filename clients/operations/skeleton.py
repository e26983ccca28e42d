"""Documents to begin with: valid as they are, to be filled in with an editor."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any


def skeleton(kind: str, title: str) -> str:
    """A document of a kind (``stix``, ``csaf``, ``text``) with this title. Raises ValueError for another kind."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    match kind:
        case "stix":
            return _json(_stix(title, now))
        case "csaf":
            return _json(_csaf(title, now))
        case "text":
            return f"{title}\n\nTLP:AMBER\n\n"
        case _:
            raise ValueError(f"{kind!r} is no kind of document: use stix, csaf or text")


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _stix(title: str, now: str) -> dict[str, Any]:
    def made(what: str, **fields: Any) -> dict[str, Any]:
        return {
            "type": what,
            "spec_version": "2.1",
            "id": f"{what}--{uuid.uuid4()}",
            "created": now,
            "modified": now,
        } | fields

    issuer = made("identity", name="Your agency", identity_class="organization")
    indicator = made(
        "indicator",
        name=title,
        description="What this is about",
        created_by_ref=issuer["id"],
        pattern="[domain-name:value = 'malicious.example']",
        pattern_type="stix",
        valid_from=now,
    )
    return {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": [issuer, indicator]}


def _csaf(title: str, now: str) -> dict[str, Any]:
    return {
        "document": {
            "category": "csaf_security_advisory",
            "csaf_version": "2.0",
            "distribution": {"tlp": {"label": "AMBER"}},
            "lang": "en",
            "notes": [{"category": "summary", "text": "What this is about", "title": "Summary"}],
            "publisher": {"category": "coordinator", "name": "Your agency", "namespace": "https://agency.example"},
            "title": title,
            "tracking": {
                "current_release_date": now,
                "id": f"DRAFT-{now[:4]}-0001",
                "initial_release_date": now,
                "revision_history": [{"date": now, "number": "1", "summary": "First version"}],
                "status": "final",
                "version": "1",
            },
            "references": [{"category": "external", "summary": "More", "url": "https://agency.example/more"}],
        },
        "product_tree": {"full_product_names": [{"name": "A product", "product_id": "P1"}]},
        "vulnerabilities": [
            {
                "cve": "CVE-2024-0000",
                "notes": [{"category": "description", "text": "What is wrong"}],
                "product_status": {"known_affected": ["P1"]},
            }
        ],
    }
