"""What agencies brought in is counted, written now and then, and found again."""

from __future__ import annotations

from relay.bounds import Bounds
from relay.ledger import DAY, Ledger
from relay.store.base import Charge
from relay.store.memory import MemoryStore

NOW = 20_000 * DAY


async def test_an_agency_has_its_own_bound() -> None:
    ledger = Ledger(MemoryStore(), Bounds(stored_per_agency=100))
    ledger.add("cert-hr", 90)
    assert not ledger.exceeds("cert-hr", 10)
    assert ledger.exceeds("cert-hr", 11)
    assert not ledger.exceeds("cert-si", 100)


async def test_one_agency_may_have_another_bound_and_bounds_may_change() -> None:
    ledger = Ledger(MemoryStore(), Bounds(stored_per_agency=100, stored_by_agency={"cert-hr": 50}))
    assert ledger.exceeds("cert-hr", 51)
    assert not ledger.exceeds("cert-si", 51)
    ledger.add("cert-hr", 50)
    ledger.rebound(Bounds(stored_per_agency=100))
    assert not ledger.exceeds("cert-hr", 50)
    assert ledger.held() == {"cert-hr": 50}


async def test_what_was_written_is_found_until_the_retention_is_over() -> None:
    store = MemoryStore()
    bounds = Bounds(stored_per_agency=100, retention=10 * DAY)
    ledger = Ledger(store, bounds)
    ledger.add("cert-hr", 60)
    ledger.add("cert-hr", 20)
    charges = ledger.charges(NOW)
    assert charges == [Charge("cert-hr", 20_000, 80)]
    assert ledger.charges(NOW) == []
    await store.commit(charges)
    again = Ledger(store, bounds)
    await again.load(NOW)
    assert again.exceeds("cert-hr", 21)
    again.add("cert-hr", 15)
    await again.load(NOW)  # what is not written yet stays counted
    assert again.exceeds("cert-hr", 6)
    await again.load(NOW + 11 * DAY)
    assert not again.exceeds("cert-hr", 85)


async def test_room_is_kept_for_what_is_under_way_and_free_again_where_it_was_not_taken() -> None:
    ledger = Ledger(MemoryStore(), Bounds(stored_per_agency=100))
    assert ledger.reserve("cert-hr", 60)
    assert not ledger.reserve("cert-hr", 41)
    assert ledger.held() == {}
    ledger.settle("cert-hr", 60, kept=False)
    assert ledger.charges(NOW) == []
    assert ledger.reserve("cert-hr", 100)
    ledger.settle("cert-hr", 100, kept=True)
    assert not ledger.reserve("cert-hr", 1)
    assert ledger.charges(NOW) == [Charge("cert-hr", 20_000, 100)]


async def test_a_charge_that_could_not_be_written_is_written_with_the_next() -> None:
    ledger = Ledger(MemoryStore(), Bounds())
    ledger.add("cert-hr", 60)
    (charge,) = ledger.charges(NOW)
    ledger.unwritten(charge)
    ledger.add("cert-hr", 7)
    assert ledger.charges(NOW) == [Charge("cert-hr", 20_000, 67)]
