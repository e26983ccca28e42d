"""clients/operations/message.py: sent once, read by everyone, found again."""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from clients.operations import message
from clients.operations.engine import Work
from clients.vault import Vault
from securechan.agent import blobs
from securechan.errors import Denied
from tests.clients.conftest import Town


def test_a_message_is_sent_and_read_once(town: Town) -> None:
    name = town.community()
    sent = town.hr.json("send", name, "-m", "see http://evil.example", "--tlp", "amber")
    assert (sent["state"], sent["tlp"]) == ("sent", "amber")
    assert sent["sequence"] > 0
    town.si.json("sync")
    (message,) = [e for e in town.si.json("read", name, "--unread")["events"] if e["event"] == "message-received"]
    assert message["body"] == "see http://evil.example"  # raw for scripts
    assert (message["officer"], message["tlp"], message["payload"]) == ("liaison-1@cert-hr", "amber", sent["id"])
    assert message["time"].endswith("Z")
    assert message["sequence"] == sent["sequence"]
    assert town.si.json("read", name, "--unread")["events"] == []


def test_an_id_makes_a_repetition_the_same_message(town: Town) -> None:
    name, identity = town.community(), secrets.token_hex(16)
    first = town.hr.json("send", name, "-m", "once", "--id", identity)
    again = town.hr.json("send", name, "-m", "once", "--id", identity)
    assert first["id"] == again["id"] == identity
    town.si.json("sync")
    events = town.si.json("read", name)["events"]
    assert [e["body"] for e in events if e["event"] == "message-received"] == ["once"]


def test_what_is_queued_without_a_relay_leaves_later(town: Town, monkeypatch) -> None:
    name = town.community()
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    failed = town.hr.run("--json", "send", name, "-m", "not lost")
    assert failed.code == 3
    assert "waits to be sent" in failed.error["message"]
    monkeypatch.delenv("SECURECHAN_RELAY")
    town.hr.json("sync")
    town.si.json("sync")
    assert "not lost" in [e.get("body") for e in town.si.json("read", name)["events"]]


