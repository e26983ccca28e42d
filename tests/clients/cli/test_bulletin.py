"""clients/cli/bulletin.py: the desk's words, and documents that are refused with where and what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.cli.bulletin import _shown
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import run


def test_validation_needs_no_profile(csaf: str, tmp_path: Path) -> None:
    home = ["--home", str(tmp_path / "none"), "--no-input"]
    good = run(*home, "bulletin", "validate", csaf)
    assert good.code == 0
    assert good.out.startswith("valid  application/csaf+json")
    assert "hxxp://evil[.]example" in good.out
    assert run(*home, "--json", "bulletin", "validate", csaf).data["tlp_floor"] == "amber"
    assert run(*home, "bulletin", "validate", "-", stdin=b"plain text").code == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"type": "bundle", "id": "bundle--1", "objects": []}',
        b'{"document": {"csaf_version": "2.0"}}',
        b'{"type": "indicator", "spec_version": "2.1", "id": "indicator--x"}',
    ],
)
def test_what_is_wrong_and_where(content: bytes) -> None:
    said = run("--json", "bulletin", "validate", "-", stdin=content)
    assert said.code == 11
    assert said.error["code"] == "validation-failed"
    assert all(finding["what"] for finding in said.error["findings"])
    people = run("bulletin", "validate", "-", stdin=content)
    assert people.code == 11
    assert people.err.startswith("error: ")


def test_a_draft_is_valid_as_it_is(tmp_path: Path) -> None:
    for kind in ("stix", "csaf", "text"):
        path = tmp_path / kind
        assert run("bulletin", "draft", kind, "--title", "A title", "-o", str(path)).code == 0
        assert run("bulletin", "validate", str(path)).code == 0
    assert json.loads(run("bulletin", "draft", "stix").out)["type"] == "bundle"
    assert run("--json", "bulletin", "draft", "csaf").data["kind"] == "csaf"
    assert run("bulletin", "draft", "pdf").code == 2
    (tmp_path / "text").write_bytes(b"filled in")
    assert run("bulletin", "draft", "text", "-o", str(tmp_path / "text")).code == 12
    assert (tmp_path / "text").read_bytes() == b"filled in"


def test_published_listed_shown_acknowledged(town: Town, csaf: str) -> None:
    name = town.community()
    said = town.hr.run("bulletin", "publish", csaf, "--to", name, "--ack-by", "4h")
    assert said.out.startswith("published  SC-20")
    there = {each["device"] for each in town.hr.json("conversation", "show", name)["devices"]} - {"cert-hr/desk"}
    agencies = " and ".join(sorted({each.partition("/")[0] for each in there}))
    assert f" to {agencies} (" in said.out
    bulletin = said.out.split()[1]
    town.si.run("sync")
    listed = town.si.run("bulletin", "ls", name).out
    assert "acknowledge by 20" in listed
    shown = town.si.run("bulletin", "show", bulletin).out
    assert "label      tlp:amber" in shown
    assert "hxxp://evil[.]example" in shown
    assert "http://evil.example" not in shown
    raw = town.si.run("bulletin", "show", bulletin, "--raw").out
    assert raw == Path(csaf).read_text()
    assert town.si.run("bulletin", "ack", bulletin).out.startswith(f"acknowledged  {bulletin} rev 1 of cert-hr")
    acks = town.hr.run("bulletin", "acks", bulletin).out
    assert "1 acknowledged" in acks


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["publish", "/no/such/file", "--to", "x"], 9),
        (["publish", "-", "--to", "nowhere", "--tlp", "green"], 9),
        (["publish", "-"], 2),
        (["publish", "-", "--to", "x", "--ack-by", "soon"], 2),
        (["show", "SC-1999-0001"], 9),
        (["ls", "nowhere"], 9),
        (["withdraw", "SC-1999-0001", "--reason", "x"], 2),
        (["withdraw", "SC-1999-0001", "--reason", "x", "--yes"], 9),
    ],
)
def test_faults_have_their_exit_codes(town: Town, words: list[str], code: int) -> None:
    said = town.hr.run("bulletin", *words, stdin=b"some text")
    assert said.code == code, said


def test_a_forward_tells_when_it_was_issued_and_when_it_was_brought() -> None:
    told = ("bulletin", "revision", "status", "title", "tlp", "media_type", "name", "signer", "consent_by")
    data: dict[str, Any] = dict.fromkeys((*told, "exercise", "ack_by"), "") | {
        "issuer": "cert-hr",
        "device": "cert-hr/desk",
        "superseded": False,
        "lapsed": False,
        "forwarded_by": "cert-si/desk",
        "issued": "2026-01-01T00:00:00Z",
        "time": "2026-01-02T00:00:00Z",
    }
    lines = _shown(data, b"x").splitlines()
    assert lines[1].startswith("issuer     cert-hr  by cert-hr/desk  2026-01-01T00:00:00Z")
    assert "brought by cert-si/desk  2026-01-02T00:00:00Z" in lines


def test_a_single_finding_is_said_once(person: Person, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"type":"bundle","id":"bundle--x"}')
    said = person.run("bulletin", "validate", str(tmp_path / "b.json"))
    assert said.code == 11
    assert said.err.count("is not an identifier") == 1
