"""clients/cli/profile.py and clients/operations/profile.py: the identities on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clients.line import Line
from clients.operations import profile as profiles
from clients.profile import Home
from clients.vault import Put, Vault
from securechan.errors import NotReady
from tests.clients.station import CHEAP, PASSPHRASE, Said, run
from tests.relay.certificates import certify
from tests.support.terminal import Terminal


def test_an_empty_home_has_none(tmp_path: Path) -> None:
    said = run("profile", "ls", "--home", str(tmp_path))
    assert (said.code, said.out) == (0, "")
    assert "securechan enrol" in said.err


def test_they_are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("desk", "laptop"):
        home.profile(name).make()
    assert run("profile", "use", "laptop", "--home", str(tmp_path)).code == 0
    listed = run("--json", "profile", "ls", "--home", str(tmp_path)).data
    assert [(each["profile"], each["current"], each["enrolled"]) for each in listed] == [
        ("desk", False, False),
        ("laptop", True, False),
    ]
    assert run("profile", "ls", "--home", str(tmp_path)).out == "   desk    empty\n*  laptop  empty\n"


def test_who_holds_one_is_told(tmp_path: Path) -> None:
    profile = Home(tmp_path).profile("desk")
    with profile.hold("securechan watch"):
        shown = run("--json", "profile", "show", "desk", "--home", str(tmp_path)).data
        assert shown["held_by"]["command"] == "securechan watch"
        assert "securechan watch" in run("profile", "show", "--home", str(tmp_path)).out
    assert profiles.show(profile, "desk")["held_by"] is None


def test_one_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    for words in (["use", "desk"], ["show", "desk"]):
        assert run("--json", "profile", *words, "--home", str(tmp_path)).error["code"] == "not-found"
    assert run("profile", "show", "../x", "--home", str(tmp_path)).code == 2


def test_the_way_to_the_relay_is_set_shown_and_taken_back(tmp_path: Path) -> None:
    certificate, _ = certify(tmp_path)
    home = str(tmp_path / "home")
    said = run(
        "--json", "profile", "set", "--proxy", "http://u:secret@proxy:3128", "--ca", str(certificate), "--home", home
    )
    assert (said.data["proxy"], said.data["ca"]) == ("http://proxy:3128", str(certificate))
    assert Line.load(Path(home) / "profiles" / "default") == Line("http://u:secret@proxy:3128", certificate)
    told = run("profile", "show", "--home", home)
    assert "proxy      http://proxy:3128" in told.out
    assert "secret" not in told.out
    assert run("profile", "set", "--proxy", "", "--ca", "none", "--home", home).code == 0
    assert (
        "proxy      as the system says\nbelieves   the certificates of the system"
        in run("profile", "show", "--home", home).out
    )


def test_a_way_that_cannot_be_is_refused(tmp_path: Path) -> None:
    home = str(tmp_path)
    for address in ("ftp://x", "nonsense"):
        assert run("--json", "profile", "set", "--proxy", address, "--home", home).error["code"] == "bad-proxy"
    assert run("--json", "profile", "set", "--ca", str(tmp_path / "no.pem"), "--home", home).error["code"] == "bad-ca"
    assert run("profile", "set", "--home", home).code == 2
    assert Line.load(tmp_path / "profiles" / "default") == Line()


# --------------------------------------------------------------------------------------------------------- passphrase

FRESH = "another long phrase"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with a profile, and beside it the files ``old`` and ``new``."""
    monkeypatch.setitem(Vault.change_passphrase.__kwdefaults__, "cost", CHEAP)
    home = tmp_path / "home"
    profile = Home(home).profile("default")
    profile.make()
    Vault.create(profile.vault, PASSPHRASE, writes=[Put("t", "a", b"kept")], cost=CHEAP).close()
    for name, held in (("old", PASSPHRASE), ("new", FRESH)):
        file = tmp_path / name
        file.write_text(f"{held}\n")
        file.chmod(0o600)
    return home


def change(home: Path, *words: str) -> Said:
    """With the old one from its file."""
    old = ["--passphrase-file", str(home.parent / "old"), "--no-input"]
    return run("profile", "passphrase", "--home", str(home), *old, *words)


