"""``securechan enrol``: an invite that is good leads in; any other is told apart, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from clients.cli.enrol import _line
from clients.cli.frame import Invocation
from clients.clock import SystemClock
from clients.operations import enrol, newcomer
from clients.profile import Home
from clients.vault import Vault
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Untrusted
from securechan.trust.authority import add_key
from securechan.trust.enrolment import Invite
from securechan.trust.records import DeviceRecord
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, Station
from tests.clients.station import run as invocation


def invite(office: Station, *words: str) -> str:
    """A fresh one."""
    return str(office.json("admin", "invite", *words)["invite"])


def altered(line: str, **fields: object) -> str:
    """The invite with other fields, and whole again."""
    return replace(Invite.parse(line), **fields).line()


def nothing_left(person: Person) -> bool:
    return not list(person.folder.rglob("vault.db"))


@pytest.fixture
def impostor(town: Town) -> Iterator[str]:
    """Somebody who shows a card with the relay's name and a key of their own."""
    kem = {**town.relay.card(), "kem": town.relay.card()["online"]}

    class Card(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(kem).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Quietly."""

    server = HTTPServer(("127.0.0.1", 0), Card)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# ---------------------------------------------------------------------------------------------------------- the way in


def test_at_a_terminal_the_invite_is_asked_for_and_ends_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, screen = Keyboard("securechan1:abc\nnot this\n"), Keyboard()
    monkeypatch.setattr("sys.stdin", keyboard)
    monkeypatch.setattr("sys.stderr", screen)
    assert _line(Invocation(), "-") == "securechan1:abc"
    assert keyboard.read() == "not this\n"
    assert screen.getvalue() == "the invite, one line: "


class Keyboard(io.StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


def test_a_device_comes_in_while_it_waits(office: Station, person: Person) -> None:
    line = invite(office, "liaison-7", "--role", "liaison")
    asked = person.json("enrol", "-", "--device", "laptop-7", "--no-wait", stdin=line.encode() + b"\n")
    assert (asked["device"], asked["enrolled"]) == ("cert-hr/laptop-7", False)
    misheard = [*asked["words"][:-1], "babab" if asked["words"][-1] != "babab" else "dadad"]
    refused = office.run("admin", "approve", "laptop-7", "--words", " ".join(misheard))
    assert refused.code == 7
    assert "misheard, or " in refused.err
    assert "read out again" in refused.err
    approved = office.json("admin", "approve", "laptop-7", "--words", " ".join(asked["words"]), "--for", "300d")
    assert approved["published"]
    said = person.run("enrol", "--resume", "--timeout", "60s")
    assert said.code == 0, said
    assert said.out.startswith("enrolled   liaison-7@cert-hr  (liaison)  device cert-hr/laptop-7\n")
    assert "  ".join(asked["words"]) in said.err
    status = person.json("status")
    assert status
    with Vault.open(Home(person.folder / "home").profile("default").vault, PASSPHRASE) as vault:
        assert vault.get(newcomer.TABLE, newcomer.ROW) is None
        assert vault.tables()["packages"] >= 2
    assert person.run("--json", "enrol", "--resume").error["code"] == "enrolled"
    assert person.run("--json", "enrol", "--give-up").error["code"] == "enrolled"


def test_a_request_can_be_repeated(office: Station, person: Person) -> None:
    line = invite(office, "liaison-8")
    asked = person.json("enrol", line, "--no-wait")
    assert person.json("enrol", "--resume", "--no-wait") == asked
    found = [each for each in office.json("admin", "pending")["requests"] if each["device"] == asked["device"]]
    assert [each["words"] for each in found] == [asked["words"]]


def test_an_open_invite_leaves_the_name_to_the_officer(office: Station, person: Person) -> None:
    line = invite(office)
    assert person.run("--json", "enrol", line).error["code"] == "usage"
    asked = person.json("enrol", line, "--officer", "liaison-9", "--no-wait")
    assert asked["officer"] == "liaison-9@cert-hr"


# -------------------------------------------------------------------------------------------------------- bad invites


@pytest.mark.parametrize("line", ["", "x", "securechan1:", "securechan1:AAAA", "https://example.int", "\xff"])
def test_what_is_no_invite_is_told(person: Person, line: str) -> None:
    said = person.run("--json", "enrol", "-", stdin=line.encode("latin-1"))
    assert said.code == 11
    assert "invite" in said.error["message"] + said.error["hint"]
    assert nothing_left(person)


def test_an_invite_that_lost_a_letter_is_told(office: Station, person: Person) -> None:
    line = invite(office, "liaison-10")
    assert person.run("enrol", line[:-1]).code == 11
    assert person.run("enrol", line[:40] + line[41:]).code == 11


def test_an_expired_invite_is_told_with_both_times(office: Station, person: Person) -> None:
    line = altered(invite(office, "liaison-10"), not_after=int(time.time()) - 60)
    said = person.run("--json", "enrol", line)
    assert (said.code, said.error["code"]) == (4, "invite-expired")
    assert "this machine's clock says" in said.error["message"]
    assert nothing_left(person)


def test_an_invite_that_was_made_longer_opens_no_box(office: Station, person: Person) -> None:
    made = Invite.parse(invite(office, "liaison-10"))
    said = person.run("--json", "enrol", replace(made, not_after=made.not_after + 86400).line())
    assert (said.code, said.error["code"]) == (4, "invite-unknown")
    assert nothing_left(person)


def test_a_used_invite_is_told(office: Station, person: Person, tmp_path: Path) -> None:
    line = invite(office, "liaison-11")
    person.json("enrol", line, "--no-wait")
    thief = Person(tmp_path / "thief")
    said = thief.run("--json", "enrol", line)
    assert (said.code, said.error["code"]) == (12, "invite-used")
    assert nothing_left(thief)


def test_another_relay_at_the_address_is_refused(office: Station, person: Person, impostor: str) -> None:
    said = person.run("--json", "enrol", altered(invite(office, "liaison-12"), url=impostor))
    assert (said.code, said.error["code"]) == (4, "wrong-relay")
    assert nothing_left(person)


def test_no_relay_at_the_address_is_the_network(office: Station, person: Person) -> None:
    said = person.run("--json", "enrol", altered(invite(office, "liaison-12"), url="ws://127.0.0.1:1"))
    assert said.code == 3
    assert nothing_left(person)


def test_the_proxy_that_was_set_for_the_profile_is_asked_before_there_is_a_vault(
    office: Station, person: Person
) -> None:
    person.json("profile", "set", "--proxy", "http://127.0.0.1:1")
    line = invite(office, "liaison-12")
    said = person.run("--json", "enrol", line, "--no-wait")
    assert (said.code, said.error["code"]) == (3, "proxy")
    assert nothing_left(person)
    person.json("profile", "set", "--proxy", "none")
    person.json("enrol", line, "--no-wait")
    person.json("profile", "set", "--proxy", "http://127.0.0.1:1")
    assert person.run("--json", "enrol", "--resume", "--no-wait").error["code"] == "proxy"


def test_who_joins_goes_through_the_profiles_proxy_too(office: Station, person: Person, tmp_path: Path) -> None:
    person.json("admin", "init", "cert-zz", "--officer", "zoe", "--yes", "--out", str(tmp_path / "application"))
    person.json("profile", "set", "--proxy", "http://127.0.0.1:1")
    said = person.run("--json", "admin", "join", str(office.json("admin", "status")["address"]))
    assert (said.code, said.error["code"]) == (3, "proxy")


def test_a_relay_of_another_federation_is_refused(office: Station, person: Person) -> None:
    line = altered(invite(office, "liaison-12"), root_id=hashlib.sha384(b"another").digest())
    said = person.run("--json", "enrol", line)
    assert said.code == 4
    assert "federation" in said.error["message"] + said.error["hint"]
    assert nothing_left(person)


def test_a_clock_that_is_wrong_is_told(office: Station, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    line = invite(office, "liaison-13")
    monkeypatch.setattr(SystemClock, "time", lambda _: time.time() - 7230)
    said = person.run("enrol", line, "--no-wait")
    assert said.code == 0
    assert "clock is 2 h behind the relay" in said.err


# ------------------------------------------------------------------------------------------------------------ mistakes


def test_one_of_three_things_is_wanted(person: Person) -> None:
    for words in ([], ["x", "--resume"], ["--resume", "--give-up"], ["--resume", "--timeout", "soon"]):
        assert person.run("enrol", *words).code == 2


def test_a_profile_that_is_in_use_is_kept(town: Town, office: Station) -> None:
    said = town.si.run("--json", "enrol", invite(office, "liaison-14"))
    assert (said.code, said.error["code"]) == (12, "conflict")
    assert "--profile" in said.error["hint"]


def test_giving_up_forgets_the_keys(office: Station, person: Person) -> None:
    person.json("enrol", invite(office, "liaison-15"), "--no-wait")
    assert not nothing_left(person)
    person.json("enrol", "--give-up")
    assert nothing_left(person)


def test_without_a_passphrase_nothing_is_made(office: Station, person: Person) -> None:
    said = invocation(
        "--home", str(person.folder / "home"), "--no-input", "--json", "enrol", invite(office, "liaison-16")
    )
    assert (said.code, said.error["code"]) == (8, "passphrase-needed")
    assert nothing_left(person)


# ----------------------------------------------------------------------------------------------------- somebody's keys


def test_a_roster_with_other_keys_than_ours_is_an_alarm(town: Town) -> None:
    view = town.founded.read([])
    fresh = newcomer.Newcomer.make("cert-hr", "desk", "liaison-1", now=1)
    with pytest.raises(Untrusted):
        fresh.admitted(view)
    listed = town.founded.devices["cert-hr/desk"].record

    class Listing:
        def device(self, name: str) -> object:
            assert name == "cert-hr/desk"
            return listed

    with pytest.raises(Untrusted) as e:
        fresh.admitted(Listing())  # a view that lists somebody else's keys
    assert e.value.code == "identity-changed"


def test_a_roster_with_another_key_beside_ours_is_an_alarm() -> None:
    fresh = newcomer.Newcomer.make("cert-hr", "desk", "liaison-1", now=1)
    record = fresh.record(frozenset({"liaison"}), 1)

    class Listing:
        def __init__(self, listed: DeviceRecord) -> None:
            self.listed = listed

        def device(self, _: str) -> DeviceRecord:
            return self.listed

    assert fresh.admitted(Listing(record)) is record  # as much of a view as is asked
    both = add_key(record, "hybrid", COMPOSITE.generate()[1])
    with pytest.raises(Untrusted) as e:
        fresh.admitted(Listing(both))
    assert e.value.code == "identity-changed"


def test_a_verdict_waits_for_its_roster() -> None:
    class Unknown:
        def verify(self, view: object) -> object:
            del view
            raise Untrusted("not yet", code="unknown-device")

    class Foreign:
        def verify(self, view: object) -> object:
            del view
            raise Untrusted("revoked", code="revoked")

    made = newcomer.Newcomer.make("cert-hr", "desk", "liaison-1", now=1)
    assert not enrol._judge(None, made, Unknown())  # neither is looked at further
    with pytest.raises(Untrusted):
        enrol._judge(None, made, Foreign())


def test_made_up_device_names_say_nothing_of_the_machine() -> None:
    found = {newcomer.suggested_device("liaison-1") for _ in range(20)}
    assert len(found) > 10
    assert all(name.startswith("liaison-1-") and len(name) == len("liaison-1-abcd") for name in found)
