"""clients/cli/bulletin.py: the desk's words, and documents that are refused with where and what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.cli.bulletin import _shown
from clients.operations.skeleton import skeleton
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import run


@pytest.fixture
def csaf(tmp_path: Path) -> str:
    path = tmp_path / "advisory.json"
    path.write_text(skeleton("csaf", "See http://evil.example"))
    return str(path)


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


def test_published_listed_shown_acknowledged(town: Town, csaf: str, tmp_path: Path) -> None:
    name = town.community()
    said = town.hr.run("bulletin", "publish", csaf, "--to", name, "--ack-by", "4h")
    assert said.out.startswith("published  SC-20")
    assert " to 2 agencies (" in said.out
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
    file = tmp_path / "out.scb"
    exported = town.si.run("bulletin", "export", bulletin, "-o", str(file))
    root = exported.out.split("--root-id ")[1].strip()
    again = town.si.run("bulletin", "export", bulletin, "-o", str(file))
    assert again.code == 12
    assert "--force" in again.err
    assert town.si.run("bulletin", "export", bulletin, "-o", str(file), "--force").code == 0
    kept = tmp_path / "kept"
    kept.write_bytes(b"precious")
    words = ["--home", str(tmp_path / "none"), "bulletin", "verify", str(file), "--root-id", root, "-o", str(kept)]
    assert run(*words).code == 12
    assert town.si.run("bulletin", "show", bulletin, "--raw", "-o", str(kept)).code == 12
    assert kept.read_bytes() == b"precious"
    verified = run(*words, "--force")
    assert kept.read_bytes() == Path(csaf).read_bytes()
    assert verified.code == 0
    assert verified.out.startswith(f"good       {bulletin} rev 1")
    assert town.si.run("bulletin", "verify", str(file)).code == 0
    assert run("bulletin", "verify", str(file), "--root-id", "00" * 48).code == 4
    assert run("bulletin", "verify", str(file), "--root-id", "xyz").code == 2
    whole = file.read_bytes()
    middle, document = len(whole) // 2, Path(csaf).read_bytes()
    for broken, code in (
        (whole[:-7], 6),
        (whole[:middle], 6),
        (whole.replace(document, document[:-9] + b" " * 9), 6),
        (whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:], 4),
    ):
        file.write_bytes(broken)
        assert run("bulletin", "verify", str(file), "--root-id", root).code == code
    file.write_bytes(whole[:-7])
    cut = run("bulletin", "verify", str(file), "--root-id", root).err
    assert "damaged, cut or altered" in cut
    assert "hint: fetch it again" in cut
    file.write_bytes(b"x" + whole)
    assert run("bulletin", "verify", str(file), "--root-id", root).code == 11


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


def test_who_has_no_profile_is_told_to_name_the_federation(person: Person, tmp_path: Path) -> None:
    (tmp_path / "export.scb").write_bytes(b"x")
    said = person.run("bulletin", "verify", str(tmp_path / "export.scb"))
    assert said.code == 8
    assert "--root-id" in said.err


def test_a_forward_tells_when_it_was_issued_and_when_it_was_brought() -> None:
    told = ("bulletin", "revision", "status", "title", "tlp", "media_type", "name", "signer", "consent_by")
    data: dict[str, Any] = dict.fromkeys((*told, "exercise", "ack_by"), "") | {
        "issuer": "cert-hr",
        "device": "cert-hr/desk",
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
