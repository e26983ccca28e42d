"""clients/cli/{contact,device,key,verify}.py: the smaller verbs, in words."""

from __future__ import annotations

from clients.cli import contact, device, key, verify
from clients.cli.qr import drawn
from tests.clients.conftest import Town


def test_they_are_groups_of_their_own() -> None:
    assert all(module.app is not None for module in (contact, device, key, verify))


def test_contacts(town: Town) -> None:
    town.hr.json("sync")
    assert "liaison-1@cert-si" in town.hr.run("contact", "ls").out
    assert town.hr.run("contact", "show", "liaison-1@cert-si").out.startswith("officer  liaison-1@cert-si  (admin,")
    assert town.hr.run("contact", "show", "nobody@cert-si").code == 9


def test_devices(town: Town) -> None:
    town.hr.json("sync")
    assert "cert-hr/desk (this one)" in town.hr.run("device", "ls").out
    assert "cert-si/desk" in town.hr.run("device", "ls", "cert-si").out


def test_keys(town: Town) -> None:
    name = town.community()
    assert "ML-DSA-65+Ed25519  current" in town.hr.run("key", "ls").out
    rotated = town.hr.run("key", "rotate", "--epochs", "--in", name)
    assert rotated.out.startswith(f"renewed  {name}  epoch ")


def test_words_to_compare(town: Town) -> None:
    town.hr.json("sync")
    shown = town.hr.run("verify", "show", "liaison-1@cert-si").out
    words = town.hr.json("verify", "show", "liaison-1@cert-si")["words"]
    assert f"    {' '.join(words)}\n" in shown
    said = town.hr.run("verify", "confirm", "liaison-1@cert-si", "--words", "-".join(words).upper())
    assert said.out == "verified  liaison-1@cert-si\n"
    assert town.hr.run("verify", "show").code == 0


def test_a_code_for_a_camera(town: Town) -> None:
    town.hr.json("sync")
    town.si.json("sync")
    shown = town.hr.run("verify", "show", "liaison-1@cert-si", "--qr").out
    code = town.hr.json("verify", "show", "liaison-1@cert-si")["code"]
    assert f"{drawn(code, coloured=False)}\n\n{code}\n" in shown
    words = " ".join(town.hr.json("verify", "show", "liaison-1@cert-si")["words"])
    assert words not in shown
    assert words in town.hr.run("verify", "show", "liaison-1@cert-si", "--qr", "--words").out
    assert "securechan verify confirm liaison-1@cert-hr --scanned TEXT\n" in shown
    read = f"{code.lower()}\n".encode()
    confirmed = town.si.run("verify", "confirm", "liaison-1@cert-hr", "--scanned", "-", stdin=read)
    assert (confirmed.code, confirmed.out) == (0, "verified  liaison-1@cert-hr\n")
    assert town.hr.run("verify", "show", "--qr").code == 2
