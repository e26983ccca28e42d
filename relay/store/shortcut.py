"""nats-py's client, with a short way in and out for what a relay does with every entry.

    hear(subject, take)   ──▶ take(subject, reply, body, head) for each message as it is read
    publish_all(run)      ──▶ many messages with the same headers, a slice of them at a time

nats-py passes each message through a queue to a task, and reads its headers letter by letter: that costs more than all
that a relay does with an entry. The short ways go through methods of its client that are not public; where they are
not what is known here, as in a later nats-py they may not be, the public ones do the same.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionReconnectingError, MaxPayloadError

log = logging.getLogger("relay.nats")

SLICE: Final = 64  # messages that are written at once: the servers work on them while the next are made
_INSIDE: Final = {
    "_process_msg": ("self", "sid", "subject", "reply", "data", "headers"),
    "_send_command": ("self", "cmd", "priority"),
    "_flush_pending": ("self", "force_flush"),
}

Take = Callable[[bytes, bytes, bytes, bytes], Awaitable[None] | None]
"""Hears subject, reply, body and headers of a message, as they came; what it returns is awaited."""


def known(client: type[Client]) -> bool:
    """Whether this nats-py has inside what the short ways go through."""
    inside = {name: getattr(client, name, None) for name in _INSIDE}
    return {name: tuple(inspect.signature(it).parameters) for name, it in inside.items() if callable(it)} == _INSIDE


def head_of(headers: Mapping[str, str] | None) -> bytes:
    """Headers as they travel."""
    if not headers:
        return b""
    said = dict(headers)
    status = f" {said.pop('Status')}" if "Status" in said else ""
    lines = [f"NATS/1.0{status}", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    return "\r\n".join(lines).encode()


class ShortcutClient(Client):
    """See the head of this file. ``short``: whether the short ways are taken."""

    short = known(Client)

    def __init__(self) -> None:
        super().__init__()
        self._takes: dict[Any, Take] = {}

    async def hear(self, subject: str, take: Take) -> Subscription:
        """Subscribe. What goes wrong in ``take`` is told as an error of the connection, which goes on."""

        async def call(msg: Msg) -> None:
            more = take(msg.subject.encode(), msg.reply.encode(), msg.data, head_of(msg.headers))
            if more is not None:
                await more

        subscription = await self.subscribe(subject, cb=call, pending_msgs_limit=1 << 20, pending_bytes_limit=256 << 20)
        if self.short:
            self._takes[subscription] = take
        return subscription

    async def unhear(self, subscription: Subscription) -> None:
        """The end of it. Raises what nats-py raises where the connection is gone."""
        self._takes.pop(subscription, None)
        await subscription.unsubscribe()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        take = self._takes.get(self._subs.get(sid))
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        try:
            more = take(subject, reply, data, headers or b"")
            if more is not None:
                await more
        except Exception as error:  # as nats-py does with those of a callback: the reader must go on
            await self._error_cb(error)

    async def publish_all(
        self, run: Sequence[tuple[str, bytes, bytes]], headers: Mapping[str, str], reply: str
    ) -> None:
        """Publish messages in their order: subject, and body in two parts. ``reply``: where the last one is answered.
        Raises what nats-py raises. Where the connection is cut in the middle the rest stays here: what waited for the
        next one would be stored when its sender has long been told otherwise."""
        last = len(run) - 1
        if not self.short:
            for place, (subject, front, tail) in enumerate(run):
                self._check_connected()
                await self.publish(subject, front + tail, reply if place == last else "", dict(headers))
            return
        head, most = head_of(headers), self.max_payload
        for start in range(0, len(run), SLICE):
            self._check_connected()
            parts: list[bytes] = []
            for place, (subject, front, tail) in enumerate(run[start : start + SLICE], start):
                to = f"{subject} {reply}" if place == last else subject
                size = len(head) + len(front) + len(tail)
                if size > most:  # a server cuts the connection for it
                    raise MaxPayloadError
                parts += (f"HPUB {to} {len(head)} {size}\r\n".encode(), head, front, tail, b"\r\n")
            await self._send_command(b"".join(parts))
            await self._flush_pending()
            await asyncio.sleep(0)

    def _check_connected(self) -> None:
        if not self.is_connected:
            raise ConnectionReconnectingError
