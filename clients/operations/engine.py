"""Carrying out an operation: with the vault opened here, or by the process that holds the profile.

    perform("message.send", params)
        profile free  ──► hold it ─► vault ─► agent ─► runtime ─► operation(work, params) ─► data
        profile held  ──► control socket ─► the watching process's own work ─► the same operation ─► data

An operation is ``async (work, params) -> data``: parameters and data are JSON, so that it makes no difference to it,
nor to who asks, where it runs. Each module here lists its operations under ``OPERATIONS``; a name on the wire is
``module.operation``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import importlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clients.clock import Clock, SystemClock
from clients.connection import SKEW_WARN, Route, Up
from clients.control import forward
from clients.cores import on_all_cores
from clients.line import Line
from clients.operations import lookup
from clients.passphrase import Passphrases
from clients.profile import Profile
from clients.render import duration
from clients.runtime import Runtime, too_late
from clients.transport import Transport
from clients.vault import Put, Vault
from securechan.errors import Invalid, Malformed, NotReady, Refused, TimedOut, Unreachable
from securechan.wire.frames import Error
from securechan.wire.handshake import DeviceCredential, RelayIdentity

if TYPE_CHECKING:
    from securechan.agent.agent import Agent

MODULES: Final = frozenset(
    {"admin", "bulletin", "contact", "conversation", "device", "doctor", "key", "message", "status", "verify", "watch"}
)
PATIENCE: Final = 5.0  # seconds that a short command waits for another short command to be done
ABSENT: Final = "absent"  # vault table: device → when none of its key packages was to be had
FORGET: Final = 3600  # seconds after which such a device is waited for again
NAMED: Final = 5  # things still under way that are named
SAID: Final = 4.0  # seconds of waiting for the relay after which it is said what is waited for
HOPEFUL: Final = 0.5  # of the time that one would wait: for so long a relay that can keep nothing is asked again
CONNECT: Final = 20.0  # seconds for the first session

KEPT: Final = frozenset({"refused-full", "refused-quota", "refused-internal", "refused-overloaded"})
"""Refusals after which what was to be sent goes on waiting."""

Give = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Work:
    """What an operation works with. ``give`` hands out one item of a stream."""

    runtime: Runtime
    profile: Profile
    clock: Clock
    give: Give

    @property
    def agent(self) -> Agent:
        """As it is now: ask again after every ``await``."""
        return self.runtime.agent

    @property
    def vault(self) -> Vault:
        return self.runtime.vault

    @property
    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock.time())

    async def online(self) -> Up:
        """A session with the relay. Raises Unreachable, Untrusted, Refused, TimedOut."""
        return await self.runtime.online(CONNECT)

    async def at_rest(self, timeout: float) -> None:
        """Everything read, and all of ours taken by the relay. Raises Refused where it has no room, and TimedOut, which
        names what is still under way."""
        with self._naming(timeout):
            await self.taken(lambda agent: agent.at_rest(self.now), timeout)

    @contextlib.contextmanager
    def _naming(self, seconds: float) -> Iterator[None]:
        try:
            yield
        except TimedOut as late:
            named = _named(self.agent.under_way(self.now)) or "nothing any more"
            raise TimedOut(f"after {seconds:.0f} s still under way: {named}", hint=late.hint) from None

    async def settled(self, timeout: float = 10.0, *, patient: bool = False) -> None:
        """Give what is under way a while to come to rest: what waits to be sent, and members to be let in or out who
        can be. That others take their time is no failure. Devices that have never been here are not waited for again
        within the hour, unless ``patient``."""
        tried = {name: int.from_bytes(at, "big") for name, at in self.vault.all(ABSENT).items()}
        gone = set() if patient else {name for name, at in tried.items() if at + FORGET > self.now}
        with contextlib.suppress(TimedOut):
            await self.runtime.until(
                lambda agent: agent.at_rest(self.now) and not lookup.unsettled(agent, self.now, gone), timeout
            )
        fresh = lookup.absent(self.agent) - gone
        stamp = self.now.to_bytes(8, "big")
        self.vault.adopt([Put(ABSENT, name, stamp) for name in sorted(fresh)])

    async def taken(self, done: Callable[[Agent], bool], timeout: float) -> None:
        """Wait until the relay has taken what ``done`` looks for. Raises TimedOut, and Refused as soon as the relay
        says that it has no room, or has said for half of ``timeout`` that it can keep nothing: what waits to be sent
        goes on waiting. Whoever asked is given a ``waiting`` once it takes longer than people expect."""
        runtime, began, patience = self.runtime, self.clock.time(), timeout * HOPEFUL

        def over(agent: Agent) -> bool:
            return done(agent) or self._hopeless(began, patience) is not None

        try:
            async with asyncio.timeout(timeout):
                with contextlib.suppress(TimedOut):
                    await runtime.until(over, SAID)
                if not over(self.agent):
                    await self._say_why()
                    if runtime.refusing is None:
                        await runtime.until(lambda agent: over(agent) or runtime.refusing is not None, None)
                        if not over(self.agent):
                            await self._say_why()
                    await runtime.until(over, None)
        except TimeoutError:
            raise too_late(timeout) from None
        error = self._hopeless(began, patience)
        if not done(self.agent) and error is not None:
            from clients.errand import refusal  # it loads an HTTP client, and hardly anything comes here

            raise refusal(error)

    def _hopeless(self, began: float, seconds: float) -> Error | None:
        """What a relay says that takes nothing from us, where it has no room, or has said so for so long."""
        no_room, refusing = self.runtime.no_room, self.runtime.refusing
        if no_room is not None or refusing is None:
            return no_room
        return refusing.error if self.clock.time() - max(began, refusing.since) >= seconds else None

    async def _say_why(self) -> None:
        """Give what is waited for, in words, and whether it is the relay that should do better."""
        refusing = self.runtime.refusing
        if refusing is not None:
            why = f"the relay answers, and can keep nothing now: {refusing.error.message}"
        else:
            why = _named(self.agent.under_way(self.now)) or "others have to join, or to decide something, first"
        await self.give({"event": "waiting", "why": why, "refusing": refusing is not None})

    async def synced(self, timeout: float = 60.0) -> None:
        """A session in which everything that the relay held has been read. Raises TimedOut: it names what not."""
        await self.online()
        with self._naming(timeout):
            await self.runtime.until(lambda agent: agent.synced, timeout)


def _named(things: Sequence[str]) -> str:
    more = f"; and {len(things) - NAMED} more" if len(things) > NAMED else ""
    return "; ".join(things[:NAMED]) + more


Operation = Callable[[Work, dict[str, Any]], Awaitable[Any]]


def operation(name: str) -> Operation:
    """The operation called ``module.operation``. Raises Malformed where there is none."""
    module, _, verb = name.partition(".")
    if module in MODULES:
        found: Operation | None = importlib.import_module(f"clients.operations.{module}").OPERATIONS.get(verb)
        if found is not None:
            return found
    raise Malformed(f"there is no operation {name[:60]!r}", hint="both processes must run the same securechan")


# ------------------------------------------------------------------------------------------------------------- opening


def route(agent: Agent, url: str | None = None) -> Route:
    """To the relay that publishes for the federation, as this device. ``SECURECHAN_RELAY`` replaces its addresses."""
    view, me = agent.view, agent.me
    url = url or os.environ.get("SECURECHAN_RELAY") or None
    record = view.publisher if view.started else None
    if record is None:  # before the first publication is read: as enrolment found it
        name, key = me.relay, me.relay_key
        urls: tuple[str, ...] = (me.url,)
    else:
        name, urls, key = record.name, record.urls, next(reversed(record.kem.values()))
    return Route(RelayIdentity(view.root_id, name, key), (url,) if url else urls, DeviceCredential(*agent.credential()))


def load(vault: Vault) -> Agent:
    """The agent that the vault holds. Raises NotReady where it holds none yet."""
    from securechan.agent.agent import Agent
    from securechan.agent.state import ME, TABLES

    if not vault.all(ME.name):
        raise _unfinished(vault)
    try:
        return Agent.load({table: vault.all(table) for table in TABLES}, each=on_all_cores)
    except (Malformed, Invalid) as e:  # every record is sealed and authentic: another version wrote them
        raise NotReady(
            f"profile data of another version of securechan: {e.message}",
            hint="use the version that wrote it; or enrol this device again, under another --profile",
            code="other-version",
        ) from e


def _not_enrolled(profile: Profile) -> NotReady:
    return NotReady(
        f"profile {profile.name} is not enrolled",
        hint="enrol this device: securechan enrol -",
        code="not-enrolled",
    )


def _unfinished(vault: Vault) -> NotReady:
    """A vault without an agent yet: what finishes it."""
    from clients.operations import newcomer

    held = vault.get(newcomer.TABLE, newcomer.ROW)
    founder = held is not None and not newcomer.Newcomer.decode(held).invite
    if founder:
        message, hint = "this agency is not admitted yet, as far as this device knows", "securechan admin join ADDRESS"
    else:
        message, hint = "this device is not approved yet", "finish with: securechan enrol --resume"
    return NotReady(message, hint=hint, code="not-enrolled")


async def open_vault(profile: Profile, passphrases: Passphrases) -> Vault:
    """The profile's vault. The caller holds the profile. Raises NotReady."""
    if not profile.enrolled:
        raise _not_enrolled(profile)
    what = f"profile {profile.name}"
    while True:
        passphrase = passphrases.get(what)
        try:
            return await asyncio.to_thread(Vault.open, profile.vault, passphrase)
        except NotReady as e:
            passphrases = passphrases.after(e, what)


