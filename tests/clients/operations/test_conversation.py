"""clients/operations/conversation.py: founded by a policy, joined by consent, left by asking."""

from __future__ import annotations

from typing import Any

from securechan.bulletin.payload import BlobRef
from tests.clients.conftest import Pair, Town
from tests.clients.operations.conftest import change_offers


def test_a_community_is_founded_offered_and_joined(town: Town) -> None:
    name = town.community()
    ours = town.hr.json("conversation", "show", name)
    theirs = town.si.json("conversation", "show", name)
    assert ours["state"] == theirs["state"] == "member"
    assert ours["authenticator"] == theirs["authenticator"]
    assert (ours["kind"], ours["ceiling"], ours["suite"]) == ("community", "amber", "hybrid")
    assert ours["policy"]["agencies"] == {"cert-hr": [], "cert-si": []}
    assert ours["policy"]["stewards"] == ["liaison-1@cert-hr", "liaison-1@cert-si"]
    devices = {each["device"] for each in ours["devices"]}
    assert {"cert-hr/desk", "cert-si/desk"} <= devices


def test_what_trust_does_not_know_is_refused_before_anything_is_founded(town: Town) -> None:
    before = town.hr.json("conversation", "ls")["conversations"]
    for words in (
        ["--agency", "cert-hr", "--agency", "cert-xx"],
        ["--with", "liaison-9@cert-si"],
        ["--agency", "cert-hr", "--agency", "cert-si", "--steward", "nobody@cert-si"],
    ):
        said = town.hr.run("--json", "conversation", "create", "typo", *words)
        assert said.code == 4, said
    assert town.hr.json("conversation", "ls")["conversations"] == before


def test_stewards_come_from_every_agency_where_nobody_names_them(town: Town) -> None:
    made = town.hr.json("conversation", "create", "unstewarded", "--agency", "cert-hr", "--agency", "cert-si:desk")
    assert made["policy"]["stewards"] == ["liaison-1@cert-hr", "liaison-1@cert-si"]
    assert made["policy"]["agencies"] == {"cert-hr": [], "cert-si": ["desk"]}


def test_a_name_is_given_once(town: Town) -> None:
    name = town.community()
    said = town.hr.run("--json", "conversation", "create", name, "--room")
    assert said.code == 12


def test_who_is_in_already_stays(town: Town) -> None:
    name = town.community()
    again = town.si.json("conversation", "accept", name)
    assert (again["name"], again["state"]) == (name, "member")
    assert town.si.run("conversation", "accept", name).out.startswith(f"joined  {name}")


def test_an_offer_may_be_declined(town: Town) -> None:
    town.si.json("sync")
    made = town.hr.json(
        "conversation",
        "create",
        "unwanted",
        "--agency",
        "cert-hr",
        "--agency",
        "cert-si",
        "--steward",
        "liaison-1@cert-si",
    )
    town.si.json("sync")
    town.si.json("conversation", "decline", made["id"][:12])
    assert made["id"] not in [each["id"] for each in town.si.json("conversation", "ls")["offers"]]
    assert town.si.run("--json", "conversation", "accept", made["id"][:12]).code == 9


def _offered(town: Town, name: str) -> dict[str, Any]:
    """What `si` is offered: a community of the two agencies, founded by `hr`."""
    town.si.json("sync")
    words = ["--agency", "cert-hr", "--agency", "cert-si:liaison", "--steward", "liaison-1@cert-si", "--tlp", "green"]
    made = town.hr.json("conversation", "create", name, *words)
    town.si.json("sync")
    (offer,) = [each for each in town.si.json("conversation", "ls")["offers"] if each["id"] == made["id"]]
    assert offer["policy"] == made["policy"]
    return dict(offer)


