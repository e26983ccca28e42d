"""How the log is, looked at now and then, for what no single write can tell.

    STREAM.INFO ─┬▶ how much of its bound is left, and of what the account may store   free
                 ├▶ whether it is still as relays need it (`relay.store.streams`),
                 │  and so is the server that this relay has come to                   trouble
                 ├▶ whether the cluster answers at all                                 trouble
                 └▶ what time it is there                                              ahead
    batches ──────▶ whether it still takes writes: it may answer and not take any      trouble

**Two clocks must agree before anything is forgotten.** One relay whose clock is ahead would trim and sweep for all of
them; so whoever forgets subtracts ``ahead`` first.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from relay.logs import event
from relay.store.base import StoreFailed
from relay.store.jetstream import ApiError, Link, Unsure
from relay.store.streams import Config, misfit
from securechan.errors import NotReady, Refused

log = logging.getLogger("relay.nats")

LOOK: Final = 5.0  # seconds between two looks
SOON: Final = 0.5  # after one that failed
REFUSALS: Final = 3  # batches in a row of which nothing was taken, until that is more than an election
HELD: Final = 30.0  # seconds for which that is said of a relay that is asked for no more
SKEW: Final = 2.0  # seconds that clocks may differ by


class Watch:
    """Looks at the stream ``name``. ``ahead``: seconds by which this clock is ahead of the cluster's."""

    def __init__(self, link: Link, name: str, config: Config) -> None:
        self.free = 1.0
        self.ahead = 0
        self._link = link
        self._name = name
        self._config = config
        self._unfit = ""
        self._unanswered = 0  # looks in a row
        self._why = ""
        self._refusals = 0
        self._refused = (float("-inf"), "")  # when last, and why

    @property
    def trouble(self) -> str:
        """What is wrong; empty where nothing is. A single look that failed may be an election."""
        when, why = self._refused
        if self._refusals >= REFUSALS and time.monotonic() - when < HELD:
            return f"the cluster takes nothing: {why}"
        return self._why if self._unanswered > 1 else self._unfit

    def written(self, refused: Refused | None) -> None:
        """A batch was written; ``refused``: what is said to it where nothing of it was taken."""
        if refused is None:
            self._refusals = 0
            return
        self._refusals += 1
        self._refused = time.monotonic(), refused.message
        if self._refusals == REFUSALS:
            event(log, "the cluster takes nothing", level=logging.ERROR, why=refused.message[:200])

    def bounded(self, there: Config) -> None:
        """The bound is the cluster's to keep; what the configuration says of it is for the day the log is made."""
        wanted, bound = self._config["max_bytes"], there.get("max_bytes", -1)
        if bound != wanted:
            hint = f"nats stream edit {self._name} --max-bytes={wanted}"
            event(log, "the log has another bound than max_bytes", level=logging.WARNING, bound=bound, hint=hint)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._look()
            except (ApiError, Unsure, StoreFailed) as error:
                self._unanswered += 1
                self._why = f"the cluster does not answer: {error}"
                if self._unanswered == 2:
                    event(log, "the cluster does not answer", level=logging.ERROR, why=str(error)[:200])
                await asyncio.sleep(SOON if self._unanswered < 2 else LOOK)
            else:
                self._unanswered = 0
                await asyncio.sleep(LOOK)

    async def _look(self) -> None:
        asked = time.time()
        info = await self._link.api(f"STREAM.INFO.{self._name}")
        self.timed(asked, info["ts"])
        self._judged(self._link.misfit() or misfit(self._name, info["config"], self._config))
        bound = info["config"].get("max_bytes", -1)
        self.free = min(_left(info["state"]["bytes"], bound), account_left(await self._link.api("INFO")))

    def _judged(self, wrong: NotReady | None) -> None:
        if wrong is not None and not self._unfit:
            event(log, "the cluster was changed", level=logging.ERROR, why=wrong.message, hint=wrong.hint)
        self._unfit = "" if wrong is None else wrong.message

    def timed(self, asked: float, told: str) -> None:
        """The cluster said what time it is, after it was asked at ``asked``."""
        ahead = asked - datetime.fromisoformat(told).timestamp()
        if ahead > SKEW and not self.ahead:
            event(log, "this clock is ahead of the cluster's", level=logging.WARNING, seconds=round(ahead))
        self.ahead = math.ceil(ahead) if ahead > SKEW else 0


def account_left(account: Mapping[str, Any]) -> float:
    """Which part of what an account may store is left; where it has tiers, of the one with the least."""
    tiers = list((account.get("tiers") or {}).values()) or [account]
    return min(_left(tier.get("storage", 0), (tier.get("limits") or {}).get("max_storage", -1)) for tier in tiers)


def _left(used: int, most: int) -> float:
    return 1.0 if most <= 0 else max(most - used, 0) / most