@contextlib.asynccontextmanager
async def opened(
    profile: Profile,
    passphrases: Passphrases,
    *,
    online: bool = True,
    give: Give | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Work]:
    """A device at work on a profile that the caller holds."""
    now = clock or SystemClock()
    with await open_vault(profile, passphrases) as vault:
        agent = await asyncio.to_thread(load, vault)
        line = Line.find(profile.folder)
        transport = Transport(lambda: replace(route(runtime.agent), line=line), now) if online else None
        runtime = Runtime(vault, agent, transport, now)
        async with runtime:
            yield Work(runtime, profile, now, give or _nowhere)


async def _nowhere(_: Any) -> None:
    """Where items go that nobody asked for."""


# ---------------------------------------------------------------------------------------------------------- performing


async def perform(
    profile: Profile,
    passphrases: Passphrases,
    name: str,
    params: dict[str, Any],
    *,
    give: Give | None = None,
    online: bool = True,
    command: str = "securechan",
    warn: Callable[[str], None] | None = None,
) -> Any:
    """Carry out an operation; its data. ``online`` False opens no connection. Raises what the operation raises, and
    NotReady where the profile isn't enrolled, is locked, or is held by who takes no errands.

    The passphrase is asked for before the profile is held: a person who looks for it keeps nobody waiting."""
    if not profile.enrolled:
        raise _not_enrolled(profile)
    loop = asyncio.get_running_loop()
    known: Passphrases | None = None
    until = loop.time() + PATIENCE
    while True:
        if known is None and profile.holder() is None:
            known = passphrases.opening(f"profile {profile.name}", Passphrases.of)
            until = loop.time() + PATIENCE
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(profile.hold(command))
            except NotReady as locked:
                if locked.code != "profile-locked":
                    raise
                try:
                    return await _forward(profile, name, params, give or _nowhere)
                except Unreachable as e:
                    if e.code != "no-control":  # it has listened: the answer is its own
                        raise
                    if loop.time() > until:
                        raise locked from e
            else:
                if known is not None:
                    try:
                        async with opened(profile, known, online=online, give=give) as work:
                            data = await operation(name)(work, params)
                            _look_at_clocks(work, warn)
                            return data
                    except NotReady as mistyped:
                        passphrases, known = passphrases.after(mistyped, f"profile {profile.name}"), None
        await asyncio.sleep(0.1)


