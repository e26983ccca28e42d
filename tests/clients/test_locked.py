"""clients/locked.py: a passphrase opens what it locked, for the purpose it was locked for, at the cost it was given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clients.locked import COST, Cost, Locked
from securechan.errors import CannotOpen, Malformed, Misuse, NotReady

CHEAP = Cost(64, 1, 1)


def lock(secret: bytes = b"the key", passphrase: str = "correct horse", purpose: bytes = b"test") -> Locked:
    return Locked.lock(secret, passphrase, purpose=purpose, cost=CHEAP)


def test_what_was_locked_opens_again_after_a_trip_through_bytes() -> None:
    locked = Locked.decode(lock().encode())
    assert bytes(locked.unlock("correct horse", purpose=b"test")) == b"the key"


def test_a_passphrase_is_the_same_however_its_accents_are_typed() -> None:
    assert lock(passphrase="caf\u00e9 d'Evian").unlock("cafe\u0301 d'Evian", purpose=b"test") == b"the key"


def test_a_wrong_passphrase_is_told_as_such() -> None:
    with pytest.raises(NotReady) as e:
        lock().unlock("correct horse ", purpose=b"test")
    assert e.value.code == "wrong-passphrase"
    assert e.value.hint


def test_another_purpose_does_not_open_it() -> None:
    with pytest.raises(NotReady):
        lock().unlock("correct horse", purpose=b"tset")


@pytest.mark.parametrize(
    "change",
    [
        {"cost": Cost(65, 1, 1)},
        {"cost": Cost(64, 2, 1)},
        {"salt": bytes(16)},
        {"nonce": bytes(12)},
        {"sealed": bytes(23)},
    ],
)
def test_nothing_of_it_can_be_altered(change: dict[str, object]) -> None:
    with pytest.raises(NotReady):
        replace(lock(), **change).unlock("correct horse", purpose=b"test")


@pytest.mark.parametrize(
    "cost", [Cost(1 << 31, 1, 1), Cost(64, 1 << 20, 1), Cost(64, 0, 1), Cost(64, 1, 0), Cost(8, 1, 4), Cost(0, 0, 0)]
)
def test_an_absurd_cost_takes_no_memory_and_no_time(cost: Cost) -> None:
    with pytest.raises(CannotOpen, match="cost"):
        replace(lock(), cost=cost).unlock("correct horse", purpose=b"test")


def test_each_lock_has_its_own_salt() -> None:
    assert lock().salt != lock().salt
    assert lock().sealed != lock().sealed


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(Misuse):
        lock(passphrase="")


def test_the_usual_cost_is_no_toy() -> None:
    assert COST.memory >= 64 << 10  # KiB, RFC 9106 §4, second recommended option
    assert COST.iterations >= 3


def test_half_a_lock_is_malformed() -> None:
    with pytest.raises(Malformed):
        Locked.decode(lock().encode()[:-1])
