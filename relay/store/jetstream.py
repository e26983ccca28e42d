"""The way to a NATS cluster: questions with one answer or many, and what an answer's error means for a write.

    put(subject, body, expect) ──▶ seq     Behindhand   another was first (10071), or is about to be (10158, 10164):
                                                        it was not stored; read, then decide
                                           Unsure       nobody knows (no leader, no answer in time): read; the same
                                                        write may be repeated, its id or expectation keeps it single
                                           StoreFull    no room: of the stream (10077), of a server's
                                                        disk (10023, 10047), of the account (10002)
    last(stream, subject)                  asked of the stream's leader: what was acknowledged is seen
    page(stream, subject, from)            asked of any replica (batched direct get), again if it lags; it has no gaps

Nothing is published while there is no connection: what would wait in a buffer would come when nobody expects it any
more. Nothing here needs a durable consumer; the one consumer that a relay has is `relay.store.feed`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from nats.errors import Error as NatsError

from relay.logs import event
from relay.store.base import StoreFailed, StoreFull
from relay.store.shortcut import ShortcutClient
from securechan.errors import NotReady, Unreachable

if TYPE_CHECKING:
    from relay.config import Nats

log = logging.getLogger("relay.nats")

PATIENCE: Final = 5.0  # seconds for an answer that is one of several on the way to an outcome
CONNECT: Final = 10.0  # seconds to find a server that answers
OLDEST: Final = (2, 11)
PAYLOAD: Final = (2 << 20) + (64 << 10)  # bytes: the largest entry with all that goes around it
PENDING: Final = 64 << 20  # bytes on their way out
FEW: Final = 6  # messages
_LAG: Final = 0.01  # seconds that a replica is given to catch up

EXPECT: Final = "Nats-Expected-Last-Subject-Sequence"
TTL: Final = "Nats-TTL"
ONCE: Final = "Nats-Msg-Id"  # of two messages with the same within two minutes the cluster takes the first
_SUBJECT: Final = b"Nats-Subject:"
_SEQUENCE: Final = b"Nats-Sequence:"
_MORE: Final = b"Nats-Num-Pending:"
_BEFORE: Final = b"Nats-Last-Sequence:"

BEHIND: Final = frozenset({10071, 10158, 10164})
UNSURE: Final = frozenset({10008, 10118})
FULL: Final = frozenset({10002, 10023, 10028, 10047, 10077})
NO_MESSAGE: Final = frozenset({10037, 10043})
NO_STREAM: Final = 10059
NO_PEERS: Final = frozenset({10005, 10074})


class Behindhand(Exception):
    """The expectation of a write does not hold."""


class Unsure(Exception):
    """Nobody knows what became of a write."""


class ApiError(Exception):
    """Another error of the JetStream API."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


TROUBLE: Final = (StoreFull, StoreFailed, Unsure, Behindhand, ApiError, NatsError, OSError)
"""What any question to a cluster may end in."""