async def _forward(profile: Profile, name: str, params: dict[str, Any], give: Give) -> Any:
    async with contextlib.aclosing(forward(profile.control, name, params)) as answers:
        async for last, said in answers:
            if last:
                return said
            await give(said)
    raise Unreachable("the process that holds the profile gave no answer", code="holder-gone")


def _look_at_clocks(work: Work, warn: Callable[[str], None] | None) -> None:
    link = work.runtime.link
    if warn is not None and isinstance(link, Up) and abs(link.skew) > SKEW_WARN:
        warn(skewed(link.skew))


def skewed(seconds: float) -> str:
    """What to say of a clock that the relay's differs from by ``seconds``."""
    side = "behind" if seconds > 0 else "ahead of"
    return f"this machine's clock is {duration(seconds)} {side} the relay's: set it, or trust records seem stale"


# ----------------------------------------------------------------------------------------------------------- parameters


class Params:
    """Parameters of an operation, taken one by one; what is missing or of another kind is Malformed (``usage``).

    They come from our own command line or from another process of the same user: a mismatch means two versions.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = said

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._take(name, str, default))

    def number(self, name: str, default: int | None = None) -> int:
        return int(self._take(name, int, default))

    def seconds(self, name: str, default: float | None = None) -> float:
        return float(self._take(name, (int, float), default))

    def flag(self, name: str) -> bool:
        return bool(self._take(name, bool, False))

    def texts(self, name: str) -> tuple[str, ...]:
        found = self._take(name, list, [])
        if not all(isinstance(each, str) for each in found):
            raise self._wrong(name)
        return tuple(found)

    def has(self, name: str) -> bool:
        return self._said.get(name) is not None

    def records(self, name: str) -> tuple[dict[str, Any], ...]:
        """One object or more."""
        found = self._take(name, list, None)
        if not found or not all(isinstance(each, dict) for each in found):
            raise self._wrong(name)
        return tuple(found)

    def data(self, name: str) -> bytes:
        """Bytes, in base64."""
        try:
            return base64.b64decode(self.text(name), validate=True)
        except (ValueError, binascii.Error):
            raise self._wrong(name) from None

    def hex(self, name: str, size: int) -> bytes:
        """``size`` bytes in hexadecimal, or none where it is absent or empty."""
        said = self.text(name, "")
        try:
            found = bytes.fromhex(said)
        except ValueError:
            raise self._wrong(name) from None
        if found and len(found) != size:
            raise self._wrong(name)
        return found

    def _take(self, name: str, kind: Any, default: Any) -> Any:
        value = self._said.get(name)
        if value is None:
            if default is None:
                raise self._wrong(name)
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._wrong(name)
        return value

    @staticmethod
    def _wrong(name: str) -> Malformed:
        return Malformed(f"the parameter {name} is missing or of another kind", code="usage")


@contextlib.contextmanager
def queued(what: str) -> Iterator[None]:
    """Waiting for the relay may fail; what was asked for is durable already, and the error says so."""
    try:
        yield
    except TimedOut as e:
        raise TimedOut(
            f"{what} waits to be sent: {e.message}",
            hint="it leaves with the next securechan sync or watch",
            code=e.code,
        ) from e
    except Unreachable as e:
        hint = "it is kept, and leaves with the next securechan sync or watch"
        raise Unreachable(f"{e.message}; {what} waits to be sent", hint=hint, code=e.code) from e
    except Refused as e:
        if e.code not in KEPT:
            raise
        mends = "make room" if e.code in ("refused-full", "refused-quota") else "say what ails its store"
        hint = f"it is kept, and leaves with the next securechan sync or watch; whoever runs the relay can {mends}"
        raise Refused(f"{e.message}; {what} waits to be sent", retry_after=e.retry_after, hint=hint, code=e.code) from e
