"""Settings: defaults that serve, and a line and a remedy for every mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.config import home_folder, load
from securechan.errors import NotFound, Unfit
from tests.support.relayproc import ROOT


def written(home: Path, text: str) -> Path:
    (home / "relay.toml").write_text(text)
    return home


def test_nothing_need_be_set(tmp_path: Path) -> None:
    settings = load(tmp_path, environment={})
    assert (settings.name, settings.host, settings.port, settings.store) == ("relay", "127.0.0.1", 8765, "sqlite")
    assert settings.address(9) == "ws://127.0.0.1:9"


def test_environment_over_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    home = written(tmp_path, 'name = "one"\nport = 1\nhost = "::1"\n[quotas]\nidle = 60\nin_flight = 2\n')
    environment = {
        "SECURECHAN_RELAY_NAME": "two",
        "SECURECHAN_RELAY_PORT": "2",
        "SECURECHAN_RELAY_QUOTAS__IDLE": "70",
        "SECURECHAN_RELAY_HOME": "/elsewhere",
        "SECURECHAN_RELAY": "ws://not-ours",
    }
    settings = load(home, environment=environment, said={"port": 3})
    assert (settings.name, settings.port, settings.quotas.idle, settings.quotas.in_flight) == ("two", 3, 70, 2)
    assert settings.address(3) == "ws://[::1]:3"


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('name = "ok"\nport = 99999\n', "line 2", "port"),
        ('name = "Not A Name"\n', "line 1", "lower-case"),
        ("[quotas]\n# a comment\nidle = 1\n", "line 3", "quotas.idle"),
        ("[quotas]\nidel = 60\n", "line 2", "no such setting"),
        ('\nurl = "http://x"\n', "line 2", "wss://"),
        ('[tls]\ncertificate = "x"\n', "line 1", "tls.key"),
        ("quotas.idle = 1\n", "line 1", "quotas.idle"),
        ("port = \n", "line 1", "TOML"),
        ("nmae = 'a'\n", "line 1", "did you mean name?"),
        ("[quotas]\nbandwith = 5000\n", "line 2", "did you mean quotas.bandwidth?"),
        ("[tls]\ncertifcate = 'c'\nkey = 'k'\n", "line 1", "tls.certificate: this is missing"),
        ("[agencies.cert-hr]\nstord = 1\n", "line 2", "did you mean agencies.cert-hr.stored?"),
        ("[agencies.'Not A Name']\n", "line 1", "no agency's name"),
        ("proxies = ['10.0.0.5', 'there']\n", "line 1", "'there' is no address"),
        ("proxies = 7\n", "line 1", "a list"),
        ("xyzzy = 1\n", "line 1", "no such setting"),
    ],
)
def test_a_mistake_names_its_line_and_what_is_wrong(tmp_path: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(Unfit) as caught:
        load(written(tmp_path, text), environment={})
    error = caught.value
    assert where in error.findings[0].where
    assert what in error.message
    assert error.hint


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unfit) as caught:
        load(written(tmp_path, 'port = "x"\nstore = "floppy"\nlgo = 1\n'), environment={})
    assert sorted(found.where.rpartition(" ")[2] for found in caught.value.findings) == ["1", "2", "3"]


def test_a_mistake_in_the_environment_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(Unfit) as caught:
        load(tmp_path, environment={"SECURECHAN_RELAY_QUOTAS__IDLE": "never"})
    assert caught.value.findings[0].where == "SECURECHAN_RELAY_QUOTAS__IDLE"


def test_proxies_and_shares(tmp_path: Path) -> None:
    home = written(tmp_path, 'proxies = ["10.0.0.0/8"]\n[agencies.cert-hr]\nstored = 5\nbandwidth = 2048\n')
    settings = load(home, environment={})
    assert settings.agencies["cert-hr"].stored == 5
    assert settings.agencies["cert-hr"].appends_per_minute is None
    settings = load(home, environment={"SECURECHAN_RELAY_PROXIES": "10.0.0.5, fd00::/64"})
    assert [str(network) for network in settings.proxies] == ["10.0.0.5/32", "fd00::/64"]


def test_what_can_be_set_is_listed_where_something_cannot(tmp_path: Path) -> None:
    with pytest.raises(Unfit) as caught:
        load(written(tmp_path, "[agencies.cert-hr]\nxyzzy = 1\n"), environment={})
    assert caught.value.hint.endswith("appends_per_minute, bandwidth, bytes_per_day, stored")


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(tmp_path, tmp_path / "other.toml", environment={})


def test_files_are_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    home = written(tmp_path, '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n')
    with pytest.raises(Unfit, match=r"c\.pem does not exist"):
        load(home, environment={})
    for name in ("c.pem", "k.pem"):
        (home / name).touch()
    settings = load(home, environment={})
    assert settings.tls is not None
    assert settings.tls.certificate == tmp_path / "c.pem"
    assert settings.address(1) == "wss://127.0.0.1:1"


def test_where_the_folder_is(tmp_path: Path) -> None:
    assert home_folder(tmp_path, {"SECURECHAN_RELAY_HOME": "/x"}) == tmp_path
    assert home_folder(None, {"SECURECHAN_RELAY_HOME": "/x", "XDG_STATE_HOME": "/s"}) == Path("/x")
    assert home_folder(None, {"XDG_STATE_HOME": "/s"}) == Path("/s/securechan-relay")
    assert home_folder(None, {}).name == "securechan-relay"


def test_a_mirror_is_beside_the_configuration_and_of_the_embedded_store(tmp_path: Path) -> None:
    home = written(tmp_path, 'mirror = "../second"\n')
    assert load(home, environment={}).mirror == tmp_path / "../second"
    with pytest.raises(Unfit, match="the memory store has none") as caught:
        load(home, environment={"SECURECHAN_RELAY_STORE": "memory"})
    assert caught.value.findings[0].where.endswith("line 1")


def test_what_the_readme_sets_can_be_set(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    for name in ("fullchain.pem", "key.pem"):
        (tmp_path / name).touch()
    settings = load(written(tmp_path, block), environment={})
    assert settings.agencies["cert-aa"].stored == 100 << 30
    assert settings.mirror == Path("/mnt/second/relay")
