"""clients/profile.py: where things lie, who holds them, and how a passphrase comes in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.profile import Home, Profile
from securechan.errors import Malformed, NotFound, NotReady


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def profile(home: Home) -> Profile:
    made = home.profile("cert-hr")
    made.make()
    return made


# -------------------------------------------------------------------------------------------------------------- places


def test_one_variable_puts_everything_under_one_folder(tmp_path: Path) -> None:
    assert Home.find({"SECURECHAN_HOME": str(tmp_path)}).folder == tmp_path


def test_otherwise_xdg_says_where() -> None:
    assert Home.find({"XDG_STATE_HOME": "/x/state"}).folder == Path("/x/state/securechan")
    assert Home.find({"XDG_STATE_HOME": "not/absolute"}).folder == Path.home() / ".local/state/securechan"
    assert Home.find({}).folder == Path.home() / ".local/state/securechan"


@pytest.mark.parametrize("name", ["", "..", "a/b", ".x", "A", "x" * 65, "a b", "-x", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(home: Home, name: str) -> None:
    with pytest.raises(Malformed):
        home.profile(name)


def test_flag_over_environment_over_file_over_the_only_one(home: Home) -> None:
    assert home.current(None, {}).name == "default"
    home.profile("one").make()
    assert home.current(None, {}).name == "one"
    home.profile("two").make()
    assert home.current(None, {}).name == "default"
    home.use("two")
    assert home.current(None, {}).name == "two"
    assert home.current(None, {"SECURECHAN_PROFILE": "one"}).name == "one"
    assert home.current("three", {"SECURECHAN_PROFILE": "one"}).name == "three"
    assert [p.name for p in home.profiles()] == ["one", "two"]


def test_only_what_is_there_can_be_chosen(home: Home) -> None:
    with pytest.raises(NotFound):
        home.use("nobody")


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"profile": '])
def test_a_broken_config_is_told(home: Home, content: str) -> None:
    home.folder.mkdir()
    (home.folder / "config.json").write_text(content)
    with pytest.raises(Malformed, match=r"config\.json"):
        home.current(None, {})


def test_a_folder_that_others_may_look_into_is_refused(profile: Profile) -> None:
    profile.folder.chmod(0o755)
    with pytest.raises(NotReady) as e:
        profile.make()
    assert e.value.hint == f"chmod 700 {profile.folder}"


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady, match="no folder"):
        Home(tmp_path / "file").profile("x").make()


def test_there_is_nothing_at_first(profile: Profile) -> None:
    assert not profile.enrolled
    assert profile.holder() is None


# ---------------------------------------------------------------------------------------------------------------- lock

HOLDER = """
import sys
from pathlib import Path
from clients.profile import Profile
with Profile("cert-hr", Path(sys.argv[1])).hold("securechan watch"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(profile: Profile) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(profile.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_held_profile_names_its_holder(profile: Profile, other: subprocess.Popen[str]) -> None:
    with pytest.raises(NotReady) as e, profile.hold("securechan send"):
        pass
    assert e.value.code == "profile-locked"
    assert f"in use by securechan watch (process {other.pid}, since 2" in e.value.message
    assert str(other.pid) in e.value.hint
    holder = profile.holder()
    assert holder is not None
    assert (holder.pid, holder.command) == (other.pid, "securechan watch")


def test_a_holder_that_was_killed_holds_nothing(profile: Profile, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert profile.holder() is None
    with profile.hold("securechan send"):
        holder = profile.holder()
        assert holder is not None
        assert holder.command == "securechan send"
    assert profile.holder() is None


def test_a_holder_without_a_name_is_still_a_holder(profile: Profile, other: subprocess.Popen[str]) -> None:
    (profile.folder / "lock").write_text("garbage")
    with pytest.raises(NotReady, match="another process"), profile.hold("x"):
        pass
    assert profile.holder() is not None


def test_the_lock_is_let_go_after_an_error_too(profile: Profile) -> None:
    with pytest.raises(ZeroDivisionError), profile.hold("x"):
        raise ZeroDivisionError
    with profile.hold("y"):
        pass
