"""Contact cards: for who has the agency's directory key, and for nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, CannotOpen, Denied, Invalid, Malformed, NotFound, SecurechanError, Untrusted
from securechan.trust import cards
from securechan.trust.cards import ContactCard, DirectoryKey, KeyShare, open_card, open_share, seal_card, seal_share
from securechan.trust.records import made
from tests.support.federation import Device, World

CARD = made(
    ContactCard, officer="liaison-1", name="Željka Čović", duty="24/7 desk", phone="+385 1 234", mail="z@cert.hr"
)


@pytest.fixture(scope="module")
def key() -> DirectoryKey:
    return DirectoryKey.new("cert-hr")


def test_a_card_opens_with_its_key(key: DirectoryKey) -> None:
    sealed = seal_card(key, CARD)
    others = (DirectoryKey.new("cert-hr"), DirectoryKey.new("cert-lt"), key)
    assert open_card(others, "cert-hr", "liaison-1", sealed) == CARD
    with pytest.raises(NotFound):
        open_card(others[:2], "cert-hr", "liaison-1", sealed)


def test_a_card_shows_nothing_not_even_its_length(key: DirectoryKey) -> None:
    sealed = seal_card(key, CARD)
    assert b"liaison" not in sealed
    short = seal_card(key, made(ContactCard, officer="liaison-1", name="X"))
    assert len(short) == len(sealed)
    assert seal_card(key, CARD) != sealed


def test_a_card_is_bound_to_its_officer_and_agency(key: DirectoryKey) -> None:
    sealed = seal_card(key, CARD)
    with pytest.raises(CannotOpen):
        open_card([key], "cert-hr", "liaison-2", sealed)
    with pytest.raises(NotFound):
        open_card([key], "cert-lt", "liaison-1", sealed)
    for altered in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]):
        with pytest.raises(CannotOpen):
            open_card([key], "cert-hr", "liaison-1", altered)


@given(st.binary(max_size=100))
def test_any_bytes_for_a_card(data: bytes) -> None:
    with pytest.raises((Malformed, NotFound, CannotOpen)):
        open_card([DirectoryKey("cert-hr", bytes(32))], "cert-hr", "liaison-1", data)


def test_a_card_names_its_own_officer(key: DirectoryKey) -> None:
    swapped = seal_card(key, CARD)
    body = cards.strict.dump(CARD.custom() | {"officer": "liaison-2"})
    nonce = bytes(12)
    bound = cards._bound("cert-hr", "liaison-1", key.id)
    forged = cards._Sealed(key.id, nonce, cards.AES256GCM.seal(key.key, nonce, bound, body)).encode()
    assert open_card([key], "cert-hr", "liaison-1", swapped) == CARD
    with pytest.raises(Malformed):
        open_card([key], "cert-hr", "liaison-1", forged)


def test_what_no_card_says() -> None:
    with pytest.raises(Invalid):
        made(ContactCard, officer="liaison-1", name="a\x1b[2Jb")
    with pytest.raises(Invalid):
        seal_card(DirectoryKey.new("cert-hr"), made(ContactCard, officer="L 1", name="x"))
    with pytest.raises(Invalid):
        DirectoryKey.new("Cert")


def test_a_directory_key_is_shy(key: DirectoryKey) -> None:
    assert bytes(key.key).hex() not in repr(key)
    assert repr(key) == f"DirectoryKey(cert-hr, {key.id.hex()[:8]})"
    assert DirectoryKey.decode(key.encode()) == key
    assert DirectoryKey("cert-lt", key.key).id != key.id


# ------------------------------------------------------------------------------------------------------------- sharing


@pytest.fixture(scope="module")
def office() -> tuple[World, Device, Device]:
    world = World()
    return world, world.enrol("cert-hr", "d1", "boss", "admin"), world.enrol("cert-lt", "d1")


def test_an_administrator_hands_keys_on(office: tuple[World, Device, Device], key: DirectoryKey) -> None:
    world, admin, other = office
    sealed = seal_share([key], other.record, sender=admin.name, key=admin.key)
    share = open_share(sealed, other.inbox, other.name)
    assert share.verify(world.view) == (key,)
    with pytest.raises(CannotOpen):
        open_share(sealed, admin.inbox, other.name)
    with pytest.raises(CannotOpen):
        open_share(sealed, other.inbox, admin.name)


def test_nobody_else_does(office: tuple[World, Device, Device], key: DirectoryKey) -> None:
    world, admin, other = office
    by_officer = open_share(seal_share([key], admin.record, sender=other.name, key=other.key), admin.inbox, admin.name)
    with pytest.raises(Denied):
        by_officer.verify(world.view)
    stranger = COMPOSITE.load(Secret.random(64))
    forged = open_share(seal_share([key], other.record, sender=admin.name, key=stranger), other.inbox, other.name)
    with pytest.raises(Untrusted):
        forged.verify(world.view)
    good = open_share(seal_share([key], other.record, sender=admin.name, key=admin.key), other.inbox, other.name)
    altered = KeyShare(good.recipient, good.sender, good.sender_key, (DirectoryKey.new("cert-hr"),), good.signature)
    with pytest.raises(BadSignature):
        altered.verify(world.view)


def test_shares_that_are_none(office: tuple[World, Device, Device]) -> None:
    _, admin, other = office
    bad = DirectoryKey("Not An Agency", bytes(32))
    with pytest.raises(Invalid):
        open_share(seal_share([bad], other.record, sender=admin.name, key=admin.key), other.inbox, other.name)
    for data in (b"", bytes(40), bytes(3000)):
        with pytest.raises(SecurechanError):
            open_share(data, other.inbox, other.name)
