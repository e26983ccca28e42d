"""How much each agency has brought in: a promise of storage that one agency can't take from the others.

What counts is what an agency's devices added during the retention, for about so much of it is still there. Room is
kept for what is on its way to the store, and is free again where that did not take it, or had it already: devices say
the same again and again while a disk is full or a cluster away. The ledger is written once in a while, not with each
entry: after a crash up to a minute of it is missing, which is no matter for a bound of gigabytes.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from relay.bounds import Bounds
from relay.store.base import Charge, Store

DAY: Final = 86400


class Ledger:
    """Bytes by agency."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds
        self._held: Counter[str] = Counter()
        self._new: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()  # to the store

    def rebound(self, bounds: Bounds) -> None:
        """From now on within these."""
        self._bounds = bounds

    async def load(self, now: int) -> None:
        """Count again what was brought in until ``now`` (Unix seconds)."""
        self._held = Counter(await self._store.charges((now - self._bounds.retention) // DAY)) + self._new

    def exceeds(self, agency: str, size: int) -> bool:
        """Whether ``size`` bytes more are too many."""
        bounds = self._bounds
        there = self._held[agency] + self._under_way[agency]
        return there + size > bounds.stored_by_agency.get(agency, bounds.stored_per_agency)

    def reserve(self, agency: str, size: int) -> bool:
        """Keep room for ``size`` bytes until `settle`; False where they are too many."""
        if self.exceeds(agency, size):
            return False
        self._under_way[agency] += size
        return True

    def settle(self, agency: str, size: int, *, kept: bool) -> None:
        """What room was kept for is in the store, and counts; or it isn't, and doesn't."""
        self._under_way[agency] -= size
        if kept:
            self.add(agency, size)

    def add(self, agency: str, size: int) -> None:
        self._held[agency] += size
        self._new[agency] += size

    def held(self) -> dict[str, int]:
        """What each agency has brought in."""
        return {agency: size for agency, size in self._held.items() if size}

    def charges(self, now: int) -> list[Charge]:
        """What is to be written; it counts as written from now on."""
        new, self._new = self._new, Counter()
        return [Charge(agency, now // DAY, size) for agency, size in new.items()]

    def unwritten(self, charge: Charge) -> None:
        """It could not be written, and is to be with the next ones."""
        self._new[charge.agency] += charge.size
