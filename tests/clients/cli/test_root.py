"""``securechan root``: what a ceremony needs, what it shows, and what it refuses. The story of a whole federation, with
a relay, is in tests/stories."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from clients import keyfile
from clients.operations import plan
from clients.operations.plan import Plan
from clients.operations.root import Folder
from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Malformed
from securechan.trust.bundle import Bundle
from tests.clients.cli.conftest import Person
from tests.clients.station import CHEAP
from tests.clients.station import run as invocation


def card(folder: Path, name: str = "relay-1", **changes: object) -> Path:
    """A relay's card."""
    path = folder / f"{name}.card"
    kem, online = (base64.b64encode(scheme.generate()[1]).decode() for scheme in (MLKEM768_X25519, COMPOSITE))
    path.write_text(
        json.dumps({"v": 1, "name": name, "url": f"wss://{name}.example.int", "kem": kem, "online": online, **changes})
    )
    return path


class Office:
    """A federation's folder, and who works in it."""

    def __init__(self, person: Person, folder: Path) -> None:
        self.person = person
        self.folder = folder

    def data(self, *words: str) -> dict[str, object]:
        return self.person.json("root", *words, *self._dir(words))

    def error(self, *words: str) -> str:
        return str(self.person.run("--json", "root", *words, *self._dir(words)).error["code"])

    def _dir(self, words: tuple[str, ...]) -> list[str]:
        return [] if words[0] in ("sign", "merge", "key") else ["--dir", str(self.folder)]

    def key(self, name: str) -> list[str]:
        return ["--key", str(self.folder / "keys" / f"{name}.key")]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one root key, two administrators' keys of which one signs, and a relay. Each test has a copy."""
    folder = tmp_path_factory.mktemp("planned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyfile, "COST", CHEAP)
        made = Office(Person(folder), folder / "federation")
        made.data("init", "--keys", "1", "--targets-keys", "2", "--targets-threshold", "1")
        made.data("add-relay", str(card(folder)))
    return made.folder


@pytest.fixture
def office(person: Person, planned: Path, tmp_path: Path) -> Office:
    shutil.copytree(planned, tmp_path / "federation")
    return Office(person, tmp_path / "federation")


# ---------------------------------------------------------------------------------------------------------------- init


def test_init_makes_keys_each_under_a_passphrase(person: Person, tmp_path: Path) -> None:
    data = person.json("root", "init", "--dir", str(tmp_path / "f"), "--keys", "3", "--threshold", "2")
    assert (data["root"], data["targets"]) == ({"keys": 3, "threshold": 2}, {"keys": 3, "threshold": 2})
    keys = sorted((tmp_path / "f" / "keys").iterdir())
    assert len(keys) == 12
    assert {path.stat().st_mode & 0o777 for path in keys if path.suffix == ".key"} == {0o600}


def test_holders_can_make_their_keys_apart(person: Person, tmp_path: Path) -> None:
    for name in ("ann", "ben", "cy"):
        person.json("root", "key", str(tmp_path / f"{name}.key"))
    person.json("root", "key", str(tmp_path / "tom.key"), "--use", "targets")
    holders = [word for name in ("ann", "ben", "cy") for word in ("--root-key", str(tmp_path / f"{name}.pub"))]
    data = person.json(
        "root", "init", "--dir", str(tmp_path / "f"), *holders, "--targets-key", str(tmp_path / "tom.pub")
    )
    assert (data["root"], data["targets"], data["made"]) == (
        {"keys": 3, "threshold": 2},
        {"keys": 1, "threshold": 1},
        [],
    )


@pytest.mark.parametrize("words", [[], ["--keys", "2", "--threshold", "3"], ["--keys", "17"], ["--keys", "x"]])
def test_numbers_that_can_not_be_are_a_mistake(person: Person, tmp_path: Path, words: list[str]) -> None:
    assert person.run("root", "init", "--dir", str(tmp_path / "f"), *words).code == 2
    assert not (tmp_path / "f").exists()


def test_a_key_counts_once_and_for_its_use(person: Person, tmp_path: Path) -> None:
    person.json("root", "key", str(tmp_path / "a.key"))
    a = str(tmp_path / "a.pub")
    words = ["root", "init", "--dir", str(tmp_path / "f"), "--targets-keys", "1"]
    said = person.run(*words, "--root-key", a, "--root-key", a)
    assert (said.code, "named twice" in said.err) == (11, True)
    said = person.run("root", "init", "--dir", str(tmp_path / "f"), "--root-key", a, "--targets-key", a)
    assert said.code == 11
    assert "the federation's root" in said.err


def test_a_weak_passphrase_makes_no_key(person: Person, tmp_path: Path) -> None:
    person.passphrase.write_text("short\n")
    assert person.run("root", "init", "--dir", str(tmp_path / "f"), "--keys", "1").code == 2
    assert not (tmp_path / "f").exists()


def test_without_a_passphrase_nothing_is_asked(person: Person, tmp_path: Path) -> None:
    said = invocation("root", "init", "--dir", str(tmp_path / "f"), "--keys", "1", "--no-input")
    assert said.code == 8
    assert "SECURECHAN_PASSPHRASE_FILE" in said.err


def test_a_folder_is_made_once(office: Office) -> None:
    assert office.error("init", "--keys", "1") == "conflict"


def test_a_folder_that_is_none_is_told(person: Person, tmp_path: Path) -> None:
    assert person.run("--json", "root", "status", "--dir", str(tmp_path)).error["code"] == "not-found"
    (tmp_path / "plan.json").write_text("{")
    assert person.run("root", "status", "--dir", str(tmp_path)).code == 11


# ------------------------------------------------------------------------------------------------------------ planning


def test_each_change_makes_the_ceremony_anew(office: Office) -> None:
    before = office.data("status")["ceremony"]
    after = office.data("policy", "--grace", "7d", "--lifetime", "roster=20d", "--threshold", "root=1")["ceremony"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    told = set(after["changes"]) - set(before["changes"])
    assert any("grace: 7 days" in line for line in told)
    assert office.data("policy")["lifetimes"]["roster"] == 20 * 86400


def test_a_ceremony_is_told_in_few_lines_and_in_full_where_that_is_asked(office: Office) -> None:
    """What a change costs to read must not grow with the federation; who signs is shown all of it in any case."""
    words = ["root", "policy", "--grace", "7d", "--dir", str(office.folder)]
    short = office.person.run(*words).out.splitlines()
    assert len(short) <= 7
    assert any("changes in root 1, targets 1" in line for line in short)
    assert any(line.startswith("signed     root 1: 0 of ") and "named in it" in line for line in short)
    assert short[-1] == f"next       each holder: securechan root sign {office.folder / 'ceremony.json'} --key FILE"
    full = office.person.run(*words, "--verbose").out.splitlines()
    assert "  + policy: grace: 7 days" in full
    assert len(full) > len(short)


def test_signatures_that_a_change_costs_are_told(office: Office) -> None:
    office.data("sign", str(office.folder / "ceremony.json"), "--yes", *office.key("targets-1"))
    said = office.person.run("root", "policy", "--grace", "7d", "--dir", str(office.folder))
    assert "signatures lost: 1" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["policy", "--lifetime", "roster"],
        ["policy", "--lifetime", "roster=soon"],
        ["policy", "--threshold", "roster=x"],
        ["community", "eu-csirts"],
        ["community", "eu-csirts", "--group", "xyz"],
    ],
)
def test_mistakes_are_told_as_such(office: Office, words: list[str]) -> None:
    assert office.person.run("root", *words, "--dir", str(office.folder)).code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["policy", "--lifetime", "nothing=3d"], "invalid"),
        (["policy", "--threshold", "root=99"], "invalid"),
        (["community", "No Name", "--founder", "cert-hr/desk"], "invalid"),
        (["remove-agency", "cert-hr"], "not-found"),
        (["remove-relay", "relay-9"], "not-found"),
        (["community", "eu-csirts", "--remove"], "not-found"),
        (["rotate"], "not-published"),
        (["renew"], "not-published"),
    ],
)
def test_what_can_not_be_changes_nothing(office: Office, words: list[str], code: str) -> None:
    before = {path: path.read_bytes() for path in office.folder.glob("*.json")}
    assert office.error(*words) == code
    assert {path: path.read_bytes() for path in office.folder.glob("*.json")} == before


