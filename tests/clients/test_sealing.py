"""clients/sealing.py: a record opens as what it was, where and when it was sealed, for who has the vault's key."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.sealing import SUM_MODULUS, Manifest, Record, Row, SealedManifest, Seals, Total
from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen

VAULT: Final = bytes(range(16))
KEY: Final = Secret(bytes(range(32)))
SEALS: Final = Seals(VAULT, KEY)
TABLE: Final = SEALS.table("groups")
RECORD: Final = Record("cert-hr/1", b"said in confidence")


def sealed(record: Record = RECORD, *, place: int = 3, version: int = 7) -> Row:
    return SEALS.seal(TABLE, SEALS.row(TABLE, record.id), place, version, record)


@given(st.text(max_size=20), st.binary(max_size=200), st.integers(0, 2**40), st.integers(0, 2**40))
def test_what_was_sealed_opens(id_: str, value: bytes, place: int, version: int) -> None:
    record = Record(id_, value)
    assert SEALS.open(TABLE, sealed(record, place=place, version=version)) == record


@pytest.mark.parametrize(
    "change",
    [
        {"place": 4},
        {"version": 8},
        {"row": SEALS.row(TABLE, "cert-hr/2")},
        {"nonce": bytes(12)},
        {"sealed": bytes(60)},
        {"sealed": b""},
    ],
)
def test_it_opens_nowhere_else(change: dict[str, object]) -> None:
    with pytest.raises(CannotOpen, match="altered"):
        SEALS.open(TABLE, replace(sealed(), **change))


def test_it_opens_in_no_other_table_and_no_other_vault() -> None:
    for table, seals in (
        (SEALS.table("outbox"), SEALS),
        (TABLE, Seals(bytes(16), KEY)),
        (TABLE, Seals(VAULT, Secret(bytes(32)))),
    ):
        with pytest.raises(CannotOpen):
            seals.open(table, sealed())


def test_a_record_that_was_sealed_under_anothers_name_is_told() -> None:
    row = SEALS.seal(TABLE, SEALS.row(TABLE, "another"), 3, 7, RECORD)
    with pytest.raises(CannotOpen, match="another's place"):
        SEALS.open(TABLE, row)


def test_two_sealings_of_one_record_differ_and_so_do_their_hashes() -> None:
    one, two = sealed(), sealed()
    assert one.nonce != two.nonce
    assert one.sealed != two.sealed
    assert SEALS.hash(TABLE, one) != SEALS.hash(TABLE, two)


def test_the_hash_is_of_all_that_tells_one_sealing_from_another() -> None:
    row = sealed()
    others = [
        replace(row, place=4),
        replace(row, version=8),
        replace(row, row=bytes(16)),
        replace(row, nonce=bytes(12)),
        replace(row, sealed=row.sealed[:-1] + bytes([row.sealed[-1] ^ 1])),
    ]
    hashes = [SEALS.hash(TABLE, each) for each in (row, *others)] + [SEALS.hash(SEALS.table("outbox"), row)]
    assert len(set(hashes)) == len(hashes)
    assert all(0 <= each < SUM_MODULUS for each in hashes)


def test_names_tell_nothing_and_depend_on_all_that_they_name() -> None:
    other = SEALS.table("outbox")
    names = [TABLE, other, SEALS.row(TABLE, "a"), SEALS.row(other, "a"), SEALS.shelf(TABLE, "a"), SEALS.row(TABLE, "b")]
    assert all(one != two for one, two in itertools.combinations(names, 2))
    assert {len(name) for name in names} == {16}
    assert Seals(VAULT, KEY).table("groups") == TABLE
    assert Seals(VAULT, Secret(bytes(32))).table("groups") != TABLE


def test_a_manifest_opens_as_of_its_generation_alone() -> None:
    manifest = Manifest(9, (Total("groups", 2, bytes(32)),))
    stored = SEALS.seal_manifest(manifest)
    assert SEALS.open_manifest(stored) == manifest
    relabelled = replace(SealedManifest.decode(stored), generation=10).encode()
    with pytest.raises(CannotOpen):
        SEALS.open_manifest(relabelled)


def test_it_shows_no_key() -> None:
    assert KEY.hex() not in repr(vars(SEALS))