def opens(home: Path, passphrase: str) -> bool:
    try:
        vault = Vault.open(Home(home).profile("default").vault, passphrase)
    except NotReady as e:
        if e.code != "wrong-passphrase":
            raise
        return False
    with vault:
        return vault.all("t") == {"a": b"kept"}


def test_a_passphrase_is_changed_and_what_stays_is_told(home: Path) -> None:
    key = Home(home).profile("default").keys / "authority-1.key"
    key.parent.mkdir()
    key.write_text("{}")
    said = change(home, "--new-passphrase-file", str(home.parent / "new"))
    assert (said.code, said.out) == (0, "changed    the passphrase of profile default\n")
    assert f"{home.parent / 'old'} still holds the old passphrase" in said.err
    assert f"these keys keep passphrases of their own: {key}" in said.err
    assert opens(home, FRESH)
    assert not opens(home, PASSPHRASE)


def test_scripts_are_told_it_too(home: Path) -> None:
    read, write = os.pipe()
    os.write(write, f"{FRESH}\n".encode())
    os.close(write)
    try:
        data = change(home, "--json", "--new-passphrase-fd", str(read)).data
    finally:
        os.close(read)
    assert data == {"profile": "default", "folder": str(Home(home).profile("default").folder), "keys": []}
    assert opens(home, FRESH)


def test_a_new_passphrase_that_will_not_do_changes_nothing(home: Path) -> None:
    new = home.parent / "new"
    for held, code in ((PASSPHRASE, "same-passphrase"), ("short", "weak-passphrase")):
        new.write_text(f"{held}\n")
        said = change(home, "--json", "--new-passphrase-file", str(new))
        assert (said.code, said.error["code"]) == (2, code)
    new.write_text("\n")
    said = change(home, "--json", "--new-passphrase-file", str(new))
    assert (said.code, said.error["code"]) == (8, "passphrase-file")
    assert opens(home, PASSPHRASE)


def test_the_variable_never_names_the_new_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAN_PASSPHRASE_FILE", str(home.parent / "new"))
    said = change(home, "--json")
    assert (said.code, said.error["code"]) == (8, "passphrase-needed")
    assert said.error["hint"] == "use --new-passphrase-file or --new-passphrase-fd"
    said = change(home, "--json", "--new-passphrase-file", str(home / "nothing"))
    assert (said.code, said.error["hint"]) == (8, "check --new-passphrase-file")
    assert opens(home, PASSPHRASE)


def test_sources_that_contradict_each_other_are_a_mistake(home: Path) -> None:
    assert change(home, "--new-passphrase-file", "x", "--new-passphrase-fd", "3").code == 2
    assert change(home, "--passphrase-fd", "3", "--new-passphrase-fd", "3").code == 2
    assert opens(home, PASSPHRASE)


def test_the_old_one_must_be_right_and_nobody_else_there(home: Path) -> None:
    words = ["--json", "--new-passphrase-file", str(home.parent / "new")]
    with Home(home).profile("default").hold("securechan watch"):
        said = change(home, *words)
        assert (said.code, said.error["code"]) == (8, "profile-locked")
        assert "securechan watch" in said.error["message"]
        assert said.error["hint"].startswith("end it, then try again")
    (home.parent / "old").write_text("not this one\n")
    said = change(home, *words)
    assert (said.code, said.error["code"]) == (8, "wrong-passphrase")
    assert opens(home, PASSPHRASE)


def test_where_nothing_is_there_to_open_nothing_is_made(home: Path) -> None:
    words = ["--json", "--new-passphrase-file", str(home.parent / "new")]
    said = change(home, "elsewhere", *words)
    assert (said.code, said.error["code"]) == (8, "not-enrolled")
    assert not (home / "profiles" / "elsewhere").exists()


def test_a_person_is_asked_for_the_old_one_and_twice_for_the_new_one(home: Path) -> None:
    new = "new passphrase for profile default (8 characters or more): "
    with Terminal("--home", str(home), "profile", "passphrase") as terminal:
        terminal.answer("passphrase of profile default: ", PASSPHRASE)
        terminal.answer(new, PASSPHRASE)
        terminal.answer("the new passphrase is the old one, try again\n" + new, FRESH)
        terminal.answer("the same again: ", FRESH)
        assert terminal.end() == 0
        assert terminal.screen.endswith("changed    the passphrase of profile default\n")
    assert opens(home, FRESH)
