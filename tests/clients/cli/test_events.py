"""clients/cli/events.py: every kind of event has its line, and no stranger's text acts on a terminal."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest

from clients.cli.events import line
from clients.operations.lookup import timed
from securechan.agent.archive import kind_of, to_json
from securechan.agent.events import Alarm, AlarmKind, ConsentAsked, ConversationOffered, Event, MessageReceived
from securechan.bulletin.tlp import Tlp

EVIL = "\x1b]0;owned\x07\u202ehttp://evil.example"


def test_a_revocation_reads_as_what_it_is() -> None:
    said = {"event": "member-revoked", "name": "eu", "device": "cert-hr/x", "officer": "a@cert-hr", "reason": "lost"}
    assert line(said) == (
        "[eu] cert-hr/x of a@cert-hr was revoked by its agency (lost):"
        " it is being removed, and nothing is sent here until it is out"
    )
    assert "unheard-of" in line({**said, "reason": "unheard-of"})


def example(cls: type[Event], text: str) -> Event:
    """An event whose every text is ``text``."""
    values: dict[str, Any] = {}
    for field in fields(cls):
        match str(field.type):
            case "bytes":
                values[field.name] = b"\x01" * 32
            case "str":
                values[field.name] = text
            case "int":
                values[field.name] = 1_800_000_000
            case "bool":
                values[field.name] = False
            case "Tlp":
                values[field.name] = Tlp.AMBER
            case "AlarmKind":
                values[field.name] = AlarmKind.FORK
            case kind if kind.startswith("tuple"):
                values[field.name] = (text,)
            case kind:
                raise AssertionError(f"{cls.__name__}.{field.name}: {kind}")
    return cls(**values)


@pytest.mark.parametrize("cls", get_args(Event), ids=lambda cls: cls.__name__)
def test_every_kind_has_its_line_and_is_harmless(cls: type[Event]) -> None:
    said = line(timed(to_json(example(cls, EVIL))))
    assert said
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\u202e" not in said
    assert "http://" not in said


def test_a_message_of_ours_says_whom_it_has_reached() -> None:
    own = to_json(example(MessageReceived, "x")) | {"own": True, "attachment": ""}
    reached = {"delivered": ["a@cert-hr", EVIL], "read": ["a@cert-hr"]}
    (first, _) = line(own | {"reached": reached}).split("\n")
    assert "you  amber  read by a@cert-hr  delivered to \\u001b]0;owned" in first
    assert "delivered" not in line(own | {"reached": {}})


def test_a_message_of_several_lines_is_indented() -> None:
    message = example(MessageReceived, "x")
    shown = line(to_json(message) | {"body": "one\ntwo", "time": "2027-01-15T08:00:00Z", "own": True, "attachment": ""})
    assert shown.split("\n") == ["2027-01-15T08:00:00Z  [x] you  amber", "    one", "    two"]


def test_a_marked_message_says_so() -> None:
    assert "another history" in line(to_json(example(MessageReceived, "x")) | {"marked": True})


def test_an_alarm_names_who_and_which_entry() -> None:
    said = line(to_json(Alarm(AlarmKind.CHAIN_CLAIM, bytes(32), "cert-si/b", 17, "claims another history")))
    assert said == "ALARM chain-claim  cert-si/b  entry 17: claims another history"


def test_the_relay_s_address_can_be_copied_and_the_wait_is_a_sensible_one() -> None:
    down: dict[str, Any] = {"event": "relay-down", "message": "no relay answers at wss://relay.example.int: refused"}
    shown = {seconds: line(down | {"retry_in": seconds}) for seconds in (None, 0.0, 0.3, 12.4, 61.0)}
    assert all(said.startswith("not connected: no relay answers at wss://relay.example.int") for said in shown.values())
    assert [said.rpartition("; ")[2] for said in shown.values()] == [
        "it is not tried again",
        "trying again",
        "trying again",
        "next try in 12 s",
        "next try in 1 m",
    ]
    assert "\x1b" not in line(down | {"message": EVIL, "retry_in": 1.0})


def test_an_offer_is_accepted_by_what_is_shown() -> None:
    shown = line(to_json(example(ConversationOffered, "x.example")))
    assert shown.endswith(": securechan conversation accept " + "01" * 6)


def test_the_union_is_the_agents_own() -> None:
    assert len(get_args(Event)) == len({kind_of(example(cls, "x")) for cls in get_args(Event)})


def test_who_is_asked_for_consent_hears_what_for_and_where_to_answer() -> None:
    said = line(
        to_json(example(ConsentAsked, "x")) | {"officer": "bob@cert-bb", "name": "third", "reason": "it is needed"}
    )
    assert said == "bob@cert-bb asks to forward x to third (x): it is needed  answer: securechan bulletin consents"
