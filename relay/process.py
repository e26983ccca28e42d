"""The relay as a process: it opens its folder, serves, listens to signals, and ends well.

    keys → store → trust topic → mailroom → doors → ``ready ws://…``
    SIGHUP           the configuration is read again; one with a mistake is refused, and the old one holds
    SIGTERM, SIGINT  what was accepted is made durable and answered, everyone is told bye, exit 0

What they mean before that is in `relay.signals`. Where the service manager keeps a watchdog, the event loop itself
tells it that all is well: one that hangs is silent, and is started anew.

With several workers (`relay.workers`) each of them is such a process, and the parent passes the signals on.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay import keys as keyring
from relay import logs, notify, workers
from relay.backup import stay
from relay.config import Settings
from relay.heads import OnlineKey
from relay.logs import event
from relay.mailroom import Mailroom
from relay.metrics import Metrics
from relay.server import Relay, bounds_of, clock
from relay.signals import AGAIN, ENDS, Early
from relay.store.base import Store
from relay.trust_topic import TrustTopic
from relay.workers import ALONE, Worker
from securechan.errors import NotReady, SecurechanError

log = logging.getLogger("relay.process")

COLLECT: Final = (20_000, 20, 20)  # a group commit makes thousands of objects, which go without the collector

FILES: Final = 128  # open files besides connections: store, mirror, cluster, who watches

ORPHANED: Final = 0.5  # seconds between two looks whether the parent is there

Read = Callable[[], Settings]
"""The configuration as it is now. Raises `SecurechanError`."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A sign of life from the event loop."""

    every: float  # seconds
    beat: Callable[[], object]


async def open_store(home: Path, settings: Settings) -> Store:
    """The store that the settings name."""
    if settings.store == "memory":
        from relay.store.memory import MemoryStore  # noqa: PLC0415 - only the store that is used is loaded

        return MemoryStore()
    if settings.store == "nats":
        try:
            from relay.store.nats import NatsStore  # noqa: PLC0415 - likewise
        except ModuleNotFoundError as error:
            raise NotReady(f"there is no module {error.name}", hint="pip install 'securechan[nats]'") from None
        return await NatsStore.open(settings.nats)
    from relay.store.sqlite import SqliteStore  # noqa: PLC0415 - likewise

    store = await SqliteStore.open(home / keyring.DATABASE)
    if settings.mirror is not None:
        from relay.mirror import Mirror  # noqa: PLC0415 - likewise

        try:
            store.journal = await asyncio.to_thread(Mirror.begin, home, settings.mirror, settings.name)
        except BaseException:
            await store.close()
            raise
    return store


def free(home: Path) -> float:
    """The fraction of the disk under ``home`` that is free."""
    usage = shutil.disk_usage(home)
    return usage.free / usage.total


