"""Where a passphrase comes from: a file descriptor, a file that nobody else may read, or a person at a terminal.

Never from the command line or a plain variable, where every process of the machine can read it. Where none of the three
is at hand, nothing is asked and the error says what was needed.

    a person    mistypes ──► is told, and asked again, `TRIES` times in all
    a file      is wrong ──► stays wrong: the error ends it

An invocation that opens one thing several times asks once: what a pipe held is gone when it has been read, and nobody
types the same twice in a row. What didn't open is forgotten.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import signal
import stat
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from securechan.errors import Malformed, Misuse, NotReady, SecurechanError

MAX_PASSPHRASE: Final = 4096  # bytes
MIN_PASSPHRASE: Final = 8  # characters of a new one
TRIES: Final = 3  # of a person, for each thing that is to be opened or locked
MISTYPED: Final = frozenset(
    {"wrong-passphrase", "no-passphrase", "weak-passphrase", "same-passphrase", "passphrases-differ"}
)
"""What another try may mend."""
_SOURCE: Final = ""  # in a memory: what the file or the descriptor held, which opens whatever is asked for

Ask = Callable[[str], str]
"""Ask a person at a terminal for something that must not be seen."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Passphrases:
    """Where passphrases come from in this invocation. ``ask`` is None where nobody can be asked."""

    fd: int | None = None
    file: Path | None = None
    ask: Ask | None = None
    known: str | None = field(default=None, repr=False)
    option: str = "--passphrase"  # which options, and which variable, name its source: said where one is missing
    variable: str = "SECURECHAN_PASSPHRASE_FILE"
    tries: int = TRIES
    fault: str = ""  # of the last try, for who tries again
    memory: dict[str, str] = field(default_factory=dict, repr=False, compare=False)  # by what it opens; _SOURCE: all

    @classmethod
    def find(
        cls,
        *,
        fd: int | None = None,
        file: Path | None = None,
        ask: Ask | None = None,
        environment: Mapping[str, str] = os.environ,
        memory: dict[str, str] | None = None,
    ) -> Passphrases:
        """The flags, else ``SECURECHAN_PASSPHRASE_FILE``, else a person. Who is to remember what was given hands over a
        ``memory``."""
        if fd is None and file is None and (named := environment.get("SECURECHAN_PASSPHRASE_FILE")):
            file = Path(named)
        return cls(fd, file, ask, memory={} if memory is None else memory)

    @classmethod
    def of(cls, passphrase: str) -> Passphrases:
        """One that was given already."""
        return cls(known=passphrase)

    # ------------------------------------------------------------------------------------------------------- answers

    def get(self, what: str) -> str:
        """The passphrase of ``what``, from one try. Raises NotReady: ``passphrase-needed`` where there is no source,
        ``no-passphrase`` where a person gives none."""
        given = self._given()
        if given is None:
            given = self.memory.get(what)
        if given is not None:
            return given
        said = self.typed(f"passphrase of {what}: ", what)
        if not said:
            raise NotReady("no passphrase was given", hint=f"type it, or use {self.option}-file", code="no-passphrase")
        self.memory[what] = said
        return said

    def new(self, what: str, unlike: str = "") -> str:
        """A passphrase for something new: asked for twice, not too short, and another than ``unlike``. Raises NotReady,
        Malformed (``weak-passphrase``, ``same-passphrase``)."""
        given = self._given()
        if given is not None:
            return _strong(given, unlike)
        return self._persistently(lambda now: _twice(now, what, unlike), what)

    def opening(self, what: str, attempt: Callable[[str], T]) -> T:
        """What ``attempt`` makes of the passphrase of ``what``. Raises what it raises: for a wrong passphrase only
        where nobody can be asked again."""
        return self._persistently(lambda now: attempt(now.get(what)), what)

    def after(self, error: SecurechanError, what: str) -> Passphrases:
        """Whom to ask after an answer for ``what`` that came to ``error``: the same person, who is told of it then.
        Raises ``error`` where another try mends nothing, or none is left."""
        self.memory.pop(what, None)
        person = self.ask is not None and self.known is None and self.fd is None and self.file is None
        if error.code not in MISTYPED or not person or self.tries <= 1:
            raise error
        return replace(self, tries=self.tries - 1, fault=error.message)

    def _persistently(self, attempt: Callable[[Passphrases], T], what: str) -> T:
        now = self
        while True:
            try:
                return attempt(now)
            except (NotReady, Malformed) as e:
                now = now.after(e, what)

    # -------------------------------------------------------------------------------------------------------- sources

    def _given(self) -> str | None:
        if self.known is not None:
            return self.known
        if _SOURCE not in self.memory:
            if self.fd is not None:
                self.memory[_SOURCE] = _read_fd(self.fd, self.option)
            elif self.file is not None:
                self.memory[_SOURCE] = _read_file(self.file, self._named)
        return self.memory.get(_SOURCE)

    def typed(self, prompt: str, what: str) -> str:
        """What a person types, who is told first what was wrong with the try before. Raises NotReady
        (``passphrase-needed``) where nobody can be asked."""
        if self.ask is None:
            variable = f"set {self.variable}, or " if self.variable else ""
            raise NotReady(
                f"the passphrase of {what} is needed, and there is no terminal to ask at",
                hint=f"{variable}use {self.option}-file or {self.option}-fd",
                code="passphrase-needed",
            )
        return self.ask(f"{self.fault}, try again\n{prompt}" if self.fault else prompt)

    @property
    def _named(self) -> str:
        """Where somebody named the file."""
        return " or ".join(filter(None, (self.variable, f"{self.option}-file")))