def test_where_the_relay_is_gone_the_file_is_kept_like_the_text(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = town.community()
    (tmp_path / "sample.bin").write_bytes(b"\0" * 5000)
    words = ["send", name, "-m", "see the file", "-a", str(tmp_path / "sample.bin")]
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    assert town.hr.run(*words).code == 3
    monkeypatch.delenv("SECURECHAN_RELAY")
    town.hr.json("sync")
    town.si.json("sync")
    came = [e for e in town.si.json("read", name)["events"] if e["event"] == "message-received"]
    assert [(e["body"], e["attachment"]) for e in came] == [("see the file", ""), ("", "sample.bin")]
    both = town.hr.json(*words)["messages"]
    assert [each["state"] for each in both] == ["sent", "sent"]
    missing = town.hr.run("send", name, "-m", "half", "-a", str(tmp_path / "nowhere"))
    assert missing.code == 9
    town.si.json("sync")
    assert "half" not in [e.get("body") for e in town.si.json("read", name)["events"]]


def _two(folder: Path, *, second: str = "b.txt") -> list[str]:
    (folder / "a.txt").write_text("one")
    (folder / second).write_text("two")
    return ["-m", "see both", "-a", str(folder / "a.txt"), "-a", str(folder / second)]


def test_of_several_parts_all_are_kept_or_none_is(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = town.community()
    words = ["--json", "send", name, *_two(tmp_path)]
    with monkeypatch.context() as no_room:
        no_room.setattr(blobs, "MOST_UPLOADS", 1)
        refused = town.hr.run(*words)
    assert refused.code == 8
    assert refused.error["message"].startswith("b.txt: 1 files wait")
    assert [each["queued"] for each in town.hr.json("conversation", "ls")["conversations"] if each["name"] == name] == [
        0
    ]
    opened: list[Path] = []
    with monkeypatch.context() as counted:
        open_vault = Vault.open
        counted.setattr(Vault, "open", lambda path, *said: (opened.append(path), open_vault(path, *said))[1])
        sent = json.loads(town.hr.run(*words).out)["data"]["messages"]
    assert len(opened) == 1  # Argon2id is what a short command takes its time for
    assert [each["state"] for each in sent] == ["sent"] * 3
    town.si.json("sync")
    came = [e for e in town.si.json("read", name)["events"] if e["event"] == "message-received"]
    assert [(e["body"], e["attachment"]) for e in came] == [("see both", ""), ("", "a.txt"), ("", "b.txt")]
    assert [e["payload"] for e in came] == [each["id"] for each in sent]


def test_the_error_of_a_part_names_it_and_says_which_stand(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, words = town.community(), _two(tmp_path)
    whole = message.sent

    async def unlucky(work: Work, topic: bytes, payload: bytes, timeout: float) -> dict[str, Any]:
        """As where a policy has changed between the keeping and the sealing of the first file."""
        if payload == ids[1]:
            raise Denied("it can't be sent any more: the conversation is for less", code="dropped")
        return await whole(work, topic, payload, timeout)

    identity = secrets.token_bytes(16)
    ids = [identity, *(hashlib.sha256(f"{identity.hex()} {n}".encode()).digest()[:16] for n in (1, 2))]
    with monkeypatch.context() as patched:
        patched.setattr(message, "sent", unlucky)
        said = town.hr.run("--json", "send", name, *words, "--id", identity.hex())
    assert (said.code, said.error["code"]) == (7, "dropped")
    assert said.error["message"] == (
        "a.txt (the text, b.txt sent): it can't be sent any more: the conversation is for less"
    )
    parts = said.error["detail"]["messages"]
    assert [bytes.fromhex(each["id"]) for each in parts] == ids
    assert [parts[n]["state"] for n in (0, 2)] == ["sent", "sent"]
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    away = town.hr.run("--json", "send", name, *words)
    assert away.code == 3
    assert away.error["message"].startswith("the text: ")
    assert "waits to be sent" in away.error["message"]
    assert [each["state"] for each in away.error["detail"]["messages"]] == ["queued"] * 3
    monkeypatch.delenv("SECURECHAN_RELAY")
    town.hr.json("sync")


def test_a_file_goes_along_and_is_fetched(town: Town, tmp_path: Path) -> None:
    name = town.community()
    content = secrets.token_bytes(300_000)
    (tmp_path / "sample.bin").write_bytes(content)
    town.hr.json("send", name, "-a", str(tmp_path / "sample.bin"))
    town.si.json("sync")
    (message,) = [e for e in town.si.json("read", name)["events"] if e["event"] == "message-received"]
    assert (message["attachment"], message["size"]) == ("sample.bin", len(content))
    target = tmp_path / "fetched"
    town.si.json("read", "--fetch", message["payload"], "-o", str(target))
    assert target.read_bytes() == content
    target.write_bytes(b"precious")
    assert town.si.run("read", "--fetch", message["payload"], "-o", str(target)).code == 12
    assert target.read_bytes() == b"precious"
    town.si.json("read", "--fetch", message["payload"], "-o", str(target), "--force")  # out of the archive this time
    assert target.read_bytes() == content


def test_an_officer_is_written_to_directly(town: Town) -> None:
    town.si.json("sync")
    beside = town.hr.json("conversation", "create", "beside", "--agency", "cert-hr", "--agency", "cert-si")
    town.si.json("sync")
    assert beside["id"] in [each["id"] for each in town.si.json("conversation", "ls")["offers"]]  # of another kind
    queued = town.si.json("send", "liaison-1@cert-hr", "-m", "only for you", "--tlp", "red", "--wait", "queued")
    for _ in range(10):  # on a busy machine the invitation may take more than one
        town.hr.json("sync")
        town.si.json("sync")
        town.hr.json("sync")
        offers = [each["by"] for each in town.hr.json("conversation", "ls")["offers"]]
        if "liaison-1@cert-si" in offers:
            break
    assert "liaison-1@cert-si" in offers
    stranger = town.hr.run("--json", "send", "nobody@cert-si", "-m", "x")
    assert stranger.code == 4
    assert "securechan contact ls" in stranger.error["hint"]
    answered = town.hr.json("send", "liaison-1@cert-si", "-m", "and for you")  # not past each other
    assert (answered["conversation"], answered["name"]) == (queued["conversation"], "liaison-1@cert-si")
    assert (answered["state"], answered["joined"]) == ("sent", True)
    town.si.json("sync")
    town.hr.json("sync")
    assert "only for you" in [e.get("body") for e in town.hr.json("read", "liaison-1@cert-si")["events"]]
    assert "and for you" in [e.get("body") for e in town.si.json("read", "liaison-1@cert-hr")["events"]]
    again = town.hr.json("send", "liaison-1@cert-si", "-m", "once more")
    assert (again["conversation"], again["joined"]) == (queued["conversation"], False)
    offers = [each["id"] for each in town.hr.json("conversation", "ls")["offers"]]
    assert queued["conversation"] not in offers
    town.si.json("conversation", "decline", beside["id"][:16])


def test_the_newest_come_last_and_no_more_than_asked_for(town: Town) -> None:
    name = town.community()
    for n in range(5):
        town.hr.json("send", name, "-m", f"number {n}", "--wait", "queued")
    town.hr.json("sync")
    shown = town.hr.json("read", name, "-n", "3")["events"]
    assert [e["body"] for e in shown] == ["number 2", "number 3", "number 4"]
    assert town.hr.json("read", name, "--since", "1h")["events"][-1]["body"] == "number 4"


def test_search_finds_words_in_any_case(town: Town) -> None:
    name, word = town.community(), secrets.token_hex(8)
    town.hr.json("send", name, "-m", f"About {word.upper()} and more")
    found = town.hr.json("search", word)["events"]
    assert len(found) == 1
    assert found[0]["name"] == name
    assert town.hr.json("search", word, "--in", name)["events"] == found
    assert town.hr.json("search", secrets.token_hex(8))["events"] == []
