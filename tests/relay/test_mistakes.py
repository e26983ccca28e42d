"""relay/mistakes.py: every mistake in the configuration is told with its place, its key and what would be right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.config import PREFIX, Settings, load
from relay.mistakes import Declared, Source
from securechan.errors import NotReady, Unfit


def refused(home: Path, text: str = "", **environment: str) -> Unfit:
    (home / "relay.toml").write_text(text)
    with pytest.raises(Unfit) as caught:
        load(home, environment={PREFIX + name: value for name, value in environment.items()})
    return caught.value


# What pydantic and tomllib say of these goes to no operator.
@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("port = 99999", "line 1: port is 99999: it must be a whole number from 0 to 65535", "left out it is 8765"),
        ('\nport = "x"', 'line 2: port is "x": it must be a whole number from 0 to 65535', "0 picks a free one"),
        ("port = 1.5", "line 1: port is 1.5: it must be a whole number from 0 to 65535", "the port to listen on"),
        ("port = true", "line 1: port is true: no setting is true or false", "the port to listen on"),
        ('host = ""', 'line 1: host is "": it must be a text in double quotes, not an empty one', "address to listen"),
        ('host = "0.0.0.0 8765"', 'line 1: host is "0.0.0.0 8765": an address to listen on looks like', "127.0.0.1"),
        ('store = "floppy"', 'line 1: store is "floppy": it must be "sqlite", "nats" or "memory"', "many relays share"),
        ('log = "xml"', 'line 1: log is "xml": it must be "text" or "json"', 'left out it is "text"'),
        ("mirror = 5", "line 1: mirror is 5: it must be a path in double quotes", "another disk"),
        ('mirror = ""', 'line 1: mirror is "": it must be a path in double quotes, not an empty one', "another disk"),
        ("[quotas]\nidle = 1", "line 2: quotas.idle is 1: it must be a whole number from 10 to 3600", "silence"),
        ('[quotas]\nbuffer = "8 MiB"', 'line 2: quotas.buffer is "8 MiB": it must be a whole', "write 8388608"),
        ("[quotas]\nhandshake_timeout = 0", "it must be a number above 0 and up to 120", "left out it is 10.0"),
        ("quotas = 5", "line 1: quotas is 5: it must be a table: [quotas] on a line of its own", "leave it out"),
        ("[quotas.idle]\nx = 1", 'line 1: quotas.idle is {"x": 1}: it must be a whole number', "silence"),
        ("[nats]\nservers = []", "line 2: nats.servers: it must be a list of at least 1", "addresses"),
        (
            "[agencies.cert-hr]\nstored = -1",
            "agencies.cert-hr.stored is -1: it must be a whole number of 0 or",
            "bytes",
        ),
        ("proxies = [5]", "line 1: proxies is [5]: 5 is no address like 10.0.0.5", "X-Forwarded-For"),
        ('[tls]\ncertificate = "c"', "line 1: tls.key: this is missing", "add key to [tls], or leave the table out"),
        ("[quota]\nidle = 60", "line 1: quota: there is no such setting; did you mean quotas?", "settings are: name"),
        ("Port = 1", "line 1: Port: there is no such setting; did you mean port?", "settings are: name"),
        ("idle = 60", "line 1: idle: there is no such setting; it belongs to [quotas]", "settings are: name"),
        ("[quotas]\nport = 1", "line 2: quotas.port: there is no such setting; port stands above all tables", "in [qu"),
        ("a.b.c = 1", "line 1: a: there is no such setting", "settings are: name"),
        ("port = 1\nport = 2", "line 2: this is not TOML: port = 2 is set for the second time", "leave one of the two"),
        ("name = relay", "line 1: this is not TOML: name = relay: a text stands in double", 'write name = "relay"'),
        ("port =", "line 1: this is not TOML: port has no value", "put one behind the ="),
        ("\n[tls", "line 2: this is not TOML: expected ']' at the end of a table declaration: [tls", "mend the line"),
        ('port = 1\nname = "x', "line 2: this is not TOML:", "mend the line"),
    ],
)
def test_in_the_file(tmp_path: Path, text: str, told: str, hint: str) -> None:
    error = refused(tmp_path, text)
    assert error.message.startswith(f"{tmp_path / 'relay.toml'} line ")
    assert told in error.message
    assert hint in error.hint
    assert "Input should" not in error.message


@pytest.mark.parametrize(
    ("variable", "value", "told", "hint"),
    [
        ("PORT", "x", 'port is "x": it must be a whole number from 0 to 65535', "left out it is 8765"),
        ("STORE", "floppy", 'store is "floppy": it must be sqlite, nats or memory', "many relays share"),
        ("NMAE", "x", "nmae: there is no such setting; did you mean SECURECHAN_RELAY_NAME?", "settings are: name"),
        ("QUOTAS_IDLE", "60", "did you mean SECURECHAN_RELAY_QUOTAS__IDLE?", "settings are: name"),
        ("QUOTA__IDLE", "60", "did you mean SECURECHAN_RELAY_QUOTAS__IDLE?", "settings are: name"),
        ("PORT__X", "1", "port.x: there is no such setting; did you mean SECURECHAN_RELAY_PORT?", "settings are: name"),
        ("QUOTAS", "5", 'quotas is "5": it must be a table', "leave it out"),
        ("TLS__CERTIFICATE", "c", "tls.key: this is missing", "set SECURECHAN_RELAY_TLS__KEY too"),
        ("AGENCIES__CERT-HR__STORD", "1", "did you mean SECURECHAN_RELAY_AGENCIES__CERT-HR__STORED?", "in [agencies.c"),
        ("MIRROR", "m", "mirror: the memory store has none", "leave it out"),
    ],
)
def test_in_the_environment(tmp_path: Path, variable: str, value: str, told: str, hint: str) -> None:
    more = {"STORE": "memory"} if variable == "MIRROR" else {}
    error = refused(tmp_path, "# nothing\n", **{variable: value}, **more)
    assert error.message.startswith(f"{PREFIX}{variable}: ")
    assert told in error.message
    assert hint in error.hint


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("port = 7\n")
    assert load(tmp_path, environment={"SECURECHAN_RELAY_PORT": "", "SECURECHAN_RELAY_NOTHING": ""}).port == 7


def test_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="--port: port is 99999"):
        load(tmp_path, environment={}, said={"port": 99999})


def test_those_of_the_file_and_of_the_environment_together(tmp_path: Path) -> None:
    error = refused(tmp_path, "port = 99999\n", NMAE="x")
    assert [found.where.rpartition("/")[2] for found in error.findings] == [
        "SECURECHAN_RELAY_NMAE",
        "relay.toml line 1",
    ]


def test_what_may_hold_a_password_is_not_repeated(tmp_path: Path) -> None:
    error = refused(tmp_path, '[nats]\nservers = "http://us:secret@there"\n')
    assert "secret" not in error.message + error.hint


def test_what_does_not_go_together_names_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, 'port = 7\nmetrics_port = 7\n[tls]\ncertificate = "c"\nkey = "k"\n')
    assert [(found.where[-6:], found.what.partition(":")[0]) for found in error.findings] == [
        ("line 2", "metrics_port"),
        ("line 4", "tls.certificate"),
        ("line 5", "tls.key"),
    ]


def test_what_is_no_text_or_no_file(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_bytes(b"port = 1\n# \xff\n")
    with pytest.raises(Unfit, match="line 2: this is not text in UTF-8"):
        load(tmp_path, environment={})
    path.unlink()
    path.mkdir()
    with pytest.raises(NotReady, match="is a folder"):
        load(tmp_path, environment={})
    (tmp_path / "file").touch()
    with pytest.raises(NotReady, match=re.escape("can't be read")):
        load(tmp_path / "file", environment={})


def test_every_setting_says_what_it_is() -> None:
    declared = Declared.of(Settings)
    silent = [each for each in declared.all() if not (declared.at(each) or {}).get("description")]
    assert silent == []
    assert declared.at(("quotas", "idle", "x")) is None
    assert declared.names(("agencies", "cert-hr")) == declared.names(("agencies", "cert-si"))


def test_the_place_is_where_it_stands(tmp_path: Path) -> None:
    text = 'name = "x"\n# port = 1\n[quotas] # these\nidle = 60\n\n[agencies."cert-hr"]\nstored = 1\ntls.key = 1\n'
    source = Source(tmp_path, text)
    lines = {("name",): 1, ("quotas",): 3, ("quotas", "idle"): 4, ("quotas", "stall"): 3, ("port",): 0}
    lines[("agencies", "cert-hr", "stored")] = 7
    lines[("agencies", "cert-hr", "tls")] = 8
    for where, line in lines.items():
        assert source.place(where) == (f"{tmp_path} line {line}" if line else str(tmp_path))