def _twice(now: Passphrases, what: str, unlike: str) -> str:
    said = _strong(now.typed(f"new passphrase for {what} ({MIN_PASSPHRASE} characters or more): ", what), unlike)
    if said != replace(now, fault="").typed("the same again: ", what):
        raise NotReady("the two passphrases differ", hint="type the same twice", code="passphrases-differ")
    return said


def _strong(passphrase: str, unlike: str) -> str:
    if len(passphrase) < MIN_PASSPHRASE:
        raise Malformed(
            f"a passphrase of {len(passphrase)} characters is too short",
            hint=f"use {MIN_PASSPHRASE} or more: six random words are good",
            code="weak-passphrase",
        )
    if same(passphrase, unlike):
        raise Malformed(
            "the new passphrase is the old one", hint="choose another: nothing was changed", code="same-passphrase"
        )
    return passphrase


def same(one: str, other: str) -> bool:
    """Whether two passphrases open the same, however their letters are put together."""
    forms = [unicodedata.normalize("NFC", each).encode() for each in (one, other)]
    return hmac.compare_digest(*forms)


# ------------------------------------------------------------------------------------------------------- at a terminal


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """While this lasts Ctrl-C ends the program at once. An event loop would take it as a wish to cancel its task, and a
    task that waits for a person's answer never comes to that."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # signals come to the main thread alone; and who ignores this one goes on doing so
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def terminal() -> Ask | None:
    """How to ask a person, or None where input or error output is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(prompt: str) -> str:
        import getpass  # noqa: PLC0415 - it pulls in termios, which most invocations don't need

        with interruptible():
            return getpass.getpass(prompt)

    return ask


# -------------------------------------------------------------------------------------------------- files, descriptors


def _read_file(path: Path, named: str) -> str:
    try:
        # O_NONBLOCK: a FIFO without a writer must not hang us before we know what it is
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as e:
        raise NotReady(
            f"the passphrase file {path} can't be read: {e.strerror}",
            hint=f"check {named}",
            code="passphrase-file",
        ) from e
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise NotReady(
                f"{path} is a folder, not a passphrase file",
                hint="name the file that holds the passphrase in its first line",
                code="passphrase-file",
            )
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
            raise NotReady(
                f"others may read the passphrase file {path}", hint=f"chmod 600 {path}", code="passphrase-file"
            )
        if stat.S_ISREG(status.st_mode) and status.st_uid not in (0, os.geteuid()):
            raise NotReady(
                f"the passphrase file {path} belongs to someone else",
                hint=f"make one of your own: it must belong to user {os.geteuid()}",
                code="passphrase-file",
            )
        os.set_blocking(handle, True)
        return _first_line(handle, str(path))
    finally:
        os.close(handle)


def _read_fd(fd: int, option: str) -> str:
    if fd < 0:
        raise Misuse(f"{fd} is no file descriptor")
    try:
        return _first_line(fd, f"file descriptor {fd}")
    except OSError as e:
        raise NotReady(
            f"file descriptor {fd} can't be read: {e.strerror}",
            hint=f"open it for us: securechan {option}-fd 3 … 3<file",
            code="passphrase-file",
        ) from e


def _first_line(handle: int, where: str) -> str:
    """The first line, without its end. Bytes after it are left unread as far as they can be."""
    read = bytearray()
    while b"\n" not in read and len(read) <= MAX_PASSPHRASE:
        piece = os.read(handle, MAX_PASSPHRASE + 1 - len(read))
        if not piece:
            break
        read += piece
    line = bytes(read).split(b"\n", 1)[0].removesuffix(b"\r")
    if len(line) > MAX_PASSPHRASE:
        raise Malformed(f"{where}: a passphrase of more than {MAX_PASSPHRASE} bytes", code="passphrase-file")
    if not line:
        raise NotReady(f"{where} holds no passphrase", hint="put it in the first line", code="passphrase-file")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Malformed(f"{where}: the passphrase is not UTF-8", code="passphrase-file") from None
