"""``securechan sync`` and ``securechan watch``: fetch everything once, or stay connected."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Annotated, Any, Final

import typer

from clients.cli.doing import do
from clients.cli.events import OF_THE_LINE, line
from clients.cli.frame import group, here
from clients.render import count

app = group("Stay in touch with the relay.")


@app.command()
def sync(
    once: Annotated[bool, typer.Option("--once", help="The same: there is no other way; for habits.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 120.0,
) -> None:
    """Fetch everything there is, send what waits, say what came."""
    del once
    data = do("watch.sync", timeout=timeout)
    here().emit(data, lambda: _synced(data))
    if data["came"].get("conversation-offered"):
        here().note("hint: securechan conversation ls shows what is offered; conversation accept NAME joins it")


def _synced(data: dict[str, Any]) -> str:
    came = "  ".join(_counted(kind, number) for kind, number in data["came"].items()) or "nothing new"
    left = sum(each["queued"] for each in data["conversations"])
    verb = "waits for its readers" if left == 1 else "wait for their readers"
    waits = f"  {count(left, 'message')} {verb}" if left else ""
    return f"synced  {count(len(data['conversations']), 'conversation')}  unread {data['unread']}  {came}{waits}"


_STATES: Final = ("frozen", "held", "synced")  # kinds of event that no noun begins: 2 held


def _counted(kind: str, number: int) -> str:
    """A kind of event, so many times: ``2 receipts received``."""
    thing, _, what = kind.partition("-")
    if kind in _STATES:
        return f"{number} {kind}"
    return f"{count(number, thing)} {what.replace('-', ' ')}".rstrip()


@app.command()
def watch(
    conversation: Annotated[str | None, typer.Argument(help="Show only this conversation.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show the machine's own events too.")] = False,
    execute: Annotated[
        str | None, typer.Option("--exec", help="Run this shell command for each event, with its JSON on stdin.")
    ] = None,
) -> None:
    """Stay connected and show what comes, until Ctrl-C. Other commands are done by this process meanwhile."""
    me = here()

    told: set[str] = set()  # why we are not connected: a person is told once, until it is another reason

    def give(event: dict[str, Any]) -> None:
        if event["event"] not in OF_THE_LINE or me.json or _news(event, told):
            me.item(event, lambda: line(event))
        if execute is not None and event["event"] not in OF_THE_LINE:
            done = subprocess.run(execute, shell=True, input=json.dumps(event), text=True, check=False)  # noqa: S602 - the user's own command
            if done.returncode:
                me.warn(f"--exec ended with {done.returncode}")

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop ends it as Ctrl-C does
    do("watch.watch", give=give, conversation=conversation, all=every)


def _news(event: dict[str, Any], told: set[str]) -> bool:
    """Whether this event of the line says something that was not said since the last session. Failed tries come every
    few seconds while a relay is down; they are one piece of news."""
    if event["event"] != "relay-down" or event["retry_in"] is None:
        told.clear()
        return True
    known = event["message"] in told
    told.add(event["message"])
    return not known
