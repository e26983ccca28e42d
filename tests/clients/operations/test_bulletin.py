"""clients/operations/bulletin.py: judged, signed, read, acknowledged, and proved to a stranger."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from clients.operations.bulletin import verify
from clients.operations.skeleton import skeleton
from securechan.bulletin.bulletin import Export
from securechan.errors import BadSignature, CannotOpen, Malformed, Untrusted
from tests.clients.conftest import Town


@pytest.fixture
def csaf(tmp_path: Path) -> str:
    path = tmp_path / "advisory.json"
    path.write_text(skeleton("csaf", "Patch now"))
    return str(path)


def publish(town: Town, csaf: str, name: str, *more: str) -> str:
    published = town.hr.json("bulletin", "publish", csaf, "--to", name, *more)
    assert (published["state"], published["revision"], published["name"]) == ("sent", 1, name)
    return str(published["bulletin"])


def test_from_publication_to_acknowledgement(town: Town, csaf: str) -> None:
    name = town.community()
    bulletin = publish(town, csaf, name, "--ack-by", "4h", "--exercise")
    town.si.json("sync")
    shown = town.si.json("bulletin", "show", bulletin)
    assert base64.b64decode(shown["content"]) == Path(csaf).read_bytes()
    assert (shown["tlp"], shown["title"], shown["issuer"]) == ("amber", "Patch now", "cert-hr")
    assert shown["exercise"]
    assert shown["due"]
    assert bulletin in [each["bulletin"] for each in town.si.json("bulletin", "ls", "--due")["bulletins"]]
    before = town.hr.json("bulletin", "acks", bulletin)["conversations"][0]
    assert [each["device"] for each in before["delivered"]] == ["cert-si/desk"]
    assert before["acknowledged"] == []
    assert not town.si.json("bulletin", "ack", bulletin)["due"]
    stale = town.hr.json("bulletin", "acks", bulletin, "--offline")
    assert (stale["fresh"], stale["conversations"][0]["acknowledged"]) == (False, [])
    after = town.hr.json("bulletin", "acks", bulletin)["conversations"][0]
    assert [each["officer"] for each in after["acknowledged"]] == ["liaison-1@cert-si"]
    assert bulletin not in [each["bulletin"] for each in town.si.json("bulletin", "ls", "--due")["bulletins"]]


def test_an_unfit_document_is_not_published(town: Town, tmp_path: Path) -> None:
    name = town.community()
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"type": "bundle", "id": "bundle--1", "objects": []}))
    said = town.hr.run("--json", "bulletin", "publish", str(bad), "--to", name, "--tlp", "green")
    assert said.code == 11
    assert said.error["findings"]
    assert town.hr.json("bulletin", "ls", name)["bulletins"] == []


def test_a_label_below_the_documents_own_or_above_the_conversations_is_denied(town: Town, csaf: str) -> None:
    name = town.community()
    for label in ("green", "amber+strict"):
        said = town.hr.run("--json", "bulletin", "publish", csaf, "--to", name, "--tlp", label)
        assert said.code == 7, said
    assert town.hr.json("bulletin", "ls", name)["bulletins"] == []


def test_a_document_without_a_label_needs_one_said(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("Be careful today.\n")
    name = town.community()
    assert town.hr.run("--json", "bulletin", "publish", str(path), "--to", name).code == 2
    assert town.hr.json("bulletin", "publish", str(path), "--to", name, "--tlp", "green")["revision"] == 1


def test_a_large_bulletin_comes_whole(town: Town, tmp_path: Path) -> None:
    name = town.community()
    text = "".join(f"indicator {n} {'x' * 50}\n" for n in range(30_000))
    path = tmp_path / "large.txt"
    path.write_text(text)
    published = town.hr.json("bulletin", "publish", str(path), "--to", name, "--tlp", "green", "--title", "Many")
    town.si.json("sync")
    shown = town.si.json("bulletin", "show", published["bulletin"])
    assert base64.b64decode(shown["content"]).decode() == text


def test_revised_and_withdrawn(town: Town, csaf: str, tmp_path: Path) -> None:
    name = town.community()
    bulletin = publish(town, csaf, name)
    better = tmp_path / "better.json"
    better.write_text(skeleton("csaf", "Patch now, really"))
    assert town.hr.json("bulletin", "revise", bulletin, str(better))["revision"] == 2
    assert town.hr.json("bulletin", "withdraw", bulletin, "--reason", "false alarm", "--yes")["revision"] == 3
    town.si.json("sync")
    (listed,) = town.si.json("bulletin", "ls", name)["bulletins"]
    assert (listed["revision"], listed["status"]) == (3, "withdrawn")
    assert (
        base64.b64decode(town.si.json("bulletin", "show", bulletin, "--revision", "2")["content"])
        == better.read_bytes()
    )
    assert base64.b64decode(town.si.json("bulletin", "show", bulletin)["content"]) == b"false alarm"
    assert town.hr.run("--json", "bulletin", "revise", bulletin, str(better)).code == 12
    assert town.si.run("--json", "bulletin", "withdraw", bulletin, "--reason", "not mine", "--yes").code == 7


def test_an_export_is_verified_without_a_profile_and_every_lie_is_caught(town: Town, csaf: str, tmp_path: Path) -> None:
    name = town.community()
    bulletin = publish(town, csaf, name)
    town.si.json("sync")
    path = tmp_path / "bulletin.scb"
    exported = town.si.json("bulletin", "export", bulletin, "-o", str(path))
    root = bytes.fromhex(exported["root_id"])
    assert root == town.founded.root_id
    packed = path.read_bytes()
    good = verify(packed, root)
    assert (good["bulletin"], good["issuer"], good["device"]) == (bulletin, "cert-hr", "cert-hr/desk")
    assert base64.b64decode(good["content"]) == Path(csaf).read_bytes()
    assert good["fresh_when_signed"]
    assert good["revoked"] is None
    with pytest.raises(Untrusted):
        verify(packed, bytes(48))
    with pytest.raises(CannotOpen, match="damaged"):
        verify(packed[:-1], root)
    with pytest.raises(Malformed):
        verify(packed[1:], root)
    content = Path(csaf).read_bytes()
    with pytest.raises(CannotOpen, match="damaged"):
        verify(packed.replace(content, content.replace(b"Patch now", b"Patch not")), root)
    export = Export.unpack(packed)
    signature = export.bulletin.signature
    with pytest.raises(BadSignature):
        verify(packed.replace(signature, bytes(len(signature))), root)
    with pytest.raises(Untrusted):
        verify(Export(export.bulletin, ()).pack(), root)


def test_what_is_not_there(town: Town) -> None:
    for words in (["show"], ["ack"], ["acks"], ["export", "-o", "-"]):
        assert town.hr.run("--json", "bulletin", words[0], "SC-1999-0001", *words[1:]).code == 9


def test_forwarding_is_a_rule_and_consent_widens_it(town: Town, csaf: str) -> None:
    first, second = town.community(), town.community()
    bulletin = publish(town, csaf, first)  # amber, as the document says
    town.si.json("sync")
    refused = town.si.run("--json", "bulletin", "forward", bulletin, "--to", second)
    assert (refused.code, refused.error["code"]) == (7, "tlp-denied")
    assert f"securechan bulletin ask-consent {bulletin} --to {second}" in refused.error["hint"]
    low = town.community(ceiling="green")
    for words in (("bulletin", "forward", bulletin, "--to", low), ("bulletin", "ask-consent", bulletin, "--to", low)):
        refused = town.si.run("--json", *words)
        assert (refused.code, refused.error["code"]) == (7, "tlp-denied")
        assert "at most tlp:green" in refused.error["message"]
        assert "higher ceiling" in refused.error["hint"]
    assert town.si.run("--json", "bulletin", "forward", bulletin, "--to", first).code == 12
    assert town.si.run("--json", "bulletin", "forward", "SC-2020-0001", "--to", second).code == 9
    asked = town.si.json("bulletin", "ask-consent", bulletin, "--to", second, "--reason", "they can help")
    assert (asked["state"], asked["agency"]) == ("asked", "cert-si")
    town.hr.json("sync")
    (waiting,) = [
        each for each in town.hr.json("bulletin", "consents", "--waiting")["consents"] if each["bulletin"] == bulletin
    ]
    assert (waiting["agency"], waiting["reason"]) == ("cert-si", "they can help")
    given = town.hr.json("bulletin", "consent", bulletin, "--to-agency", "cert-si", "--days", "2", "--yes")
    assert (given["state"], given["to"]) == ("given", waiting["to"])
    town.si.json("sync")
    done = town.si.json("bulletin", "forward", bulletin, "--to", second)
    assert (done["state"], done["bulletin"], done["name"]) == ("sent", bulletin, second)
    town.hr.json("sync")
    listed = [each for each in town.hr.json("bulletin", "ls")["bulletins"] if each["bulletin"] == bulletin]
    assert {each["forwarded_by"] for each in listed} == {"", "cert-si/desk"}
    assert {each["consent_by"] for each in listed} == {"", "liaison-1@cert-hr"}
    said = town.si.run("bulletin", "ls", second)
    assert "forwarded" in said.out
    assert town.hr.run("--json", "bulletin", "consent", bulletin, "--to-agency", "cert-pl", "--yes").code == 9
