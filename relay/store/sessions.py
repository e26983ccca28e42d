"""Which relay has the newest session of a device: said in the log, so that all relays see it in one order.

    announce(who) ──▶ PREFIX.s.WHO ──▶ the feed of every relay ──▶ elsewhere(who), but where a later one began here
    retract(who)  ──▶ it has ended: what still waits for the cluster is not due any more

A notice ends older sessions for good, so none may stand in the log later than what it tells. One that waits for the
cluster goes with its session: else, after an outage, it would end the session that the device has begun elsewhere
meanwhile. One of which nobody knows whether it was taken is not sent again once it has come back, and the cluster takes
it only once, under its own name.

A notice is gone after ten minutes: by then every relay that follows the log has heard it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Coroutine
from typing import Final

from relay.store.jetstream import ONCE, TROUBLE, TTL, Link, Message
from relay.store.records import short

KEPT: Final = "600s"
AGAIN: Final = 1.0  # seconds until the second try; each pause is twice the one before …
LONGEST: Final = 8.0  # … up to this

Spawn = Callable[[Coroutine[None, None, None]], None]


class Sessions:
    """The notices of one relay. ``elsewhere`` hears of whoever has begun a session through another one; what is given
    to ``spawn`` is done beside everything else."""

    def __init__(self, link: Link, prefix: str, spawn: Spawn, elsewhere: Callable[[bytes], None]) -> None:
        self._link = link
        self._prefix = prefix
        self._spawn = spawn
        self._elsewhere = elsewhere
        self._instance = secrets.token_hex(8)  # which of the relays this is
        self._announced: dict[bytes, str] = {}  # the newest notice of each session here, until it has come back
        self._sending: set[bytes] = set()

    def announce(self, who: bytes) -> None:
        """A session of ``who`` has begun here: see that it stands in the log, until the session ends. Where an older
        notice of it waits, this one takes its place."""
        self._announced[who] = secrets.token_hex(8)
        if who not in self._sending:
            self._sending.add(who)
            self._spawn(self._send(who))

    async def _send(self, who: bytes) -> None:
        try:
            await self._send_newest(who)
        finally:
            self._sending.discard(who)

    async def _send_newest(self, who: bytes) -> None:
        sent, pause = "", AGAIN
        while (notice := self._announced.get(who, sent)) != sent:
            body = json.dumps({"who": who.hex(), "relay": self._instance, "notice": notice}).encode()
            try:
                await self._link.put(f"{self._prefix}.s.{short(who)}", body, headers={TTL: KEPT, ONCE: notice})
            except TROUBLE:  # whatever it is: as long as the session lives, its notice is due
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST)
            else:
                sent = notice

    def retract(self, who: bytes) -> None:
        """The session of ``who`` here has ended."""
        self._announced.pop(who, None)

    def take(self, message: Message) -> None:
        """One more notice. Raises ValueError, KeyError or TypeError for what no relay writes."""
        said = json.loads(message.data)
        who, relay, notice = bytes.fromhex(said["who"]), said["relay"], said["notice"]
        if relay == self._instance:
            if self._announced.get(who) == notice:
                del self._announced[who]
        elif who not in self._announced:  # else ours begins after that one
            self._elsewhere(who)
