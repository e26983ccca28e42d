"""Names have one spelling, and none that reads like another's."""

from __future__ import annotations

import pytest

from securechan.errors import Invalid
from securechan.trust import names


@pytest.mark.parametrize("name", ["cert-hr", "ab", "a1", "nato-circ", "x" * 40, "cert-1", "bsi"])
def test_agencies_are_called_so(name: str) -> None:
    assert names.check_agency(name) == name


@pytest.mark.parametrize(
    "name", ["", "a", "x" * 41, "Cert", "1cert", "-cert", "cert-", "cert--hr", "cert_hr", "cert.hr", "cert/hr", "a b"]
)
def test_agencies_are_not_spelt_so(name: str) -> None:
    with pytest.raises(Invalid):
        names.check_agency(name)


@pytest.mark.parametrize("name", ["čert", "ceгt", "cert\n", "cert*", "cert\u200b", "cert\0", "ce\u0301rt"])
def test_what_only_looks_like_ascii(name: str) -> None:
    with pytest.raises(Invalid):
        names.check_agency(name)


@pytest.mark.parametrize("name", ["root", "targets", "snapshot", "timestamp", "relays", "agencies", "cert-roster"])
def test_words_that_are_taken(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        names.check_agency(name)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["liaison-1", "1", "a" * 64, "desk-2-laptop"])
def test_handles(name: str) -> None:
    assert names.check_handle(name) == name


@pytest.mark.parametrize("name", ["", "a" * 65, "Liaison", "li aison", "@x", "+1", "a-", "-a", "a--b", "ä"])
def test_what_is_no_handle(name: str) -> None:
    with pytest.raises(Invalid):
        names.check_handle(name)


def test_devices_and_officers_take_apart_what_they_put_together() -> None:
    assert names.split_device(names.device_name("cert-hr", "l1-laptop")) == ("cert-hr", "l1-laptop")
    assert names.split_officer(names.officer_address("liaison-1", "cert-hr")) == ("liaison-1", "cert-hr")
    for wrong in ("cert-hr", "cert-hr/", "/x", "Cert/x", "cert-hr/a/b", "root/x"):
        with pytest.raises(Invalid):
            names.split_device(wrong)
    for wrong in ("liaison-1", "@cert-hr", "l@", "l@C", "a@b@c"):
        with pytest.raises(Invalid):
            names.split_officer(wrong)


@pytest.mark.parametrize(
    ("one", "other"), [("cert-lt", "cert-1t"), ("cert-hr", "certhr"), ("bsi0", "bsio"), ("cern", "cem"), ("avv", "aw")]
)
def test_names_that_look_alike(one: str, other: str) -> None:
    assert names.look_alike(one) == names.look_alike(other)


def test_italy_and_lithuania_can_both_be_members() -> None:
    assert names.look_alike("cert-it") != names.look_alike("cert-lt")