@pytest.mark.parametrize(
    "content", ["", "[]", '{"v":1}', '{"v":2,"name":"x"}', '{"v":1,"name":"x","kem":"!","online":""}']
)
def test_what_is_no_card_is_told(content: str) -> None:
    with pytest.raises(Malformed):
        plan.add_relay(content.encode(), ())


def test_one_relay_publishes_and_others_mirror(office: Office, tmp_path: Path) -> None:
    office.data("add-relay", str(card(tmp_path, "relay-2")))
    plan = Folder(office.folder).plan()
    assert [(relay.name, relay.publisher) for relay in plan.relays] == [("relay-1", True), ("relay-2", False)]
    office.data("add-relay", str(card(tmp_path, "relay-1")), "--url", "wss://other.example.int")
    assert {relay.name: relay.urls[0] for relay in Folder(office.folder).plan().relays} == {
        "relay-1": "wss://other.example.int",
        "relay-2": "wss://relay-2.example.int",
    }
    office.data("remove-relay", "relay-2")
    assert [relay.name for relay in Folder(office.folder).plan().relays] == ["relay-1"]


def test_communities_come_and_go(office: Office) -> None:
    ceremony = office.data("community", "eu-csirts", "--founder", "cert-hr/desk")["ceremony"]
    assert isinstance(ceremony, dict)
    assert any("community eu-csirts" in line for line in ceremony["changes"])
    office.data("community", "eu-csirts", "--remove")
    assert Folder(office.folder).plan().communities == ()


