"""clients/operations/proof.py: proved to a stranger, and every lie is caught."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from clients.operations.proof import verify
from securechan.bulletin.bulletin import Export, SignedBulletin
from securechan.errors import BadSignature, CannotOpen, Malformed, Untrusted
from tests.clients.conftest import Town
from tests.clients.operations.conftest import publish
from tests.clients.station import run


def test_an_export_is_verified_without_a_profile_and_every_lie_is_caught(town: Town, csaf: str, tmp_path: Path) -> None:
    name = town.community()
    bulletin = publish(town, csaf, name)
    town.si.json("sync")
    path = tmp_path / "bulletin.scb"
    exported = town.si.json("bulletin", "export", bulletin, "-o", str(path))
    root = bytes.fromhex(exported["root_id"])
    assert root == town.founded.root_id
    packed = path.read_bytes()
    good = verify(packed, root)
    assert (good["bulletin"], good["issuer"], good["device"]) == (bulletin, "cert-hr", "cert-hr/desk")
    assert base64.b64decode(good["content"]) == Path(csaf).read_bytes()
    assert good["fresh_when_signed"]
    assert good["revoked"] is None
    with pytest.raises(Untrusted):
        verify(packed, bytes(48))
    with pytest.raises(CannotOpen, match="damaged"):
        verify(packed[:-1], root)
    with pytest.raises(Malformed):
        verify(packed[1:], root)
    content = Path(csaf).read_bytes()
    with pytest.raises(CannotOpen, match="damaged"):
        verify(packed.replace(content, content.replace(b"Patch now", b"Patch not")), root)
    export = Export.unpack(packed)
    signature = export.bulletin.signature
    with pytest.raises(BadSignature):
        verify(packed.replace(signature, bytes(len(signature))), root)
    with pytest.raises(Untrusted):
        verify(Export(export.bulletin, ()).pack(), root)


def test_verification_in_the_channel_knows_what_came_later_and_a_file_alone_does_not(
    town: Town, csaf: str, tmp_path: Path
) -> None:
    name = town.community()
    bulletin = publish(town, csaf, name, "--valid", "1h")
    town.si.json("sync")
    files = [tmp_path / f"rev-{n}.scb" for n in (1, 2, 3)]
    exported = town.si.json("bulletin", "export", bulletin, "-o", str(files[0]))
    assert exported["newest"]["revision"] == 1
    verify_first = ("bulletin", "verify", str(files[0]))
    first = town.si.json(*verify_first)
    assert (first["looked"], first["known"]["same"], first["known"]["newest"]["revision"]) == (True, True, 1)
    assert "newest     as far as this device has read" in town.si.run(*verify_first).out

    town.hr.json("bulletin", "revise", bulletin, csaf)
    town.hr.json("bulletin", "export", bulletin, "-o", str(files[1]))
    ahead = town.si.run("bulletin", "verify", str(files[1]))  # which it has not read yet
    assert (ahead.code, "newer      than rev 1, the last" in ahead.out) == (0, True)
    assert town.si.json("bulletin", "verify", str(files[1]))["known"]["same"] is None
    town.hr.json("bulletin", "withdraw", bulletin, "--reason", "a false alarm", "--yes")
    late = town.hr.run("bulletin", "export", bulletin, "--revision", "1", "-o", str(tmp_path / "late.scb"))
    assert "withdrawn  by rev 3" in late.err
    town.si.json("sync")
    town.si.json("bulletin", "export", bulletin, "-o", str(files[2]))

    first = town.si.json(*verify_first)
    newest = first["known"]["newest"]
    assert (first["status"], newest["status"], newest["revision"]) == ("active", "withdrawn", 3)
    said = town.si.run(*verify_first)
    assert (said.code, "withdrawn  by rev 3  20" in said.out, "a false alarm" in said.out) == (0, True, True)

    elsewhere = ("--home", str(tmp_path / "none"), "--no-input")
    root = ("--root-id", exported["root_id"])
    alone = run(*elsewhere, *verify_first, *root)
    assert "a file can't know whether it was revised or withdrawn afterwards" in alone.out
    told = run(*elsewhere, "--json", *verify_first, *root).data
    assert (told["looked"], told["known"]) == (False, None)
    withdrawal = run(*elsewhere, "bulletin", "verify", str(files[2]), *root)  # this one knows
    assert "withdrawn  this revision withdraws it, which is final" in withdrawal.out
    assert "can't know" not in withdrawal.out
    stranger = town.again("who-never-had-it")
    stranger.json("sync")
    said = stranger.run(*verify_first)
    assert (said.code, "this device has not received it" in said.out) == (0, True)


def test_a_time_that_is_over_is_said(town: Town, csaf: str, tmp_path: Path) -> None:
    path = tmp_path / "bulletin.scb"
    bulletin = publish(town, csaf, town.community(), "--valid", "1h")
    town.hr.json("bulletin", "export", bulletin, "-o", str(path))
    packed, root = path.read_bytes(), town.founded.root_id
    until = Export.unpack(packed).claim.valid_until
    assert [verify(packed, root, now)["lapsed"] for now in (0, until - 1, until, until + 1)] == [
        False,
        False,
        True,
        True,
    ]


def test_another_text_under_the_same_number_is_told(town: Town, csaf: str, tmp_path: Path) -> None:
    """As a desk could only do that signs behind its own members' backs."""
    path = tmp_path / "bulletin.scb"
    bulletin = publish(town, csaf, town.community())
    town.hr.json("bulletin", "export", bulletin, "-o", str(path))
    export = Export.unpack(path.read_bytes())
    key = private(town, "cert-hr/desk")
    header = replace(export.claim, title="Quite another")
    path.write_bytes(Export(SignedBulletin.create(header, export.bulletin.content, key), export.evidence).pack())
    said = town.hr.run("bulletin", "verify", str(path))
    assert said.code == 0  # it is signed; whoever signed it has said two things
    assert "has another text as rev 1" in said.err
    assert town.hr.json("bulletin", "verify", str(path))["known"]["same"] is False


def private(town: Town, device: str) -> bytes:
    key: bytes = town.founded.devices[device].key.private
    return key
