"""Several processes that serve one port of one machine, over a store that allows it.

    parent ──fork──▶ worker 0, 1, 2 …    each a whole relay: its own event loop, sessions, status socket, metrics port
       │                                 all listen on one port (SO_REUSEPORT); the kernel deals connections out
       └ holds the port, starts anew whoever died or hangs, passes SIGTERM and SIGHUP on, is ready when all are

The service manager's watchdog is the parent's: it hears that all is well only while every worker that serves says so.

What one worker stores the others hear through the store, as relays on other machines do. Budgets are counted by each
worker: an agency whose devices are spread over them may have that much of each.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay import notify
from relay.config import Settings
from relay.keys import SOCKET
from relay.logs import event
from securechan.errors import Conflict, NotReady, Unfit

log = logging.getLogger("relay.workers")

SHARED: Final = ("nats",)
"""Stores that several processes may have open."""
MOST: Final = 64
AGAIN: Final = 1.0  # seconds until a worker that died is started anew
LOOK: Final = 0.2  # seconds between two looks at the children, where no signal says more
ALIVE: Final = ""
"""What a worker tells in place of its address when it only says that it is alive."""
_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})

Work = Callable[[int, Callable[[str], None]], None]
"""What a worker does: its number, and whom to tell its address once it serves, and `ALIVE` again and again."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Which one of several processes on one port this is."""

    number: int = 0
    count: int = 1
    parent: int = 0  # the process that keeps them; 0: it is alone

    @property
    def socket(self) -> str:
        """The name of its own status socket."""
        return SOCKET if not self.number else f"relay-{self.number}.sock"

    @property
    def pid(self) -> int:
        """Whom to send signals: itself, or the parent of all."""
        return self.parent or os.getpid()


ALONE: Final = Worker()


def check(settings: Settings, count: int) -> None:
    """Raises `Unfit` where there can't be so many workers."""
    if not 1 <= count <= MOST:
        raise Unfit(
            f"--workers {count}: from 1 to {MOST} there can be", hint="as many as there are processors is enough"
        )
    if count > 1 and settings.store not in SHARED:
        raise Unfit(
            f"the {settings.store} store belongs to one process: --workers {count} can't share it",
            hint='leave --workers out; several processes share a cluster: store = "nats"',
        )


def of_worker(settings: Settings, number: int, port: int) -> Settings:
    """The settings of one of several: the port that all share, a port for those who watch that is its own."""
    metrics = settings.metrics_port
    own = metrics + number if metrics else metrics
    return settings.model_copy(update={"port": port, "metrics_port": own})


def hold(host: str, port: int) -> socket.socket:
    """The port, for as long as the socket lives: bound so that workers may listen on it, and listening not itself.
    Raises `Conflict` where it is taken."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError as error:
        held.close()
        raise Conflict(
            f"cannot listen on {host} port {port}: {error.strerror}",
            hint="another process has it, or the address is not this machine's; see check-config",
        ) from None
    return held


class Crew:
    """The parent's side. `run` returns in a worker when its work is done, and in the parent when all have ended.

    ``within``: seconds in which the service manager wants to hear of it, and it of each worker twice; None: never."""

    def __init__(self, count: int, work: Work, ready: Callable[[str], None], within: float | None = None) -> None:
        self._count = count
        self._work = work
        self._ready = ready
        self._within = within
        self._children: dict[int, int] = {}  # process → worker's number
        self._due: dict[int, float] = {}  # worker's number → when to start it anew
        self._told: set[int] = set()  # workers that have served
        self._beats: dict[int, float] = {}  # worker's number, of those that serve → when it was last heard
        self._hung: set[int] = set()  # processes that were asked to say where they hang
        self._next = 0.0  # when the service manager is to hear of it again
        self._heard, self._say = os.pipe()
        self._stopping = False
        self._serving = False
        self._worst = 0

    def run(self) -> bool:
        """Start all and keep them; True in the parent, False in a worker whose work is done. Raises `NotReady` where
        one ended before all were ready (it has said why), or one ended badly at the end."""
        os.set_blocking(self._heard, False)
        os.set_blocking(self._say, False)  # a parent that hangs must not make its workers hang
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number in range(self._count):
            if not self._start(number):
                return False
        while self._children or (self._due and not self._stopping):
            info = signal.sigtimedwait(_SIGNALS, LOOK)
            if info is not None:
                self._hear(signal.Signals(info.si_signo))
            self._listen()
            self._reap()
            self._watch()
            for number in [number for number, at in self._due.items() if at <= time.monotonic()]:
                if not self._stopping and not self._start(number):
                    return False
        if self._worst:
            raise NotReady("a worker ended badly", hint="it has said why; see the lines above", code="internal")
        return True

    def _start(self, number: int) -> bool:
        """Another worker; False in it, once its work is done."""
        self._due.pop(number, None)
        pid = os.fork()
        if pid:
            self._children[pid] = number
            return True
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(self._heard)
        self._work(number, lambda address: _tell(self._say, f"{number} {address}\n"))
        return False

    def _hear(self, number: signal.Signals) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number is signal.SIGHUP:
            self._pass_on(signal.SIGHUP)

    def _stop(self) -> None:
        self._stopping = True
        notify.tell(notify.STOPPING)
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: signal.Signals) -> None:
        for pid in self._children:
            os.kill(pid, number)

    def _listen(self) -> None:
        """Who is ready; once all are, that is told."""
        try:
            said = os.read(self._heard, 65_536).decode()
        except BlockingIOError:
            return
        address, running = "", set(self._children.values())
        for line in said.splitlines():
            number, _, heard = line.partition(" ")
            if heard:
                self._told.add(int(number))
                address = heard
            if int(number) in running:  # and not the last words of one that has ended
                self._beats[int(number)] = time.monotonic()
        if address and not self._serving and len(self._told) == self._count:
            self._serving = True
            self._ready(address)

    def _reap(self) -> None:
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            number, code = self._children.pop(pid), os.waitstatus_to_exitcode(status)
            self._beats.pop(number, None)
            self._hung.discard(pid)
            if self._stopping:
                self._worst = self._worst or code
            elif not self._serving:  # what one can't do at the start, none can
                self._worst = code or 1
                self._stop()
            else:
                event(log, "worker ended", level=logging.ERROR, worker=number, code=code)
                self._due[number] = time.monotonic() + AGAIN

    def _watch(self) -> None:
        """Say that all is well while it is; end a worker that hangs: first with SIGABRT, at which Python can say where
        (PYTHONFAULTHANDLER), then with SIGKILL."""
        if self._within is None or not self._serving:
            return
        now, well = time.monotonic(), True
        for pid, number in self._children.items():
            silent = now - self._beats.get(number, now)
            if self._stopping or silent < self._within / 2:
                continue
            well = False
            if pid not in self._hung:
                self._hung.add(pid)
                event(log, "worker hangs", level=logging.ERROR, worker=number)
                os.kill(pid, signal.SIGABRT)
            elif silent >= self._within:
                os.kill(pid, signal.SIGKILL)
        if well and now >= self._next:
            self._next = now + self._within / 2
            notify.tell(notify.ALIVE)


def _tell(pipe: int, line: str) -> None:
    with contextlib.suppress(
        BlockingIOError, BrokenPipeError
    ):  # the parent hangs, or is gone: `process` looks for that
        os.write(pipe, line.encode())