def test_who_belongs_is_seen_before_it_is_joined_and_another_offer_is_not(town: Town) -> None:
    offer = _offered(town, "judged")
    change_offers(town.si, intruders=("cert-hr/stranger",))  # another letter of the same inviter
    (now,) = [each for each in town.si.json("conversation", "ls")["offers"] if each["id"] == offer["id"]]
    assert now["offer"] != offer["offer"]
    refused = town.si.run("--json", "conversation", "accept", "judged", "--offer", offer["offer"])
    assert (refused.code, refused.error["code"]) == (12, "offer-changed")
    assert "conversation ls" in refused.error["hint"]
    listed = town.si.json("conversation", "ls")
    assert now in listed["offers"]
    assert offer["id"] not in [each["id"] for each in listed["conversations"]]
    joined = town.si.json("conversation", "accept", "judged", "--offer", now["offer"])
    assert (joined["id"], joined["policy"]) == (offer["id"], offer["policy"])


def test_what_cannot_be_seen_is_not_joined(town: Town) -> None:
    """Its tree is still on its way, and never comes."""
    offer = _offered(town, "unseen")
    town.si.json("send", "liaison-1@cert-hr", "-m", "what do you offer?")  # what is between them is not what is meant
    ref = BlobRef(bytes(32), b"k" * 32, 5000)
    change_offers(town.si, tree=b"", blob=ref, policy=b"")
    for words in (["liaison-1@cert-hr"], [offer["id"][:16], "--offer", offer["offer"]]):
        late = town.si.run("--json", "conversation", "accept", *words, "--timeout", "0")
        assert (late.code, late.error["code"]) == (10, "offer-incomplete")
        assert "can't be seen yet" in late.error["message"]
    assert offer["id"] not in [each["id"] for each in town.si.json("conversation", "ls")["conversations"]]
    town.si.json("conversation", "decline", offer["id"][:16])
    assert town.si.run("--json", "conversation", "accept", offer["id"][:16]).code == 9


def test_what_cannot_be_opened_is_not_joined(town: Town) -> None:
    offer = _offered(town, "spoilt")
    change_offers(town.si, tree=b"no tree")
    spoilt = town.si.run("--json", "conversation", "accept", offer["id"][:16])
    assert spoilt.error["code"] == "offer-unreadable"
    assert "securechan read --all says why" in spoilt.error["hint"]
    listed = town.si.json("conversation", "ls")
    assert offer["id"] not in [each["id"] for each in (*listed["conversations"], *listed["offers"])]


def test_who_asks_to_leave_is_removed_by_another(pair: Pair) -> None:
    """Between two devices, so that it is soon the other's turn to commit."""
    words = ["--agency", "cert-hr", "--agency", "cert-si", "--steward", "liaison-1@cert-si"]
    pair.hr.json("conversation", "create", "departures", *words)
    pair.si.json("sync")
    pair.si.json("conversation", "accept", "departures")
    pair.si.json("conversation", "leave", "departures", "--yes")
    pair.hr.json("sync")
    pair.si.json("sync")
    (left,) = pair.si.json("conversation", "ls")["conversations"]
    assert (left["name"], left["state"]) == ("departures", "gone")
    there = pair.hr.json("conversation", "show", "departures")["devices"]
    assert [each["device"] for each in there] == ["cert-hr/desk"]
    assert pair.si.run("--json", "send", "departures", "-m", "still here?").code == 7


def test_a_conversation_is_called_otherwise_here_alone(town: Town) -> None:
    name = town.community()
    town.hr.json("conversation", "rename", name, f"{name}-of-ours")
    town.hr.json("send", f"{name}-of-ours", "-m", "x")
    assert town.si.json("conversation", "show", name)["state"] == "member"


def test_stewards_change_the_policy(town: Town) -> None:
    name = town.community()
    changed = town.hr.json("conversation", "policy", name, "--tlp", "green")
    assert changed["changed"]
    town.si.json("sync")
    assert town.si.json("conversation", "policy", name)["policy"]["ceiling"] == "green"
    assert not town.si.json("conversation", "policy", name)["changed"]


def test_resuming_what_is_not_held_changes_nothing(town: Town) -> None:
    name = town.community()
    assert town.hr.json("conversation", "resume", name, "--yes")["held"] == ""
