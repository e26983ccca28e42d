"""``securechan``: what everyone types. Parse, have it done, show; no rule of the protocol is here.

One table names every verb and where it lives; only the verb that is asked for is loaded, so help costs nothing. An
error of the house ends as ``error:`` and ``hint:`` on stderr, or as one JSON object there, and in an exit code that
tells its cause (`clients.exitcodes`). What we did not foresee ends with a short message that holds no secret: a
traceback, which might, only with SECURECHAN_DEBUG=1.

`COMMANDS` says which file a verb is in; `founding`, `rosters`, `cards` hold verbs of ``admin``, `plans` and `ceremony`
what ``root`` is made of, `desk`, `forwards` and `proof` ``bulletin``. Every verb stands in these:

    frame      options that stand over every verb; how to answer, how to ask back
    doing      having an operation done, here or by who holds the profile       office   the same for ``admin``
    events     an event as a line                                               whom     whom something reaches
    meant      what was meant by a mistyped word                                pager, qr
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

import typer

from clients.cli.frame import GLOBAL_HELP, VERSION, Group, Invocation, group, here, invoked, take_options
from clients.exitcodes import Exit, exit_code
from securechan.errors import Refused, SecurechanError, Unfit

PROGRAM: Final = "securechan"
COMPLETE: Final = "_SECURECHAN_COMPLETE"
_USAGE: Final[Any] = typer.BadParameter.__bases__[0]  # the UsageError of whichever click typer has


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb lives: a module under ``clients.cli``, and its command there; "" for the whole group."""

    section: str
    module: str
    command: str
    help: str


_EVERYONE, _OFFICER, _DESK = "Everyone", "Officers", "The bulletin desk"
_AGENCY, _FEDERATION = "Administrators of an agency", "Administrators of the federation"

COMMANDS: Final[dict[str, Verb]] = {
    "init": Verb(_EVERYONE, "init", "init", "Make a profile, and check that this machine can do what is needed."),
    "enrol": Verb(_EVERYONE, "enrol", "enrol", "Bring this device in with an invite."),
    "status": Verb(_EVERYONE, "status", "status", "Who I am, which relay, how fresh trust is, what waits."),
    "sync": Verb(_EVERYONE, "watch", "sync", "Fetch everything there is, once."),
    "watch": Verb(_EVERYONE, "watch", "watch", "Stay connected and show what comes."),
    "doctor": Verb(_EVERYONE, "doctor", "doctor", "Check this device: cryptography, files, clock, relay, trust."),
    "demo": Verb(
        _EVERYONE, "demo", "demo", "See it all at work on this machine: a relay, three agencies, five devices."
    ),
    "profile": Verb(_EVERYONE, "profile", "", "The identities on this machine."),
    "completion": Verb(_EVERYONE, "completion", "completion", "Print a completion script for a shell."),
    "man": Verb(_EVERYONE, "man", "man", "Show the manual page."),
    "send": Verb(_OFFICER, "message", "send", "Send a message or a file to an officer or a conversation."),
    "read": Verb(_OFFICER, "message", "read", "Read messages."),
    "chat": Verb(_OFFICER, "chat", "chat", "Talk with an officer or in a conversation, line by line."),
    "search": Verb(_OFFICER, "message", "search", "Look for a text in what was received and sent."),
    "conversation": Verb(_OFFICER, "conversation", "", "List, found, accept, leave conversations."),
    "contact": Verb(_OFFICER, "contact", "", "Officers of the federation and their contact cards."),
    "verify": Verb(_OFFICER, "verify", "", "Compare keys with another officer, in person or by telephone."),
    "device": Verb(_OFFICER, "device", "", "My devices and those of others."),
    "key": Verb(_OFFICER, "key", "", "This device's keys: list, rotate."),
    "bulletin": Verb(_DESK, "bulletin", "", "Draft, publish, acknowledge, forward, revise, withdraw bulletins."),
    "admin": Verb(_AGENCY, "admin", "", "Invite, approve and revoke devices; keys and roster of an agency."),
    "root": Verb(_FEDERATION, "root", "", "The root of trust: agencies, relays, policy; m-of-n ceremonies."),
}