# ------------------------------------------------------------------------------------------------------------- signing


def test_what_is_signed_is_shown_first_and_needs_a_yes(office: Office) -> None:
    path = office.folder / "ceremony.json"
    said = office.person.run("root", "sign", str(path), *office.key("root-1"))
    assert said.code == 2
    assert "+ relay relay-1" in said.err
    assert "--yes" in said.err


def test_a_wrong_passphrase_signs_nothing(office: Office) -> None:
    path = office.folder / "ceremony.json"
    before = path.read_bytes()
    office.person.passphrase.write_text("another phrase\n")
    said = office.person.run("--json", "root", "sign", str(path), "--yes", *office.key("targets-1"))
    assert (said.code, said.error["code"]) == (8, "wrong-passphrase")
    assert path.read_bytes() == before


def test_a_key_that_nothing_waits_for_is_told(office: Office, tmp_path: Path) -> None:
    path = str(office.folder / "ceremony.json")
    office.data("key", str(tmp_path / "stranger.key"), "--use", "targets")
    assert office.error("sign", path, "--yes", "--key", str(tmp_path / "stranger.key")) == "wrong-key"
    office.data("sign", path, "--yes", *office.key("targets-1"))
    assert office.error("sign", path, "--yes", *office.key("targets-1")) == "wrong-key"


def test_a_holder_who_knows_the_root_signs_no_other(office: Office) -> None:
    path = str(office.folder / "ceremony.json")
    assert office.error("sign", path, "--yes", "--root", "00" * 48, *office.key("root-1")) == "wrong-root"
    assert office.error("sign", path, "--yes", "--root", "00", *office.key("root-1")) == "usage"


def test_copies_that_were_signed_apart_are_merged_and_published(office: Office, tmp_path: Path) -> None:
    path, copy = office.folder / "ceremony.json", tmp_path / "copy.json"
    shutil.copy(path, copy)
    assert office.error("publish") == "threshold"
    office.data("sign", str(copy), "--yes", *office.key("root-1"))
    office.data("sign", str(path), "--yes", *office.key("targets-2"))
    assert office.data("merge", str(path), str(copy))["complete"]
    data = office.data("publish")
    bundle = Bundle.decode(Path(str(data["bundle"])).read_bytes())
    assert [role for role, _ in bundle.documents] == ["root", "targets"]
    assert office.data("status")["root"] == data["root"]
    assert Folder(office.folder).plan() == Plan()
    assert office.data("publish") == data  # once more, for who lost the file
    assert office.error("policy", "--grace", "8d") == "not-synced"


def test_a_copy_of_another_ceremony_is_refused(office: Office, tmp_path: Path) -> None:
    path, copy = office.folder / "ceremony.json", tmp_path / "copy.json"
    shutil.copy(path, copy)
    office.data("policy", "--grace", "7d")
    assert office.error("merge", str(path), str(copy)) == "conflict"


def test_what_is_no_ceremony_is_told(office: Office, tmp_path: Path) -> None:
    (tmp_path / "x").write_text('{"kind":"something else"}')
    assert office.error("sign", str(tmp_path / "x"), "--yes", *office.key("root-1")) == "malformed"
    assert office.error("sign", str(tmp_path / "y"), "--yes", *office.key("root-1")) == "not-found"


def test_online_needs_a_published_federation(office: Office) -> None:
    assert office.error("publish", *office.key("targets-1")) == "online"
    assert office.error("sync", *office.key("targets-1")) == "not-published"
    assert office.error("publish", *office.key("root-1")) == "wrong-key"
    assert not office.data("remake")["signatures_lost"]
    assert office.error("reset", "--yes") == "not-ready"
