"""clients/operations/shelf.py: whichever revision is looked at, what came after it is said."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.clients.conftest import Town
from tests.clients.operations.conftest import publish


def text(path: Path, words: str) -> str:
    path.write_text(words)
    return str(path)


def test_an_old_revision_says_what_has_come_after_it(town: Town, csaf: str, tmp_path: Path) -> None:
    name = town.community()
    bulletin = publish(town, csaf, name, "--title", "As it was called", "--ack-by", "4h")
    second = text(tmp_path / "second.txt", "TLP:AMBER\nAnother text\n")
    revised = town.hr.json("bulletin", "revise", bulletin, second, "--title", "As it is called")
    assert revised["revision"] == 2
    town.si.json("sync")
    old = town.si.json("bulletin", "show", bulletin, "--revision", "1")
    assert (old["title"], old["revision"], old["superseded"], old["due"]) == ("As it was called", 1, True, False)
    assert (old["newest"]["revision"], old["newest"]["status"], old["status"]) == (2, "active", "active")
    new = town.si.json("bulletin", "show", bulletin)
    assert (new["title"], new["superseded"], new["newest"]["revision"]) == ("As it is called", False, 2)
    said = town.si.run("bulletin", "show", bulletin, "--revision", "1").out
    assert f"{bulletin} rev 1  superseded\n" in said
    assert "superseded by rev 2  20" in said
    assert "superseded" not in town.si.run("bulletin", "show", bulletin).out

    town.hr.json("bulletin", "withdraw", bulletin, "--reason", "a false alarm, see evil.example", "--yes")
    town.si.json("sync")
    old = town.si.json("bulletin", "show", bulletin, "--revision", "2")
    assert (old["status"], old["newest"]["revision"], old["newest"]["status"]) == ("withdrawn", 3, "withdrawn")
    assert old["newest"]["reason"] == "a false alarm, see evil.example"
    said = town.si.run("bulletin", "show", bulletin, "--revision", "2").out
    assert f"{bulletin} rev 2  withdrawn\n" in said
    assert "withdrawn  by rev 3  20" in said
    assert "a false alarm, see evil[.]example" in said


def test_a_bulletin_goes_to_others_and_they_are_named(town: Town, csaf: str) -> None:
    name = town.community()
    published = town.hr.json("bulletin", "publish", csaf, "--to", name)
    there = {each["device"]: each["officer"] for each in town.hr.json("conversation", "show", name)["devices"]}
    assert published["members"] == len(there)
    assert {each["device"]: each["officer"] for each in published["readers"]} == {
        device: officer for device, officer in there.items() if device != "cert-hr/desk"
    }
    town.si.json("sync")
    (listed,) = town.si.json("bulletin", "ls", name)["bulletins"]
    assert base64.b64decode(town.si.json("bulletin", "show", listed["bulletin"])["content"]) == Path(csaf).read_bytes()