class Lazy(Group):
    """The program's own group: its verbs come out of the table and are loaded when they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        verb = COMMANDS.get(cmd_name)
        if verb is None:
            return None
        found: Any = typer.main.get_command(importlib.import_module(f"clients.cli.{verb.module}").app)
        if not verb.command:
            return found
        commands = getattr(found, "commands", None)
        command = found if commands is None else commands[verb.command]  # typer makes a lone command no group
        del ctx
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """What there is, by who uses it: out of the table, without loading any of it."""
        del ctx
        for section in dict.fromkeys(verb.section for verb in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl([(name, verb.help) for name, verb in COMMANDS.items() if verb.section == section])
        with formatter.section("Options of every command"):
            formatter.write_dl(GLOBAL_HELP)


app = group("A post-quantum secure channel for cyber-defence agencies and liaison officers.", cls=Lazy)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version(PROGRAM)
        except PackageNotFoundError:
            number = "0 (not installed)"
        here().emit({"version": number}, f"{PROGRAM} {number}")
        raise typer.Exit


@app.callback()
def _program(
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_show_version, help="Say which version."),
) -> None:
    del version


# --------------------------------------------------------------------------------------------------------------- errors


def error_json(error: SecurechanError) -> dict[str, Any]:
    """What a script is told of an error. Fields are only added."""
    told: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if error.detail is not None:
        told["detail"] = dict(error.detail)
    if isinstance(error, Refused) and error.retry_after is not None:
        told["retry_after"] = error.retry_after
    if isinstance(error, Unfit):
        told["findings"] = [{"where": finding.where, "what": finding.what} for finding in error.findings]
    return told


def tell(as_json: bool, told: dict[str, Any]) -> None:
    """An error, on stderr."""
    if as_json:
        sys.stderr.write(json.dumps({"v": VERSION, "ok": False, "error": told}) + "\n")
        return
    from clients.render import safe

    sys.stderr.write(f"error: {safe(told['message'])}\n")
    for finding in told.get("findings", ()):
        if finding["what"] in told["message"]:
            continue  # said already
        sys.stderr.write(f"       {safe(finding['where'])}: {safe(finding['what'])}\n")
    if told["hint"]:
        sys.stderr.write(f"hint: {safe(told['hint'])}\n")


def _usage(error: Any) -> dict[str, Any]:
    from clients.cli.meant import guess

    context = getattr(error, "ctx", None)
    path = PROGRAM if context is None else context.command_path
    meant = guess(error)
    message = " ".join(error.format_message().split())
    hint = f"{path} --help" if meant is None else f"did you mean {meant}? {path} --help shows what there is"
    return {"code": "usage", "message": message[:1].lower() + message[1:].removesuffix("."), "hint": hint}


# ----------------------------------------------------------------------------------------------------------------- main


def invoke(argv: Sequence[str]) -> int:
    """Carry out one command line; the exit code. Everything that can be told has been."""
    as_json = "--json" in argv
    try:
        invocation, words = take_options(argv)
        as_json = invocation.json
        return _dispatch(invocation, words)
    except SecurechanError as error:
        tell(as_json, error_json(error))
        _trace()
        return exit_code(error)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:  # who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.INTERNAL
    except _USAGE as error:
        tell(as_json, _usage(error))
        return Exit.USAGE
    except Exception as error:  # the last place where an error can be told
        tell(as_json, _internal(error))
        _trace()
        return Exit.INTERNAL


def _dispatch(invocation: Invocation, words: Sequence[str]) -> int:
    command: Any = typer.main.get_command(app)
    if COMPLETE in os.environ:  # the shell asks what could stand here
        from clients.cli.completion import prepare

        prepare()
    with invoked(replace(invocation, command=typed(words))):
        result = command.main(args=list(words), prog_name=PROGRAM, standalone_mode=False)
    return result if isinstance(result, int) else Exit.OK


def typed(words: Sequence[str]) -> str:
    """The command among these words, without its arguments: ``securechan bulletin ls``."""
    verb = COMMANDS.get(words[0]) if words else None
    if verb is None:
        return PROGRAM
    return " ".join((PROGRAM, *words[: 1 if verb.command else 2]))


def _internal(error: Exception) -> dict[str, Any]:
    """A fault of ours. Its own text stays unsaid: it may hold what it should not."""
    return {
        "code": "internal",
        "message": f"internal error: {type(error).__name__}",
        "hint": "set SECURECHAN_DEBUG=1 for details (they may hold secrets), and report it",
    }


def _trace() -> None:
    if os.environ.get("SECURECHAN_DEBUG") == "1":
        import traceback

        traceback.print_exc()


def main() -> NoReturn:
    """The program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a terminal that can't show a sign shows its number
    code = invoke(sys.argv[1:])
    if code == Exit.INTERRUPTED and sys.stderr.isatty():
        sys.stderr.write("\n")  # the terminal shows ^C, and the shell's prompt belongs on a line of its own
    sys.stdout.flush()
    sys.exit(code)
