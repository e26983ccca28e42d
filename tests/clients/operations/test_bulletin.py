"""clients/operations/bulletin.py: published, revised, withdrawn, acknowledged."""

from __future__ import annotations

import base64
from pathlib import Path

from clients.operations.skeleton import skeleton
from tests.clients.conftest import Town
from tests.clients.operations.conftest import publish


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


def test_what_is_not_there(town: Town) -> None:
    for words in (["show"], ["ack"], ["acks"], ["export", "-o", "-"]):
        assert town.hr.run("--json", "bulletin", words[0], "SC-1999-0001", *words[1:]).code == 9


def test_a_revision_keeps_its_title_unless_there_is_a_new_one(town: Town, csaf: str, tmp_path: Path) -> None:
    name, other, note = town.community(), tmp_path / "other.json", tmp_path / "note.txt"
    note.write_text("TLP:AMBER\nBlock it; more tomorrow\n")
    other.write_text(skeleton("csaf", "Another title inside"))
    bulletin = publish(town, str(note), name, "--title", "Phishing wave")

    def revised(*words: str) -> str:
        town.hr.json("bulletin", "revise", bulletin, *words)
        return str(town.hr.json("bulletin", "show", bulletin)["title"])

    assert revised(str(note)) == "Phishing wave"
    assert revised(str(note), "--title", "A phishing wave") == "A phishing wave"
    assert revised(csaf) == "Patch now"  # another document, which has a title of its own
    assert revised(csaf, "--title", "Patch, please") == "Patch, please"
    assert revised(csaf) == "Patch, please"  # the document's own is what it was
    assert revised(str(other)) == "Another title inside"
    assert revised(str(note)) == "Another title inside"  # a text has none
