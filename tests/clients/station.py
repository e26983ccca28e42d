"""A device at its desk, for tests of the command line: a profile with a vault, enrolled without the ceremony."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from clients.cli import invoke
from clients.locked import Cost
from clients.profile import Home, Profile
from clients.vault import Vault
from securechan.agent.agent import Agent, Enrolled
from securechan.trust.bundle import Bundle
from tests.support.founding import Founded

CHEAP = Cost(64, 1, 1)
PASSPHRASE = "a long enough phrase"


@dataclass(frozen=True)
class Said:
    """What an invocation said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The data of a successful ``--json`` invocation."""
        assert self.code == 0, self
        told = json.loads(self.out)
        assert (told["v"], told["ok"]) == (1, True)
        return told["data"]

    @property
    def error(self) -> Any:
        """The error of a failed ``--json`` invocation."""
        assert self.code != 0, self
        assert not self.out
        told = json.loads(self.err)
        assert (told["v"], told["ok"]) == (1, False)
        return told["error"]


@dataclass(frozen=True)
class Station:
    """One enrolled device and its command line."""

    name: str
    profile: Profile
    passphrase: Path

    @property
    def home(self) -> Path:
        return self.profile.folder.parent.parent

    @property
    def options(self) -> list[str]:
        return ["--home", str(self.home), "--passphrase-file", str(self.passphrase), "--no-input"]

    def run(self, *words: str, stdin: bytes = b"") -> Said:
        """In this process."""
        return run(*self.options, *words, stdin=stdin)

    def json(self, *words: str, stdin: bytes = b"") -> Any:
        """The data of a command that succeeds."""
        return self.run("--json", *words, stdin=stdin).data


def run(*words: str, stdin: bytes = b"") -> Said:
    """An invocation in this process: no terminal, these words."""
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin))
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "stdin", given):
        code = invoke(list(words))
    raw = out.buffer
    assert isinstance(raw, io.BytesIO)
    return Said(code, raw.getvalue().decode(errors="replace"), err.getvalue())


def enrolled(folder: Path, founded: Founded, device: str, url: str) -> Station:
    """A profile under ``folder`` for a device of the federation, as enrolment would leave it."""
    held = founded.devices[device]
    profile = Home(folder).profile("default")
    profile.make()
    step = Agent.enrol(
        Enrolled(
            device,
            held.record.address,
            held.key.private,
            held.inbox.private,
            held.record.inbox,
            Bundle.decode(founded.bundle).root,
            founded.root_id,
            founded.relay.name,
            url,
            founded.relay.kem_public,
        ),
        founded.now,
    )
    Vault.create(profile.vault, PASSPHRASE, writes=step.writes, cost=CHEAP).close()
    passphrase = folder / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n")
    passphrase.chmod(0o600)
    return Station(device, profile, passphrase)
