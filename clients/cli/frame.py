"""What every command of the terminal stands in: who is asking, how to answer, how to ask back.

    here()       this invocation: its profile, its passphrases, whether it speaks JSON, whether anybody can be asked
    group()      a typer app with the house's manner
    run()        carry out something that waits

What a script wants goes to stdout and nothing else does; what people want goes to stderr. With ``--json`` stdout holds
one object, ``{"v":1,"ok":true,"data":…}``, or one such object a line where a command streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperGroup

from clients import files
from clients.passphrase import Ask, Passphrases, interruptible, terminal
from clients.profile import Home, Profile
from clients.render import safe
from securechan.errors import Conflict, Denied, Invalid, Malformed, NotReady

VERSION: Final = 1  # of the form of what --json says
PATIENCE: Final = 1.0  # seconds before people are told what they wait for
MAX_INPUT: Final = 64 << 20  # bytes that are read from a file or a pipe, unless a command says less

T = TypeVar("T")

Context = typer.Context


class Group(TyperGroup):
    """Commands under one word. Without a further word it says what there is."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])


def group(what: str, *, cls: type[TyperGroup] = Group, examples: str = "") -> typer.Typer:
    """An app whose commands are the verbs of one group, or some single verbs. ``examples``, lines as they are typed,
    stand below its help."""
    return typer.Typer(
        cls=cls,
        help=what,
        epilog=f"\b\n{examples.strip()}" if examples else None,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


# ------------------------------------------------------------------------------------------------------------ patience


class _Patience:
    """Says ``what`` goes on once it has taken longer than people expect, and at most once. While a person is asked it
    stands still: what they wait for then is themselves, and a word in the middle of a prompt's line hides the
    prompt."""

    def __init__(self, say: Callable[[str], None], what: str) -> None:
        self._say = say
        self._what = what
        self._said = False
        self._timer: threading.Timer | None = None

    def turn_to(self, what: str) -> None:
        """Something else goes on from now."""
        self.stop()
        self._what, self._said = what, False
        self.start()

    def start(self) -> None:
        """Count from now."""
        if not self._said:
            self._timer = threading.Timer(PATIENCE, self._run_out)
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """Count no more. After this returns nothing is said until the next `start`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None

    def _run_out(self) -> None:
        self._said = True
        self._say(f"{self._what} …")


def _unsaid(_: str) -> None:
    """What goes on where nobody looks."""


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    with interruptible():
        return sys.stdin.readline()


_patience: ContextVar[_Patience | None] = ContextVar("patience", default=None)


def _unhurried(ask: Callable[[str], str]) -> Callable[[str], str]:
    def asked(prompt: str) -> str:
        patience = _patience.get()
        if patience is None:
            return ask(prompt)
        patience.stop()
        try:
            return ask(prompt)
        finally:
            patience.start()

    return asked


# ---------------------------------------------------------------------------------------------------------- invocation


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the program: the options that stand over every command, and the two streams. ``command`` is what was
    typed, without its arguments: others are told what holds a profile."""

    command: str = "securechan"
    json: bool = False
    no_input: bool = False
    quiet: bool = False
    verbose: bool = False
    no_pager: bool = False
    home_folder: Path | None = None
    profile_name: str | None = None
    passphrase_file: Path | None = None
    passphrase_fd: int | None = None
    memory: dict[str, str] = field(default_factory=dict, repr=False, compare=False)  # passphrases, once given

    # ------------------------------------------------------------------------------------------------- whose it is

    @property
    def home(self) -> Home:
        """The folder of all profiles."""
        return Home.find() if self.home_folder is None else Home(self.home_folder.expanduser().absolute())

    @property
    def profile(self) -> Profile:
        """The profile that this invocation is about. Raises Malformed for what can't name one."""
        return self.home.current(self.profile_name)

    @property
    def passphrases(self) -> Passphrases:
        """Where passphrases come from, each once in an invocation."""
        return Passphrases.find(
            fd=self.passphrase_fd, file=self.passphrase_file, ask=self._person(), memory=self.memory
        )

    def new_passphrases(self, file: Path | None, fd: int | None) -> Passphrases:
        """Where one that takes another's place comes from: from what was named for it alone, or from a person."""
        return Passphrases(fd, file, self._person(), option="--new-passphrase", variable="")

    def _person(self) -> Ask | None:
        ask = None if self.no_input else terminal()
        return None if ask is None else _unhurried(ask)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return not self.no_input and sys.stdin.isatty() and sys.stderr.isatty()

    # ----------------------------------------------------------------------------------------------------- answers

    def emit(self, data: Any, words: str | Callable[[], str]) -> None:
        """The result: ``data`` for scripts that asked for JSON, ``words`` for everybody else."""
        if self.json:
            line = json.dumps({"v": VERSION, "ok": True, "data": data})
        else:
            line = words if isinstance(words, str) else words()
        if line:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    item = emit  # a stream is results, one a line

    def show(self, data: Any, words: Callable[[], str]) -> None:
        """As `emit`, what may be long: a person at a terminal looks through it screen by screen."""
        if not (self.json or self.no_pager or self.no_input) and sys.stdout.isatty():
            from clients.cli.pager import paged

            line = words()
            if not paged(line):
                self.emit(data, line)
        else:
            self.emit(data, words)

    def note(self, text: str) -> None:
        """Something that people may want to know while they wait."""
        if not (self.quiet or self.json):
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Something that people should know though the command succeeds."""
        if not self.json:
            sys.stderr.write(f"warning: {text}\n")
            sys.stderr.flush()

    @contextlib.contextmanager
    def progress(self, text: str) -> Iterator[Callable[[str], None]]:
        """Say ``text`` once this takes longer than people expect; only at a terminal. Gives what tells that something
        else goes on now."""
        if self.quiet or self.json or not sys.stderr.isatty():
            yield _unsaid
            return
        patience = _Patience(self.note, text)
        before = _patience.set(patience)
        patience.start()
        try:
            yield patience.turn_to
        finally:
            patience.stop()
            _patience.reset(before)

    # --------------------------------------------------------------------------------------------------- questions

    def confirm(self, question: str, yes: bool) -> None:
        """Return if a person agrees, or said so beforehand. Raises NotReady (``confirmation-needed``) where nobody can
        be asked, Denied (``not-confirmed``) for a no."""
        if yes:
            return
        if not self.interactive:
            raise NotReady(
                f"this needs a confirmation, and there is no terminal to ask at: {question}",
                hint="look at what it does, then repeat it with --yes",
                code="confirmation-needed",
            )
        if self.ask(f"{question} [y/N] ").lower() not in ("y", "yes"):
            raise Denied("not confirmed: nothing was done", code="not-confirmed")

    def ask(self, prompt: str, *, needed: str = "an answer") -> str:
        """A line from a person. Raises NotReady (``input-needed``) where nobody can be asked."""
        if not self.interactive:
            raise NotReady(
                f"{needed} is needed, and there is no terminal to ask at",
                hint="give it as an option: see --help",
                code="input-needed",
            )
        line = _unhurried(_line)(prompt)
        if not line:
            raise KeyboardInterrupt
        return line.strip()

    # ------------------------------------------------------------------------------------------------------- files

    def read_in(self, path: str | Path, limit: int = MAX_INPUT) -> bytes:
        """The bytes of a file, or of stdin for ``-``. Raises NotFound, NotReady, Malformed (``too-large``)."""
        if str(path) != "-":
            return files.read(Path(path), limit)
        content = sys.stdin.buffer.read(limit + 1)
        if len(content) > limit:
            raise Malformed(f"{path} holds more than {limit} bytes", hint="check which file is asked for")
        return content

    def spare(self, path: str | Path, force: bool) -> None:
        """Return if nothing stands at ``path`` yet, or it may be overwritten. Raises Conflict (``file-exists``)."""
        if not force and str(path) != "-" and os.path.lexists(path):
            raise Conflict(
                f"there is a file {path} already",
                hint="choose another name, or overwrite it with --force",
                code="file-exists",
            )

    def write_out(self, path: str | Path, content: bytes) -> None:
        """Write a file, whole or not at all, or to stdout for ``-`` (to a terminal only what does nothing but show)."""
        if str(path) == "-":
            if sys.stdout.isatty() and not _shows(content):
                raise Invalid("that is not for a terminal", hint="name a file, or pipe it on", code="usage")
            sys.stdout.buffer.write(content)
            sys.stdout.flush()
            return
        files.write(Path(path), content)


def _shows(content: bytes) -> bool:
    """Whether a terminal shows these bytes and does nothing else: escape sequences are ASCII too."""
    try:
        text = content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        return False
    return safe(text, lines=True) == text


_CURRENT: ContextVar[Invocation] = ContextVar("invocation")


def here() -> Invocation:
    """The invocation that is running."""
    return _CURRENT.get(_NOBODY)


_NOBODY: Final = Invocation()


@contextlib.contextmanager
def invoked(invocation: Invocation) -> Iterator[None]:
    """`here` is ``invocation`` while this lasts."""
    token = _CURRENT.set(invocation)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def run(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives. Ctrl-C cancels it and comes out as KeyboardInterrupt."""
    return asyncio.run(work)


# ------------------------------------------------------------------------------------------------- options of all verbs

_FLAGS: Final = {
    "--json": "json",
    "--no-input": "no_input",
    "--quiet": "quiet",
    "-q": "quiet",
    "--verbose": "verbose",
    "--no-pager": "no_pager",
}
_VALUES: Final = {
    "--home": "home_folder",
    "--profile": "profile_name",
    "--passphrase-file": "passphrase_file",
    "--passphrase-fd": "passphrase_fd",
}
GLOBAL_HELP: Final = (
    ("--json", "One JSON object on stdout (one a line for streams)."),
    ("--no-input", "Never ask: fail and say what was needed."),
    ("-q, --quiet", "Say only results and errors."),
    ("--verbose", "Say all of it where less is shown at first."),
    ("--no-pager", "Show long output at once, though it be longer than the terminal."),
    ("--home DIR", "The folder of all profiles; else SECURECHAN_HOME, else the XDG state folder."),
    ("--profile NAME", "The profile to use; else SECURECHAN_PROFILE, else the one chosen with: profile use."),
    ("--passphrase-file FILE", "Take the passphrase from the first line of FILE; else SECURECHAN_PASSPHRASE_FILE."),
    ("--passphrase-fd N", "Take the passphrase from an open file descriptor."),
)


def take_options(argv: Sequence[str]) -> tuple[Invocation, list[str]]:
    """The options that stand over every verb, taken out of the words wherever they stand before a ``--``.

    A value that looks like one of them has to be written ``--message=--json``. Raises Malformed (``usage``).
    """
    said: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif word in _FLAGS:
            said[_FLAGS[word]] = True
        elif name in _VALUES:
            found: str | None = value if equals else next(words, None)
            if not found:
                raise Malformed(f"{name} needs a value", hint="securechan --help", code="usage")
            said[_VALUES[name]] = _parsed(name, found)
        else:
            rest.append(word)
    return Invocation(**said), rest


def _parsed(name: str, value: str) -> object:
    match name:
        case "--home" | "--passphrase-file":
            return Path(value)
        case "--passphrase-fd":
            if not value.isdecimal():
                raise Malformed(
                    "--passphrase-fd needs a number", hint="securechan --passphrase-fd 3 … 3<file", code="usage"
                )
            return int(value)
        case _:
            return value
