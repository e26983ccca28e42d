"""clients/keyfile.py: a trust key in a file opens with its passphrase, for its use, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients import keyfile
from clients.keyfile import KeyFile, PublicKey, Use
from clients.passphrase import Passphrases
from securechan.errors import CannotOpen, Conflict, Invalid, Malformed, NotFound, NotReady
from securechan.trust.keys import Kind
from tests.clients.station import CHEAP, PASSPHRASE


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "COST", CHEAP)


@pytest.fixture
def right(tmp_path: Path) -> Passphrases:
    return said(tmp_path / "right", PASSPHRASE)


def said(path: Path, passphrase: str) -> Passphrases:
    path.write_text(passphrase)
    path.chmod(0o600)
    return Passphrases(file=path)


def make(folder: Path, use: Use = Use.TARGETS) -> KeyFile:
    return KeyFile.make(folder / "a.key", use, "a", PASSPHRASE)


def alter(path: Path, **changes: object) -> None:
    value = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize("use", list(Use))
def test_what_was_made_is_read_and_signs(tmp_path: Path, right: Passphrases, use: Use) -> None:
    made = make(tmp_path, use)
    read = KeyFile.load(tmp_path / "a.key", use)
    assert read == made
    assert read.unlock(right).keyid == made.public.keyid
    assert made.public.use.kind is (Kind.ROOT_PAIR if use is Use.ROOT else Kind.COMPOSITE)
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    for name in ("a.key", "a.pub"):
        assert PublicKey.load(tmp_path / name, use) == made.public


def test_the_private_key_is_in_neither_file(tmp_path: Path, right: Passphrases) -> None:
    private = make(tmp_path).private(right)
    for path in tmp_path.iterdir():
        assert private.hex() not in path.read_text()
        assert bytes(private) not in path.read_bytes()


def test_a_wrong_passphrase_opens_nothing(tmp_path: Path) -> None:
    made = make(tmp_path)
    with pytest.raises(NotReady) as e:
        made.unlock(said(tmp_path / "wrong", "another phrase"))
    assert e.value.code == "wrong-passphrase"


def test_a_key_is_for_one_use(tmp_path: Path) -> None:
    make(tmp_path, Use.ROSTER)
    with pytest.raises(Invalid) as e:
        KeyFile.load(tmp_path / "a.key", Use.TARGETS, Use.ROOT)
    assert e.value.code == "wrong-key"
    with pytest.raises(Invalid):
        PublicKey.load(tmp_path / "a.pub", Use.TARGETS)


def test_a_public_half_signs_nothing_and_leads_to_the_private_one(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(Invalid, match="public half") as e:
        KeyFile.load(tmp_path / "a.pub", Use.TARGETS)
    assert (e.value.code, e.value.hint) == ("wrong-key", f"name the private half: {tmp_path / 'a.key'}")


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    for load in (KeyFile.load, PublicKey.load):
        with pytest.raises(NotReady, match="is a folder") as e:
            load(tmp_path, Use.TARGETS)
        assert e.value.hint == "name the file that is meant"


def test_the_use_is_bound_to_the_passphrase(tmp_path: Path, right: Passphrases) -> None:
    make(tmp_path, Use.ROSTER)
    alter(tmp_path / "a.key", use="targets")
    with pytest.raises(NotReady):
        KeyFile.load(tmp_path / "a.key", Use.TARGETS).unlock(right)


def test_another_public_key_beside_the_private_one_is_noticed(tmp_path: Path, right: Passphrases) -> None:
    make(tmp_path)
    (tmp_path / "b").mkdir()
    other = json.loads((make(tmp_path / "b").path).read_text())
    alter(tmp_path / "a.key", public=other["public"])
    with pytest.raises((NotReady, CannotOpen)):
        KeyFile.load(tmp_path / "a.key").unlock(right)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    made = make(tmp_path)
    content = made.path.read_bytes()
    with pytest.raises(Conflict):
        make(tmp_path)
    made.path.rename(tmp_path / "kept")
    with pytest.raises(Conflict):
        make(tmp_path)
    assert (tmp_path / "kept").read_bytes() == content
    with pytest.raises(Invalid):
        KeyFile.make(tmp_path / "b.pub", Use.ROOT, "b", PASSPHRASE)


def test_what_others_may_read_is_refused(tmp_path: Path) -> None:
    make(tmp_path).path.chmod(0o640)
    with pytest.raises(NotReady) as e:
        KeyFile.load(tmp_path / "a.key")
    assert e.value.hint.startswith("chmod 600")


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "nothing"},
        {"name": 3},
        {"name": "a\x1b[2J"},
        {"public": "!"},
        {"v": 2},
        {"locked": "AAAA"},
        {"kind": "x"},
    ],
)
def test_what_is_no_key_file_is_told(tmp_path: Path, changes: dict[str, object]) -> None:
    make(tmp_path)
    alter(tmp_path / "a.key", **changes)
    with pytest.raises((Malformed, Invalid)):
        KeyFile.load(tmp_path / "a.key")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        KeyFile.load(tmp_path / "none.key")
