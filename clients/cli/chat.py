"""``securechan chat``: one conversation, line by line.

this process ── watch.watch ─► holds the profile and the line to the relay, unless another one does
    ├── message.talk ─► the conversation, found or begun; what is unread; what comes
    └── message.send ◄─ each line that is typed
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import threading
from typing import Annotated, Any, Final

import typer

from clients.cli.events import line
from clients.cli.frame import Invocation, group, here, run
from clients.cli.whom import officers
from clients.render import count, safe

app = group("Talk.")

SHOWN: Final = frozenset({"message-received", "message-dropped", "bulletin-received", "alarm", "held", "frozen"})

_COMMAND: Final = re.compile(r"/[a-zA-Z?]+")  # what elsewhere would leave or help: nobody means to say it


@app.command()
def chat(
    to: Annotated[str, typer.Argument(help="An officer (liaison-1@cert-hr) or a conversation.")],
    tlp: Annotated[str, typer.Option("--tlp", help="The label of what you say.")] = "green",
) -> None:
    """Talk line by line; an empty line or Ctrl-D ends it.

    What nobody has read yet comes first. With an officer to whom there is no conversation yet one is begun, or the one
    that they offer is joined, as send does."""
    run(_chat(here(), to, tlp))


def _typed() -> asyncio.Queue[str]:
    """Lines as they are typed, then an empty one. The thread that waits for them is a daemon: a person who ends the
    talk with Ctrl-C must not have to press Enter as well."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        line = "x"
        while line:
            line = sys.stdin.readline()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(lines.put_nowait, line)

    threading.Thread(target=read, daemon=True).start()
    return lines


class _Line:
    """Says when the line to the relay is lost and back, and each of them once."""

    def __init__(self, me: Invocation) -> None:
        self._me = me
        self._cut = False
        self.watching = asyncio.Event()

    async def give(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "watching":
                self.watching.set()
            case "relay-down" if not self._cut:  # every failed try says so again
                self._cut = True
                self._me.note(f"not connected: {safe(event['message'])}")
                self._me.note("what you type is kept and sent as soon as the relay answers again")
            case "relay-up":
                if self._cut:
                    self._me.note(f"connected to {safe(event['relay'])}")
                self._cut = False


class _Talk:
    """Shows what is said by others. What we say ourselves stands on the screen already, as it was typed."""

    def __init__(self, me: Invocation) -> None:
        self._me = me
        self.known: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def give(self, event: dict[str, Any]) -> None:
        if event["event"] == "talking":
            self._me.item(event, "")
            self._me.note(_opening(event))
            self.known.set_result(event["id"])
        elif event.get("unread") or (event["event"] in SHOWN and not event.get("own")):
            self._me.item(event, lambda: line(event))


def _opening(event: dict[str, Any]) -> str:
    name = safe(event["name"])
    begun = f"a new conversation with {name}" if event["begun"] else f"talking in {name}: {officers(event['readers'])}"
    unread = f"; {count(event['unread'], 'unread message')}" if event["unread"] else ""
    return f"{begun}{unread}; an empty line ends it"


async def _chat(me: Invocation, to: str, tlp: str) -> None:
    """Ends with the first of: an empty line, the end of the input, and whatever ends the connection for good."""
    from clients.operations.engine import perform

    line, talk = _Line(me), _Talk(me)

    async def ask(name: str, give: Any = None, **params: Any) -> Any:
        return await perform(me.profile, me.passphrases, name, params, give=give, command=me.command)

    tasks = [asyncio.create_task(ask("watch.watch", line.give))]
    try:
        await _first(tasks, line.watching.wait())
        tasks.append(asyncio.create_task(ask("message.talk", talk.give, to=to)))
        await _first(tasks, talk.known)
        typed = _typed()
        while (said := await _first(tasks, typed.get())).strip():
            if _COMMAND.fullmatch(said.rstrip()):
                me.note(
                    "not sent: there are no such commands. An empty line ends the talk; with a blank before, it is said"
                )
                continue
            said = said.strip()
            await ask("message.send", to=talk.known.result(), text=said, tlp=tlp, wait="queued")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first(running: list[asyncio.Task[Any]], wanted: Any) -> Any:
    """What is wanted; or what one of those that run raises, if it ends before."""
    waiting = asyncio.ensure_future(wanted)
    try:
        await asyncio.wait((waiting, *running), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            for task in running:
                if task.done():
                    task.result()
        return await waiting
    finally:
        waiting.cancel()
