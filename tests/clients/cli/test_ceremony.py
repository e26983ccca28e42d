"""clients/cli/ceremony.py: what is missing is told in few lines, and all of it where that is asked."""

from __future__ import annotations

from typing import Any

from clients.cli.ceremony import ceremony_words, signing_words
from clients.cli.frame import Invocation, invoked

SIGNED = {"role": "targets", "version": 2, "by": "root 1", "signed": ["a"], "needed": 1, "missing": 0}
OPEN = {"role": "root", "version": 2, "by": "root 2", "signed": [], "needed": 2, "missing": 2}
PAPERS = [{**SIGNED, "role": role, "version": 1, "by": "targets 2"} for role in ("cert-hr", "cert-hr-roster")]
TOLD: dict[str, Any] = {
    "file": "ceremony.json",
    "changes": ["+ agency cert-hr", "  of Croatia", "- relay \x1b[2Jold"],
    "signing": [OPEN, SIGNED, *PAPERS],
    "complete": False,
}


def test_what_is_missing_in_few_lines() -> None:
    assert ceremony_words(TOLD).splitlines() == [
        "ceremony   ceremony.json",
        "holds      2 changes in root 2, targets 2 and 2 documents of agencies (each of them: --verbose)",
        "signed     root 2: 0 of 2 key holders named in it, 2 more to sign",
        "next       each holder: securechan root sign ceremony.json --key FILE",
    ]


def test_all_of_it_where_that_is_asked_and_nothing_acts_on_the_terminal() -> None:
    with invoked(Invocation(verbose=True)):
        said = ceremony_words(TOLD)
    assert "  + agency cert-hr\n" in said
    assert "signed     targets 2: 1 of 1 key holders named in root 1\n" in said
    assert "\x1b" not in said


def test_what_all_have_signed_is_published_and_none_needs_a_relay() -> None:
    assert signing_words({**TOLD, "signing": [SIGNED], "complete": True}) == [
        "signed     by all who must",
        "next       securechan root publish",
    ]
    assert "add-relay" in ceremony_words(None)
