"""A device in a process of its own, that dies when it is told to; and the process that such devices are forked from.

    stage ──{"start": …}──► nursery ──fork──► actor: holds the profile, opens the vault, runs, takes errands
                                                └── before its n-th effect: SIGKILL, by its own hand

To import the product costs a second, and a story may need a client forty times; so one process, the *nursery*, imports
it once and forks. An actor is otherwise what ``securechan watch`` is: the lock, the vault, the runtime, and the control
socket in the profile's folder, on which it takes commands, questions and waits.

Requests to the nursery and its answers are lines of JSON on its stdin and stdout. Commands and answers of an actor
travel pickled inside the JSON of the control socket: both ends are one test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients import control
from clients.clock import SystemClock
from clients.connection import Route
from clients.profile import Profile
from clients.runtime import Runtime
from clients.transport import Transport
from clients.vault import Vault
from securechan.agent.agent import Agent
from securechan.agent.effects import Effect
from securechan.agent.state import TABLES
from securechan.errors import Malformed
from securechan.wire.handshake import DeviceCredential, RelayIdentity
from tests.support.stage_ledger import Ledger


@dataclass(frozen=True)
class Part:
    """What an actor needs to know. ``die`` counts effects from 1; 0 is for ever."""

    name: str
    folder: Path
    passphrase: str
    relay: RelayIdentity
    url: str
    ledger: Path
    die: int = 0


def pack(value: object) -> str:
    return base64.b64encode(pickle.dumps(value)).decode()


def unpack(text: str) -> Any:
    return pickle.loads(base64.b64decode(text))


def soon(attempt: int) -> float:
    """Seconds before the next try: a relay on loopback comes back within one."""
    return min(0.2, 0.02 * (1 << min(attempt, 10)))


# --------------------------------------------------------------------------------------------------------- the actor


async def play(part: Part) -> None:
    """Be that device, until killed."""
    profile, ledger = Profile(part.name, part.folder), Ledger(part.ledger)
    count, die = 0, part.die

    def before(effect: Effect) -> None:
        nonlocal count
        count += 1
        if count == die:
            os.kill(os.getpid(), signal.SIGKILL)
        ledger.note(runtime.agent, effect)

    def route() -> Route:
        return Route(part.relay, (part.url,), DeviceCredential(*runtime.agent.credential()))

    with profile.hold("a story"), Vault.open(profile.vault, part.passphrase) as vault:
        agent = Agent.load({table: vault.all(table) for table in TABLES})
        transport = Transport(route, SystemClock(), backoff=soon)
        runtime = Runtime(vault, agent, transport, SystemClock(), before_effect=before)

        async def serve(op: str, said: dict[str, Any], give: Callable[[Any], Awaitable[None]]) -> Any:
            nonlocal die
            match op:
                case "do":
                    return pack(await runtime.do(unpack(said["command"])))
                case "until":
                    question, arguments = unpack(said["question"])
                    return pack(await runtime.until(lambda agent: question(agent, *arguments), said["patience"]))
                case "die":
                    die = count + said["before"]
                    return count
                case _:
                    raise Malformed(f"no errand {op}")

        async with control.serving(profile.control, serve), runtime:
            await runtime.ended()


# -------------------------------------------------------------------------------------------------------- the nursery


def nursery() -> None:
    """Fork an actor for each line that asks for one, and say how those ended that are asked after."""
    for line in sys.stdin:
        said = json.loads(line)
        if "start" in said:
            child = os.fork()
            if child == 0:
                os.close(0)
                asyncio.run(play(unpack(said["start"])))
                os._exit(0)
            answer: dict[str, Any] = {"pid": child}
        else:
            _, status = os.waitpid(said["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    nursery()
