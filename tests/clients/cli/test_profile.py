"""clients/cli/profile.py and clients/operations/profile.py: the identities on this machine."""

from __future__ import annotations

from pathlib import Path

from clients.line import Line
from clients.operations import profile as profiles
from clients.profile import Home
from tests.clients.station import run
from tests.relay.certificates import certify


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
