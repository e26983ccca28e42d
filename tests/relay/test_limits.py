"""Buckets and doors: what is granted, what must wait, and that waiting helps."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relay import limits
from relay.limits import BURST, Bucket, Budget, Guard, Quotas, Share, neighbourhood, origin
from securechan.wire.session import MAX_RECORD


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_a_minute_at_once_and_then_its_rate() -> None:
    bucket = Bucket.full(2.0, 0.0)
    granted = 0
    while not bucket.wait(0.0):
        bucket.draw(1)
        granted += 1
    assert granted == 2 * BURST
    assert bucket.wait(0.0) > 0
    assert bucket.wait(0.6) == 0.0


@given(
    rate=st.floats(min_value=0.1, max_value=1e6),
    draws=st.lists(
        st.tuples(st.floats(min_value=0, max_value=100), st.floats(min_value=0, max_value=1e7)), max_size=30
    ),
)
def test_after_the_wait_it_is_granted(rate: float, draws: list[tuple[float, float]]) -> None:
    bucket, now = Bucket.full(rate, 0.0), 0.0
    for passed, amount in draws:
        now += passed
        wait = bucket.wait(now)
        if wait:
            now += wait * 1.001
            assert bucket.wait(now + 0.01) == 0.0
            now += 0.01
        bucket.draw(amount)
        assert bucket.level <= rate * BURST


def test_one_device_at_its_quota_leaves_the_others_of_its_agency_theirs() -> None:
    clock = Clock()
    budget = Budget(Quotas(appends_per_minute=5, agency_appends_per_minute=8), clock)
    grants = [budget.take("cert-hr/a", "cert-hr", appends=1, size=10) for _ in range(7)]
    assert grants[:5] == [0] * 5
    assert grants[5] > 0
    assert [budget.take("cert-hr/b", "cert-hr", appends=1, size=10) for _ in range(3)] == [0, 0, 0]
    assert budget.take("cert-hr/b", "cert-hr", appends=1, size=10) > 0  # the agency's own is used up
    assert budget.take("cert-si/a", "cert-si", appends=1, size=10) == 0
    assert budget.take("cert-hr/a", "cert-hr", appends=0, size=10) == 0  # reading is not appending
    clock.now += grants[5] / 1000
    assert budget.take("cert-hr/c", "", appends=1, size=10) == 0


def test_told_to_wait_is_told_how_long() -> None:
    clock = Clock()
    budget = Budget(Quotas(appends_per_minute=60), clock)
    while not (wait := budget.take("a", "", appends=1, size=0)):
        pass
    clock.now += wait / 1000
    assert budget.take("a", "", appends=1, size=0) == 0


def test_a_big_entry_is_granted_once_and_waited_off() -> None:
    clock = Clock()
    budget = Budget(Quotas(bandwidth=1024), clock)
    size = 1024 * 600  # ten times what the bucket holds
    assert budget.take("a", "", appends=1, size=size) == 0
    wait = budget.take("a", "", appends=1, size=1)
    assert 500_000 < wait < 600_000


def test_an_agency_may_store_so_much_a_day_and_read_on() -> None:
    clock = Clock()
    budget = Budget(Quotas(agency_bytes_per_day=1 << 20, bandwidth=1 << 30, agency_bandwidth=1 << 30), clock)

    def store(device: str, size: int) -> int:
        return budget.take(device, device.partition("/")[0], appends=1, size=size, stored=size)

    assert [store(f"cert-hr/{i}", 1 << 19) for i in range(2)] == [0, 0]
    store("cert-hr/x", 1)  # the last drop, on credit
    assert store("cert-hr/y", 1) > 0
    assert budget.take("cert-hr/y", "cert-hr", appends=0, size=64) == 0
    assert store("cert-si/a", 1 << 19) == 0
    clock.now += 43_200
    assert store("cert-hr/y", 1 << 18) == 0


def test_forgotten_buckets_return_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT", 2)
    budget = Budget(Quotas(appends_per_minute=1), Clock())
    assert budget.take("a", "", appends=1, size=0) == 0
    assert budget.take("a", "", appends=1, size=0) > 0
    for name in "bcd":
        budget.take(name, "", appends=1, size=0)
    assert budget.take("a", "", appends=1, size=0) == 0


def test_the_published_limits_are_the_quotas() -> None:
    told = Quotas(appends_per_minute=7, bandwidth=4096, in_flight=3, idle=20).limits(100, 200)
    assert (told.max_entry, told.max_blob, told.max_record) == (100, 200, MAX_RECORD)
    assert (told.in_flight, told.appends, told.bandwidth, told.idle) == (3, 7, 4096, 20)


def test_a_quota_below_its_least_is_no_quota() -> None:
    with pytest.raises(ValidationError):
        Quotas(idle=1)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("unknown", "unknown"),
    ],
)
def test_what_counts_as_one_address(address: str, counted: str) -> None:
    assert neighbourhood(address) == counted


def test_the_door_has_room_for_so_many() -> None:
    guard = Guard(Quotas(half_open=8, half_open_per_address=3), Clock())
    rooms = []
    for _ in range(4):
        assert guard.arrive("a")
        rooms.append(guard.room("a"))
    assert rooms == [True, True, True, False]
    assert guard.alert
    for _ in range(5):
        assert guard.arrive("b") or guard.total > 16
    assert not guard.room("b")
    for _ in range(7):
        guard.arrive("c")
    assert not guard.arrive("d")  # no room even to say no
    for address, count in (("a", 4), ("b", 5), ("c", 7), ("d", 1)):
        for _ in range(count):
            guard.depart(address)
    assert (guard.total, dict(guard.waiting), guard.alert) == (0, {}, False)


def test_handshakes_of_one_address_have_a_budget() -> None:
    clock = Clock()
    guard = Guard(Quotas(handshakes_per_minute=3), clock)
    assert [guard.knock("a") for _ in range(3)] == [0, 0, 0]
    wait = guard.knock("a")
    assert wait > 0
    assert guard.knock("b") == 0
    clock.now += wait / 1000
    assert guard.knock("a") == 0


def test_an_agency_may_have_a_share_of_its_own() -> None:
    clock = Clock()
    budget = Budget(Quotas(agency_appends_per_minute=4), clock, {"cert-hr": Share(appends_per_minute=2)})

    def granted(agency: str) -> int:
        return [budget.take(f"{agency}/{n}", agency, appends=1, size=1) for n in range(9)].count(0)

    assert (granted("cert-hr"), granted("cert-si")) == (2, 4)
    budget.allow(Quotas(agency_appends_per_minute=4), {"cert-hr": Share(appends_per_minute=2)})
    assert granted("cert-hr") == 0  # nothing is given anew where nothing has changed
    budget.allow(Quotas(agency_appends_per_minute=4), {"cert-hr": Share(appends_per_minute=3)})
    assert granted("cert-hr") == 3


def test_a_guard_is_told_otherwise_while_it_stands() -> None:
    guard = Guard(Quotas(half_open=1, handshakes_per_minute=1), Clock())
    assert guard.arrive("a")
    assert guard.knock("a") == 0
    assert guard.knock("a") > 0
    guard.allow(guard.quotas)
    assert guard.knock("a") > 0
    guard.allow(Quotas(half_open=9, handshakes_per_minute=2))
    assert guard.knock("a") == 0
    assert guard.total == 1


@pytest.mark.parametrize(
    ("peer", "forwarded", "wanted"),
    [
        ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"),  # no proxy of ours: its word is nothing
        ("10.0.0.5", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.5", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.5", ["203.0.113.7, 198.51.100.1", "10.0.0.6"], "198.51.100.1"),  # what came before is hearsay
        ("10.0.0.5", [], "10.0.0.5"),
        ("10.0.0.5", ["unknown"], "10.0.0.5"),
        ("10.0.0.5", ["10.0.0.7, 10.0.0.6"], "10.0.0.7"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_only_our_proxies_say_where_a_connection_comes_from(peer: str, forwarded: list[str], wanted: str) -> None:
    assert origin(peer, forwarded, (ip_network("10.0.0.0/8"),)) == wanted
