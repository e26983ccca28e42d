"""How much one sender may ask: quotas that are published, and the buckets that hold them.

A bucket fills at its rate up to a minute's worth and may go into debt once: whatever is asked while it is not empty is
granted, so that no size is too large for ever, and the debt is waited off. What a device asks is drawn from its own
bucket and its agency's alike; what an agency may store is a bucket of a day's worth, since what is stored expires.
Nobody is left without an answer: a refusal says after how many milliseconds to return. Levels are in memory: a relay
that starts anew starts with full buckets.

`Guard` is for strangers: how many may stand at the door, in all and per address, and when to ask them for a cookie.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from pydantic import Field

from relay.mistakes import Table
from securechan.wire.session import MAX_RECORD, SESSION_LIFETIME, Limits

BURST: Final = 60.0  # seconds' worth that a bucket holds
DAY: Final = 86400.0
FILLED_FOR: Final = 0.05  # seconds
KEPT: Final = 10_000  # buckets remembered; the longest unused is forgotten first, and returns full

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Quotas(Table):
    """What the operator allows. Sizes in bytes."""

    appends_per_minute: int = Field(default=1200, ge=1, description="entries a device may add")
    agency_appends_per_minute: int = Field(default=12_000, ge=1, description="entries an agency's devices may add")
    bandwidth: int = Field(default=1 << 20, ge=1 << 10, description="bytes a second a device may send")
    agency_bandwidth: int = Field(default=8 << 20, ge=1 << 10, description="bytes a second an agency may send")
    requests_per_second: int = Field(default=200, ge=1, description="requests of any kind a device may make")
    agency_bytes_per_day: int = Field(default=8 << 30, ge=1 << 20, description="bytes an agency may store in a day")
    stored_per_agency: int = Field(default=20 << 30, ge=1 << 20, description="bytes an agency may have stored")
    in_flight: int = Field(default=64, ge=1, le=4096, description="requests without an answer yet")
    buffer: int = Field(default=8 << 20, ge=1 << 20, description="bytes that may wait for a slow reader")
    stall: int = Field(default=30, ge=1, le=600, description="seconds without any reading that end a session")
    sessions: int = Field(default=6000, ge=1, description="sessions at once")
    idle: int = Field(default=180, ge=10, le=3600, description="seconds of silence that end a session")
    half_open: int = Field(default=256, ge=1, description="handshakes under way at once")
    half_open_per_address: int = Field(default=64, ge=1, description="the same, from one address")
    handshakes_per_minute: int = Field(default=600, ge=1, description="handshakes from one address")
    handshake_timeout: float = Field(default=10.0, gt=0, le=120, description="seconds for a whole handshake")

    def limits(self, max_entry: int, max_blob: int) -> Limits:
        """What a session is told of this."""
        return Limits(
            max_entry,
            MAX_RECORD,
            max_blob,
            self.in_flight,
            self.appends_per_minute,
            self.bandwidth,
            self.idle,
            SESSION_LIFETIME,
        )


class Share(Table):
    """What one agency may have; None where it has what all have."""

    appends_per_minute: int | None = Field(default=None, ge=1, description="entries its devices may add")
    bandwidth: int | None = Field(default=None, ge=1 << 10, description="bytes a second")
    bytes_per_day: int | None = Field(default=None, ge=1 << 20, description="bytes it may store in a day")
    stored: int | None = Field(default=None, ge=0, description="bytes it may have stored; 0: nothing")


@dataclass(slots=True)
class Bucket:
    """Tokens that come at ``rate`` a second, ``most`` of them at most."""

    rate: float
    most: float
    level: float
    at: float

    @classmethod
    def full(cls, rate: float, now: float, burst: float = BURST) -> Bucket:
        """``burst``: seconds' worth that it holds."""
        return cls(rate, rate * burst, rate * burst, now)

    def wait(self, now: float) -> float:
        """Seconds until something may be drawn; 0 where it may be now."""
        level = self.level
        if now != self.at:  # many are asked in one turn
            level += (now - self.at) * self.rate
            self.level = level = min(self.most, level)
            self.at = now
        return 0.0 if level > 0 else max(-level / self.rate, 0.001)

    def draw(self, amount: float) -> None:
        self.level -= amount


class Buckets:
    """One bucket for each of many names, of which the least recently used are forgotten. ``others``: rates of names
    that have one of their own."""

    def __init__(self, rate: float, burst: float = BURST, others: Mapping[str, float] | None = None) -> None:
        self._rate = rate
        self._burst = burst
        self._others = others or {}
        self._held: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, name: str, now: float) -> Bucket:
        bucket = self._held.get(name)
        if bucket is None:
            bucket = self._held[name] = Bucket.full(self._others.get(name, self._rate), now, self._burst)
            if len(self._held) > KEPT:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(name)
        return bucket


NO_BOUND: Final = Bucket(math.inf, math.inf, math.inf, 0.0)  # of those who belong to no agency


@dataclass(slots=True)
class Purse:
    """All that one sender draws from, filled a moment ago. It is looked up and filled anew after ``until``: what could
    have come in such a moment is no matter to a bucket of a minute."""

    until: float
    requests: Bucket
    size: Bucket
    appends: Bucket
    agency_size: Bucket
    agency_day: Bucket
    agency_appends: Bucket


