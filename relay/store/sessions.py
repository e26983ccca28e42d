"""Which relay has the newest session of a device: said in the log, so that all relays see it in one order.

    announce(who) ──▶ PREFIX.s.WHO ──▶ the feed of every relay ──▶ elsewhere(who), but where a later one began here

A notice is gone after ten minutes: by then every relay that follows the log has heard it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Final

from relay.store.base import StoreFailed, StoreFull
from relay.store.jetstream import TTL, Link, Message, Unsure
from relay.store.records import short

KEPT: Final = "600s"
_AGAIN: Final = 1.0  # seconds between two tries


class Sessions:
    """The notices of one relay. ``elsewhere`` hears of whoever has begun a session through another one."""

    def __init__(self, link: Link, prefix: str, elsewhere: Callable[[bytes], None]) -> None:
        self._link = link
        self._prefix = prefix
        self._elsewhere = elsewhere
        self._instance = secrets.token_hex(8)  # which of the relays this is
        self._announced: dict[bytes, set[str]] = {}  # notices of sessions begun here that have not come back yet
        self._unsent: set[bytes] = set()  # of these, those that wait for the cluster

    async def announce(self, who: bytes) -> None:
        """A session of ``who`` has begun here: return when that stands in the log. While one notice waits for the
        cluster, it stands for every later session as well."""
        if who in self._unsent:
            return
        notice = secrets.token_hex(8)
        self._unsent.add(who)
        self._announced.setdefault(who, set()).add(notice)
        body = json.dumps({"who": who.hex(), "relay": self._instance, "notice": notice}).encode()
        try:
            while True:
                try:
                    await self._link.put(f"{self._prefix}.s.{short(who)}", body, headers={TTL: KEPT})
                except (Unsure, StoreFull, StoreFailed):
                    await asyncio.sleep(_AGAIN)  # the cluster is away: the notice is due as soon as it is back
                else:
                    return
        finally:
            self._unsent.discard(who)

    def take(self, message: Message) -> None:
        """One more notice. Raises ValueError, KeyError or TypeError for what no relay writes."""
        said = json.loads(message.data)
        who, relay, notice = bytes.fromhex(said["who"]), said["relay"], said["notice"]
        if relay == self._instance:
            ours = self._announced.get(who, set())
            ours.discard(notice)  # it may come twice, where nobody knew whether it had been taken
            if not ours:
                self._announced.pop(who, None)
        elif who not in self._announced:  # else ours begins after that one
            self._elsewhere(who)
