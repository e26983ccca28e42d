"""clients/cli/proof.py: a file that proves a bulletin, and what each way of spoiling it exits with."""

from __future__ import annotations

from pathlib import Path

from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import run


def test_exported_and_verified(town: Town, csaf: str, tmp_path: Path) -> None:
    bulletin = town.hr.json("bulletin", "publish", csaf, "--to", town.community())["bulletin"]
    town.si.json("sync")
    file = tmp_path / "out.scb"
    exported = town.si.run("bulletin", "export", bulletin, "-o", str(file))
    root = exported.out.split("--root-id ")[1].strip()
    again = town.si.run("bulletin", "export", bulletin, "-o", str(file))
    assert again.code == 12
    assert "--force" in again.err
    assert town.si.run("bulletin", "export", bulletin, "-o", str(file), "--force").code == 0
    kept = tmp_path / "kept"
    kept.write_bytes(b"precious")
    words = ["--home", str(tmp_path / "none"), "bulletin", "verify", str(file), "--root-id", root, "-o", str(kept)]
    assert run(*words).code == 12
    assert town.si.run("bulletin", "show", bulletin, "--raw", "-o", str(kept)).code == 12
    assert kept.read_bytes() == b"precious"
    verified = run(*words, "--force")
    assert kept.read_bytes() == Path(csaf).read_bytes()
    assert verified.code == 0
    assert verified.out.startswith(f"good       {bulletin} rev 1")
    assert town.si.run("bulletin", "verify", str(file)).code == 0
    assert run("bulletin", "verify", str(file), "--root-id", "00" * 48).code == 4
    assert run("bulletin", "verify", str(file), "--root-id", "xyz").code == 2
    whole = file.read_bytes()
    middle, document = len(whole) // 2, Path(csaf).read_bytes()
    for broken, code in (
        (whole[:-7], 6),
        (whole[:middle], 6),
        (whole.replace(document, document[:-9] + b" " * 9), 6),
        (whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:], 4),
    ):
        file.write_bytes(broken)
        assert run("bulletin", "verify", str(file), "--root-id", root).code == code
    file.write_bytes(whole[:-7])
    cut = run("bulletin", "verify", str(file), "--root-id", root).err
    assert "damaged, cut or altered" in cut
    assert "hint: fetch it again" in cut
    file.write_bytes(b"x" + whole)
    assert run("bulletin", "verify", str(file), "--root-id", root).code == 11


def test_who_has_no_profile_is_told_to_name_the_federation(person: Person, tmp_path: Path) -> None:
    (tmp_path / "export.scb").write_bytes(b"x")
    said = person.run("bulletin", "verify", str(tmp_path / "export.scb"))
    assert said.code == 8
    assert "--root-id" in said.err