def open_files(settings: Settings) -> None:
    """Take as many open files as the system grants; a warning where the sessions that the quotas allow need more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # some systems' hard limit is more than they grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    needed = settings.quotas.sessions + settings.quotas.half_open + FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        event(log, "too few open files for quotas.sessions", level=logging.WARNING, may=soft, needed=needed)


async def run(
    home: Path,
    read: Read,
    ready: Callable[[str], None],
    worker: Worker = ALONE,
    early: Early | None = None,
    pulse: Pulse | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. ``ready`` hears the address once the socket listens; ``early`` is who listened to
    signals before.

    Raises `SecurechanError` (exit code 1, for the service manager to start it anew) where a part of it failed.
    """
    settings = read()
    logs.configure(settings.log, settings.log_level)
    open_files(settings)
    stay(home)
    keyring.make_home(home)
    keys = keyring.load(home) if keyring.exist(home) else keyring.make(home, clock() // 1000)
    store = await open_store(home, settings)
    try:
        stay(home)  # it may have been moved before the store was ours
    except BaseException:
        await store.close()
        raise
    online, metrics = OnlineKey(keys.online), Metrics()
    trust = await TrustTopic.load(store, online=online, clock=clock)
    mailroom = Mailroom(
        store,
        relay=settings.name,
        clock=clock,
        trust=trust,
        bounds=bounds_of(settings),
        signer=online,
        disk=lambda: min(free(home), store.free()),
        timed=metrics.committed,
    )
    await mailroom.start()
    relay = Relay(home, settings, keys, mailroom=mailroom, trust=trust, metrics=metrics, worker=worker)
    stop, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ENDS:
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(AGAIN, again.set)
    if early is not None and early.again:
        again.set()
    try:
        await relay.start()
    except BaseException:
        await mailroom.stop()
        raise
    event(log, "listening", address=relay.address, store=settings.store, federation=trust.view is not None)
    ready(relay.address)
    notify.tell(notify.READY, f"STATUS=serving at {relay.address}")
    reloading = asyncio.create_task(_reload(relay, read, again))
    beating = None if pulse is None else asyncio.create_task(_beat(pulse))
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(mailroom.failed.wait()), reloading]
    if worker.parent:
        ends.append(asyncio.create_task(_orphaned(worker.parent)))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    notify.tell(notify.STOPPING)
    for end in ends:
        end.cancel()
    finished = await relay.stop()
    if beating is not None:
        beating.cancel()
    if reloading.done() and not reloading.cancelled():
        reloading.result()
    if mailroom.failed.is_set():
        raise SecurechanError("a part of the relay failed", hint="its log says which; start it again", code="internal")
    if not finished:
        raise SecurechanError(
            "the relay was stopped before everything was durable",
            hint="clients send again what was not acknowledged; see drain_seconds",
            code="internal",
        )


async def _orphaned(parent: int) -> None:
    """Return when the parent is gone: a worker that nobody keeps any more would hold its port against the next."""
    while True:  # no event tells it
        if os.getppid() != parent:
            return
        await asyncio.sleep(ORPHANED)


async def _beat(pulse: Pulse) -> None:
    while True:
        pulse.beat()
        await asyncio.sleep(pulse.every)


async def _reload(relay: Relay, read: Read, again: asyncio.Event) -> None:
    """Whenever it is asked for."""
    while True:
        await again.wait()
        again.clear()
        notify.reloading()
        try:
            await relay.reload(read())
        except (SecurechanError, OSError) as error:
            refused = error if isinstance(error, SecurechanError) else SecurechanError(str(error), code="unreadable")
            relay.refuse(refused)
        notify.tell(notify.READY)


def start(home: Path, read: Read, ready: Callable[[str], None], count: int = 1, early: Early | None = None) -> None:
    """`run` on the fastest event loop there is, in ``count`` processes. Raises what `run` raises, and `Unfit` where the
    store belongs to one process."""
    settings = read()
    workers.check(settings, count)
    within = notify.watchdog()
    if count == 1:
        pulse = None if within is None else Pulse(within / 2, lambda: notify.tell(notify.ALIVE))
        _serve(run(home, read, ready, early=early, pulse=pulse))
        return
    logs.configure(settings.log, settings.log_level)
    stay(home)
    keyring.make_home(home)
    if not keyring.exist(home):
        keyring.make(home, clock() // 1000)
    with workers.hold(settings.host, settings.port) as held:
        port = int(held.getsockname()[1])

        def work(number: int, tell: Callable[[str], None]) -> None:
            os.environ.pop("NOTIFY_SOCKET", None)  # the parent is who the service manager knows
            one = Worker(number, count, os.getppid())
            pulse = None if within is None else Pulse(within / 4, lambda: tell(workers.ALIVE))
            _serve(run(home, lambda: workers.of_worker(read(), number, port), tell, one, early, pulse))

        def all_ready(address: str) -> None:
            ready(address)
            notify.tell(notify.READY, f"STATUS={count} workers serve at {address}")

        workers.Crew(count, work, all_ready, within).run()


def _serve(work: Coroutine[Any, Any, None]) -> None:
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        from uvloop import new_event_loop  # noqa: PLC0415 - optional: same behaviour, less time

        factory = new_event_loop
    gc.freeze()  # what is there now stays: the collector need not look at it again
    gc.set_threshold(*COLLECT)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)