class Budget:
    """What devices and agencies have left. ``clock`` counts seconds and never goes back."""

    def __init__(self, quotas: Quotas, clock: Callable[[], float], agencies: Mapping[str, Share] | None = None) -> None:
        self._clock = clock
        self._allowed: tuple[Quotas, Mapping[str, Share]] | None = None
        self.allow(quotas, agencies or {})

    def allow(self, quotas: Quotas, agencies: Mapping[str, Share]) -> None:
        """From now on this much. Where it is other than before, every bucket is full anew."""
        if (quotas, agencies) == self._allowed:
            return
        self._allowed = (quotas, agencies)
        shares = agencies.items()
        appends = {name: share.appends_per_minute / 60 for name, share in shares if share.appends_per_minute}
        rates = {name: float(share.bandwidth) for name, share in shares if share.bandwidth}
        days = {name: share.bytes_per_day / DAY for name, share in shares if share.bytes_per_day}
        self._requests = Buckets(quotas.requests_per_second)
        self._appends = Buckets(quotas.appends_per_minute / 60)
        self._bytes = Buckets(quotas.bandwidth)
        self._agency = (
            Buckets(quotas.agency_bandwidth, others=rates),
            Buckets(quotas.agency_bytes_per_day / DAY, DAY, others=days),
            Buckets(quotas.agency_appends_per_minute / 60, others=appends),
        )
        self._purses: dict[tuple[str, str], Purse] = {}

    def take(self, sender: str, agency: str, appends: int, size: int, stored: int = 0) -> int:
        """Draw for one request of ``size`` bytes, of which ``stored`` are kept: 0 where granted, else milliseconds
        to wait, and nothing drawn. Who has stored enough for today may still read.

        ``sender`` names the device (or the guest's box, the office's key); ``agency`` may be empty.
        """
        now = self._clock()
        purse = self._purses.get((sender, agency))
        if purse is None or now >= purse.until:
            purse = self._filled(sender, agency, now)
        if (
            purse.requests.level > 0
            and purse.size.level > 0
            and purse.agency_size.level > 0
            and (not appends or (purse.appends.level > 0 and purse.agency_appends.level > 0))
            and (not stored or purse.agency_day.level > 0)
        ):
            purse.requests.level -= 1
            purse.size.level -= size
            purse.agency_size.level -= size
            if appends:
                purse.appends.level -= appends
                purse.agency_appends.level -= appends
            if stored:
                purse.agency_day.level -= stored
            return 0
        wanted = [purse.requests, purse.size, purse.agency_size]
        if appends:
            wanted += [purse.appends, purse.agency_appends]
        if stored:
            wanted.append(purse.agency_day)
        wait = max(bucket.wait(now) for bucket in wanted)
        if not wait:  # something has come since the purse was filled
            return self.take(sender, agency, appends, size, stored)
        return int(wait * 1000) + 1

    def _filled(self, sender: str, agency: str, now: float) -> Purse:
        """The buckets of these two, filled up to now."""
        if len(self._purses) >= KEPT:
            self._purses.clear()
        buckets = (
            self._requests.of(sender, now),
            self._bytes.of(sender, now),
            self._appends.of(sender, now),
            *(kind.of(agency, now) if agency else NO_BOUND for kind in self._agency),
        )
        for bucket in buckets:
            bucket.wait(now)
        purse = self._purses[sender, agency] = Purse(now + FILLED_FOR, *buckets)
        return purse


@lru_cache(4096)
def neighbourhood(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a Unix socket's, or a proxy's own word
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)


def origin(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Where a connection comes from: ``peer``, unless that is one of our ``proxies``; then the last address in its
    X-Forwarded-For (``forwarded``: the header's values in order) that isn't one of them. What others wrote into the
    header before it reached our proxies is their word, and counts for nothing."""
    found = peer
    if not proxies:
        return found
    said = [part.strip() for value in forwarded for part in value.split(",")]
    while _among(found, proxies) and said:
        told = said.pop()
        try:
            ipaddress.ip_address(told)
        except ValueError:
            return found  # a proxy that hides an address stands for it
        found = told
    return found


def _among(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


@dataclass(slots=True)
class Guard:
    """Who stands at the door, and whether more may come."""

    quotas: Quotas
    clock: Callable[[], float]
    total: int = 0
    waiting: Counter[str] = field(default_factory=Counter)
    _handshakes: Buckets = field(init=False)

    def __post_init__(self) -> None:
        self._handshakes = Buckets(self.quotas.handshakes_per_minute / 60)

    def allow(self, quotas: Quotas) -> None:
        """From now on this many."""
        if quotas == self.quotas:
            return
        self.quotas = quotas
        self._handshakes = Buckets(quotas.handshakes_per_minute / 60)

    def arrive(self, address: str) -> bool:
        """One more at the door; False where there is no room even to say no. Each arrival needs one `depart`."""
        self.total += 1
        self.waiting[address] += 1
        return self.total <= 2 * self.quotas.half_open

    def depart(self, address: str) -> None:
        """One fewer: let in, turned away or gone."""
        self.total -= 1
        self.waiting[address] -= 1
        if not self.waiting[address]:
            del self.waiting[address]

    def room(self, address: str) -> bool:
        """Whether this address's newest arrival may go on."""
        return self.total <= self.quotas.half_open and self.waiting[address] <= self.quotas.half_open_per_address

    @property
    def alert(self) -> bool:
        """Whether strangers must show that their address answers before the relay works for them."""
        return self.total > self.quotas.half_open // 4

    def knock(self, address: str) -> int:
        """Draw one handshake for this address: 0, or milliseconds to wait."""
        now = self.clock()
        bucket = self._handshakes.of(address, now)
        wait = bucket.wait(now)
        if wait > 0:
            return int(wait * 1000) + 1
        bucket.draw(1)
        return 0