@dataclass(slots=True)  # one an entry: frozen, it would take three times as long to make
class Message:
    """A message of a stream. ``head``: its headers as they came."""

    subject: str
    sequence: int
    data: bytes
    head: bytes = b""

    @property
    def headers(self) -> Mapping[str, str]:
        return parse(self.head)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back to a question: its headers as they came, and its body."""

    head: bytes
    data: bytes

    @property
    def status(self) -> str:
        """Three digits of a server that says so much and no more; else nothing."""
        return self.head[9:12].decode() if self.head[8:9] == b" " else ""


Hear = Callable[[Answer], None]


def outcome(code: int, text: str) -> Exception:
    """What an error means for a write."""
    if code in BEHIND:
        return Behindhand(text)
    if code in FULL:
        return StoreFull("the cluster has no room left", retry_after=30.0, hint=text)
    return Unsure(f"{text} ({code})") if code in UNSURE else ApiError(code, text)


def refusal(answer: Answer) -> Exception | None:
    """What the answer to a write has against it; None where it stands."""
    if answer.status == "503":
        return Unsure("nobody answers for the stream now")
    if not answer.data.startswith(b'{"error"'):
        return None
    said = json.loads(answer.data)["error"]
    return outcome(said.get("err_code", 0), said.get("description", ""))


def failure(error: Exception) -> StoreFull | StoreFailed:
    """What a write is answered that nobody knows the outcome of."""
    if isinstance(error, StoreFull | StoreFailed):
        return error
    return StoreFailed(f"the cluster did not confirm it: {error}", retry_after=1.0)


class Link:
    """A connection to the cluster. Make it with `open`."""

    def __init__(self, nc: ShortcutClient, ended: asyncio.Event) -> None:
        self.nc = nc
        self._ended = ended  # we have ended it ourselves
        self._box = nc.new_inbox()
        self._number = 0
        self._waiting: dict[bytes, Hear] = {}

    @classmethod
    async def open(cls, settings: Nats) -> Self:
        """Connect. Raises `Unreachable`, and `NotReady` for a server that does not do, with what to do about it."""
        tls: ssl.SSLContext | None = None
        if settings.ca is not None or settings.certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca)
            if settings.certificate is not None:
                tls.load_cert_chain(settings.certificate, settings.key)
        how: dict[str, Any] = {"reconnect_time_wait": 0.25}  # seconds, which nats-py believes are whole ones
        if tls is not None:
            how["tls"] = tls
        if settings.credentials is not None:
            how["user_credentials"] = str(settings.credentials)

        async def failed(error: Exception) -> None:
            event(log, "cluster trouble", level=logging.WARNING, why=f"{type(error).__name__}: {error}"[:200])

        ended = asyncio.Event()

        async def cut() -> None:
            if not ended.is_set():
                event(log, "cluster not reached", level=logging.WARNING)

        async def back() -> None:
            event(log, "cluster reached again")

        nc = ShortcutClient()
        try:
            async with asyncio.timeout(CONNECT):
                await nc.connect(
                    list(settings.servers),
                    name="securechan-relay",
                    connect_timeout=2,
                    max_reconnect_attempts=-1,
                    ping_interval=2,
                    max_outstanding_pings=2,
                    pending_size=PENDING,
                    error_cb=failed,
                    disconnected_cb=cut,
                    reconnected_cb=back,
                    allow_reconnect=True,
                    skip_subject_validation=True,  # ours are made of tokens
                    **how,
                )
        except (NatsError, OSError, TimeoutError) as error:
            raise Unreachable(
                f"no NATS server answers: {str(error) or 'in time'}",
                hint="check [nats] servers, and that the cluster runs",
            ) from error
        link = cls(nc, ended)
        try:
            if (wrong := link.misfit()) is not None:
                raise wrong
            await nc.hear(f"{link._box}.*", link._heard)
            await nc.flush()
        except BaseException:
            await nc.close()
            raise
        return link

    def misfit(self) -> NotReady | None:
        """What a relay can't do with about the server that it is connected to; None where there is nothing. After a
        reconnection it may be another server."""
        version = self.nc.connected_server_version
        if (version.major, version.minor) < OLDEST:
            return NotReady(
                f"the NATS server is version {version.major}.{version.minor}.{version.patch}",
                hint="version 2.11 or later is needed: earlier ones lose races between commits, or lack what is used",
            )
        if self.nc.max_payload < PAYLOAD:
            return NotReady(
                f"the NATS server takes messages of {self.nc.max_payload} bytes",
                hint="set max_payload: 4MB in every server's configuration: an entry may have 2 MiB",
            )
        return None

    @property
    def up(self) -> bool:
        return self.nc.is_connected

    async def close(self) -> None:
        self._ended.set()
        await self.nc.close()

    # ---------------------------------------------------------------------------------------------- questions

    def _heard(self, subject: bytes, _: bytes, data: bytes, head: bytes) -> None:
        hear = self._waiting.get(subject)
        if hear is not None:
            hear(Answer(head, data))

    async def ask(self, subject: str, body: bytes, headers: dict[str, str] | None, hear: Hear) -> str:
        """Send a question whose answers ``hear`` gets, until `forget` of what is returned. Raises `StoreFailed`."""
        reply = self._awaited(hear)
        try:
            await self._out(self.nc.publish(subject, body, reply=reply, headers=headers))
        except BaseException:
            self.forget(reply)
            raise
        return reply

    async def send_all(self, run: Sequence[tuple[str, bytes, bytes]], headers: Mapping[str, str], hear: Hear) -> str:
        """Publish messages in their order, each a subject and a body in two parts; ``hear`` gets the answers to the
        last one, until `forget` of what is returned. Raises `StoreFailed`: nobody knows which of them left."""
        reply = self._awaited(hear)
        try:
            await self._out(self.nc.publish_all(run, headers, reply))
        except BaseException:
            self.forget(reply)
            raise
        return reply

    def _awaited(self, hear: Hear) -> str:
        """Where an answer may come to. Raises `StoreFailed` where there is no connection."""
        if not self.nc.is_connected:
            raise StoreFailed("the cluster is not reached", retry_after=2.0)
        self._number += 1
        reply = f"{self._box}.{self._number}"
        self._waiting[reply.encode()] = hear
        return reply

    async def _out(self, published: Awaitable[None]) -> None:
        try:
            await published
        except (NatsError, OSError) as error:
            raise StoreFailed(f"the cluster is not reached: {error}", retry_after=2.0) from error

    def forget(self, question: str) -> None:
        """No answer is expected any more."""
        self._waiting.pop(question.encode(), None)

    async def _one(self, subject: str, body: bytes, headers: dict[str, str] | None, patience: float) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def hear(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        question = await self.ask(subject, body, headers, hear)
        try:
            async with asyncio.timeout(patience):
                answer = await answered
        except TimeoutError:
            raise Unsure("no answer in time") from None
        finally:
            self.forget(question)
        if answer.status == "503":
            raise Unsure("nobody answers for the stream now")
        return answer

    async def put(
        self,
        subject: str,
        body: bytes,
        expect: int | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> int:
        """Publish into a stream: the message's sequence, once a majority has it. ``expect``: the sequence of the last
        message of this subject, 0 for none. Raises `Behindhand`, `Unsure`, `StoreFull`, `StoreFailed`."""
        said = dict(headers or {})
        if expect is not None:
            said[EXPECT] = str(expect)
        answer = await self._one(subject, body, said or None, patience)
        refused = refusal(answer)
        if refused is not None:
            raise refused
        return int(json.loads(answer.data)["seq"])

    async def api(self, what: str, body: Mapping[str, Any] | None = None, patience: float = PATIENCE) -> Any:
        """Ask the JetStream API. Raises `ApiError`, `Unsure`, `StoreFailed`."""
        question = b"" if body is None else json.dumps(body).encode()
        answer = json.loads((await self._one(f"$JS.API.{what}", question, None, patience)).data)
        if "error" in answer:
            raise ApiError(answer["error"].get("err_code", 0), answer["error"].get("description", ""))
        return answer

    async def _message(self, stream: str, which: Mapping[str, Any]) -> Message | None:
        try:
            found = (await self.api(f"STREAM.MSG.GET.{stream}", which))["message"]
        except ApiError as error:
            if error.code in NO_MESSAGE:
                return None
            raise
        head = base64.b64decode(found.get("hdrs", ""))
        return Message(found["subject"], found["seq"], base64.b64decode(found.get("data", "")), head)

    async def last(self, stream: str, subject: str) -> Message | None:
        """The last message of a subject, which may have wildcards, as the stream's leader has it."""
        return await self._message(stream, {"last_by_subj": subject})

    async def at(self, stream: str, sequence: int) -> Message | None:
        """The message at that place."""
        return await self._message(stream, {"seq": sequence})

    async def page(
        self, stream: str, subject: str, first: int, upto: int, size: int = 1 << 20, count: int = 1000
    ) -> tuple[list[Message], bool]:
        """Messages of a subject from ``first`` on, at least one if there is one, until ``size`` bytes or ``count`` are
        passed; True when there are more. ``upto``: the place of a message of that subject that is known to be there,
        for which a replica that lags is waited for. Raises `Unsure`, `StoreFailed`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while True:
            taken, more = await self._page(stream, subject, first, size, count)
            if more or first > upto or (taken and taken[-1].sequence >= upto):
                return taken, more
            if loop.time() > until:
                raise Unsure("a replica lags behind")
            await asyncio.sleep(_LAG)

    async def _page(self, stream: str, subject: str, first: int, size: int, count: int) -> tuple[list[Message], bool]:
        taken: list[Message] = []
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def hear(answer: Answer) -> None:
            status = answer.status
            if ended.done():
                return
            before = field(answer.head, _BEFORE)  # a route that was cut takes what was on it, and the rest still comes
            if before and int(before) != (taken[-1].sequence if taken else 0):
                ended.set_exception(Unsure("a part of a page got lost"))
            elif not status:
                place = int(field(answer.head, _SEQUENCE))
                taken.append(Message(field(answer.head, _SUBJECT).decode(), place, answer.data, answer.head))
            elif status in {"204", "404"}:
                ended.set_result(int(field(answer.head, _MORE) or b"0") > 0)
            else:
                ended.set_exception(Unsure(f"a page was refused ({status})"))

        which = {"seq": max(first, 1), "next_by_subj": subject, "batch": count, "max_bytes": size}
        question = await self.ask(f"$JS.API.DIRECT.GET.{stream}", json.dumps(which).encode(), None, hear)
        try:
            async with asyncio.timeout(PATIENCE):
                return taken, await ended
        except TimeoutError:
            raise Unsure("no answer in time") from None
        finally:
            self.forget(question)

    async def following(self, stream: str, subject: str, first: int) -> Message | None:
        """The first message of a subject from ``first`` on, as the stream's leader has it."""
        return await self._message(stream, {"seq": max(first, 1), "next_by_subj": subject})

    async def walk(self, stream: str, subject: str, first: int, upto: int) -> AsyncIterator[Message]:
        """Messages of a subject from ``first`` on, until that at ``upto``, which is there. The first few come one by
        one: where there are no more, as mostly, that costs the servers less than a page."""
        for _ in range(FEW):
            message = await self.following(stream, subject, first) if first <= upto else None
            if message is None:
                return
            yield message
            first = message.sequence + 1
        while first <= upto:
            messages, _ = await self.page(stream, subject, first, first)
            for message in messages:
                yield message
                first = message.sequence + 1

    async def purge(self, stream: str, subject: str, below: int | None = None) -> None:
        """Forget the messages of a subject, or those of them before ``below``."""
        what: dict[str, Any] = {"filter": subject}
        if below is not None:
            what["seq"] = below
        await self.api(f"STREAM.PURGE.{stream}", what)


def field(raw: bytes, name: bytes) -> bytes:
    """One header of a message whose server writes it; ``name``: with the colon. Empty where there is none."""
    start = raw.find(b"\r\n" + name)
    return b"" if start < 0 else raw[start + 2 + len(name) : raw.index(b"\r\n", start + 2)].strip()


def parse(raw: bytes) -> dict[str, str]:
    """The headers of a message, as the API gives them."""
    headers: dict[str, str] = {}
    for line in raw.decode().split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name] = value.strip()
    return headers
