"""clients/operations/direct.py: two officers talk in one place, whoever writes first; nobody is drawn into another."""

from __future__ import annotations

from typing import Any

import pytest

from clients.operations import conversation, direct
from clients.operations.engine import Work
from tests.clients.conftest import Pair
from tests.clients.operations.conftest import changed


def test_who_answers_an_offer_by_writing_joins_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed goes where the other waits. The relay is needed for that, and without it nothing is joined."""
    first = pair.si.json("send", "liaison-1@cert-hr", "-m", "from si", "--wait", "queued")
    pair.si.json("sync")
    pair.hr.json("sync")
    assert [each["id"] for each in pair.hr.json("conversation", "ls")["offers"]] == [first["conversation"]]
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
        assert pair.hr.run("send", "liaison-1@cert-si", "-m", "lost").code == 3
    assert pair.hr.json("conversation", "ls")["conversations"] == []
    sent = pair.hr.json("send", "liaison-1@cert-si", "-m", "from hr")
    assert (sent["conversation"], sent["state"], sent["joined"]) == (first["conversation"], "sent", True)
    pair.si.json("sync")
    pair.hr.json("sync")
    for each, other in ((pair.si, "liaison-1@cert-hr"), (pair.hr, "liaison-1@cert-si")):
        bodies = {event.get("body") for event in each.json("read", other)["events"]}
        assert {"from si", "from hr"} <= bodies
        assert "lost" not in bodies
    assert len(pair.hr.json("conversation", "ls")["conversations"]) == 1


def test_what_comes_in_an_offers_place_after_it_was_judged_is_not_joined(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inviter writes again, to draw who answers into another group, between the judging and the joining."""
    first = pair.si.json("send", "liaison-1@cert-hr", "-m", "from si", "--wait", "queued")
    pair.si.json("sync")
    pair.hr.json("sync")

    async def too_late(work: Work, *said: Any) -> None:
        work.runtime.agent, writes = changed(work.agent, intruders=("cert-si/stranger",))
        work.vault.adopt(writes)
        await conversation.join(work, *said)

    with monkeypatch.context() as while_judging:
        while_judging.setattr(direct, "join", too_late)
        refused = pair.hr.run("--json", "send", "liaison-1@cert-si", "-m", "lured")
    assert (refused.code, refused.error["code"]) == (12, "offer-changed")
    listed = pair.hr.json("conversation", "ls")
    assert [each["id"] for each in listed["offers"]] == [first["conversation"]]
    assert listed["conversations"] == []
    sent = pair.hr.json("send", "liaison-1@cert-si", "-m", "looked at again")
    assert (sent["conversation"], sent["joined"]) == (first["conversation"], True)
    assert "lured" not in [event.get("body") for event in pair.hr.json("read")["events"]]


def test_what_does_not_hold_any_more_when_it_is_joined_is_no_endless_wait(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.si.json("send", "liaison-1@cert-hr", "-m", "from si", "--wait", "queued")
    pair.si.json("sync")
    pair.hr.json("sync")

    async def spoilt(work: Work, *said: Any) -> None:
        work.runtime.agent, writes = changed(work.agent, tree=b"no tree")
        work.vault.adopt(writes)
        await conversation.join(work, *said)

    monkeypatch.setattr(direct, "join", spoilt)
    refused = pair.hr.run("--json", "send", "liaison-1@cert-si", "-m", "to nobody")
    assert (refused.code, refused.error["code"]) == (11, "offer-unreadable")
    assert "conversation ls" in refused.error["hint"]
    assert pair.hr.json("conversation", "ls") == {"conversations": [], "offers": []}


def test_a_conversation_of_three_is_not_joined_for_a_word_to_one_of_them(pair: Pair) -> None:
    """It too is of officers by name, and offered by the one who is written to."""
    third = "liaison-1@cert-pl"
    words = ["--with", "liaison-1@cert-si", "--with", third]
    three = pair.hr.json("conversation", "create", "of three", *words)
    pair.si.json("sync")
    sent = pair.si.json("send", "liaison-1@cert-hr", "-m", "for you alone", "--wait", "queued")
    assert sent["conversation"] != three["id"]
    assert not sent["joined"]
    listed = pair.si.json("conversation", "ls")
    assert [each["id"] for each in listed["offers"]] == [three["id"]]
    assert [each["id"] for each in listed["conversations"]] == [sent["conversation"]]
