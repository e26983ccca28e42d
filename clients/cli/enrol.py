"""``securechan enrol``: bring this device in with the invite that an administrator gave you."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from clients.cli.doing import length
from clients.cli.frame import group, here, run
from clients.render import safe
from securechan.errors import Conflict, Malformed, Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clients.cli.frame import Invocation
    from clients.vault import Vault

app = group("Bring this device in with an invite.")

MAX_INVITE: Final = 8192
COMMAND: Final = "securechan enrol"
RESUME: Final = "securechan enrol --resume"


@app.command()
def enrol(
    invite: Annotated[str, typer.Argument(help="The invite, one line; - reads it from stdin.")] = "",
    officer: Annotated[str, typer.Option("--officer", help="Who you are, where the invite leaves that open.")] = "",
    device: Annotated[str, typer.Option("--device", help="What to call this device; else a name is made up.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an enrolment that was begun.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Don't wait for the administrator.")] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", help="How long to wait: 10m, 2h; else until there is word.")
    ] = "",
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Forget an enrolment that was begun, and its keys.")
    ] = False,
) -> None:
    """Make this device's keys here, ask to be let in, and wait for the administrator, who compares six words with you.

    An invite in the command line can be read by other users of this machine while it runs; '-' avoids that.
    """
    me = here()
    if sum((bool(invite), resume, give_up)) != 1:
        raise typer.BadParameter("give an invite (or - for stdin), or --resume, or --give-up")
    seconds = length(timeout, "--timeout") if timeout else None
    line = _line(me, invite) if invite else None
    run(_enrol(me, line, officer, device, wait=not no_wait, seconds=seconds, give_up=give_up))


def _line(me: Invocation, invite: str) -> str:
    if invite != "-":
        return invite
    if me.interactive:
        return me.ask("the invite, one line: ")
    try:
        return me.read_in("-", MAX_INVITE).decode("ascii").strip()
    except UnicodeDecodeError:
        raise Malformed("what came from stdin is no invite", hint="an invite is one line of plain text") from None


async def _enrol(
    me: Invocation, line: str | None, officer: str, device: str, *, wait: bool, seconds: int | None, give_up: bool
) -> None:
    from clients.clock import SystemClock
    from clients.line import Line
    from clients.operations import enrol as enrolment
    from clients.operations import newcomer as newcomers
    from clients.operations.engine import open_vault, skewed

    profile, clock = me.profile, SystemClock()
    way = Line.find(profile.folder)
    now = int(clock.time())
    with profile.hold(COMMAND):
        if line is not None:
            invite = enrolment.parse_invite(line, now)
            vault = await enrolment.begin(
                profile,
                lambda: me.passphrases.new(f"profile {profile.name}"),
                invite,
                device=device,
                officer=officer,
                now=now,
            )
        else:
            vault = await open_vault(profile, me.passphrases)
        with vault, _going_on(me, vault):
            if give_up:
                enrolment.forget(profile, vault)
                me.emit({"profile": profile.name, "enrolled": False}, f"forgotten  the enrolment in {profile.name}")
                return
            newcomer = newcomers.load(vault)
            told = {**enrolment.tell(newcomer), "profile": profile.name}
            try:
                said = await enrolment.post(newcomer, clock, way)
            except (Untrusted, Conflict):
                if line is not None:
                    enrolment.forget(profile, vault)  # nobody has seen these keys, and nobody will
                raise
            if said["skew"]:
                me.warn(skewed(said["skew"]))
            me.note(_asked(told))
            if not wait:
                me.emit({**told, "enrolled": False}, f"waiting    for the administrator of {newcomer.agency}")
                me.note(f"hint: {RESUME}")
                return
            data = await enrolment.complete(vault, clock, way, timeout=seconds)
    if data["pending"]:
        me.warn(f"enrolled, but the first session failed: {data['pending']}; run securechan sync")
    me.emit({**told, **data, "enrolled": True}, _done(profile.name, data))


@contextlib.contextmanager
def _going_on(me: Invocation, vault: Vault) -> Iterator[None]:
    """Who ends the wait with Ctrl-C is told that it ends nothing else."""
    try:
        yield
    except asyncio.CancelledError:
        from clients.operations import newcomer as newcomers

        waits = vault.get(newcomers.TABLE, newcomers.ROW) is not None
        below = "\n" if sys.stderr.isatty() else ""  # the terminal shows ^C
        me.note(f"{below}hint: {f'nothing is lost: {RESUME}' if waits else 'enrolled; go on with: securechan sync'}")
        raise


def _asked(told: dict[str, Any]) -> str:
    return (
        f"device     {told['device']}  for {told['officer']}\n"
        f"words      {'  '.join(told['words'])}\n"
        "tell these six words to your administrator, by telephone or face to face; then wait"
    )


def _done(profile: str, data: dict[str, Any]) -> str:
    return (
        f"enrolled   {safe(data['officer'])}  ({', '.join(data['roles'])})  device {data['device']}\n"
        f"root       {data['root'][:32]}\nprofile    {profile}"
    )
