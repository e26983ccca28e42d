"""The folder that a demonstration plays in, everyone who plays, and what can be measured there from outside.

FOLDER/relay       the relay's own folder        FOLDER/federation   ceremonies and keys of the root
FOLDER/devices/…   one SECURECHAN_HOME each      FOLDER/secrets      passphrases, one a file
FOLDER/logs        what each process complained of
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import secrets
import signal
import sqlite3
import time
from asyncio.subprocess import Process
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from clients.demo.cast import ADMINISTRATORS, AGENCIES, COMMUNITY, OFFICERS, RELAY, Agency, Role
from clients.demo.desk import LOOK, PATIENCE, Desk
from clients.demo.narrator import Broken, Narrator, claim
from clients.demo.processes import RELAY as RELAY_PROGRAM
from clients.demo.processes import Children
from clients.files import write_private
from clients.passphrase import Passphrases

DATA: Final = Path(__file__).resolve().parents[1] / "demo_data"


class Stage:
    """Everything that the acts share."""

    def __init__(self, folder: Path, narrator: Narrator) -> None:
        self.folder = folder
        self.narrator = narrator
        for name in ("logs", "secrets", "devices", "papers"):
            (folder / name).mkdir(mode=0o700)
        self.children = Children(folder / "logs")
        self.desks = {
            role: Desk(self.children, role, folder / "devices" / role.file, self.secret(role.file))
            for role in (*ADMINISTRATORS, *OFFICERS)
        }
        self.url = ""
        self.address = ""  # the federation's, one line
        self.community = ""  # its topic, hexadecimal
        self.gone: set[Role] = set()  # revoked
        self._relay: Process | None = None

    # ------------------------------------------------------------------------------------------------------- who plays

    def __getitem__(self, role: Role) -> Desk:
        return self.desks[role]

    def officers(self, *without: Role) -> list[Desk]:
        """The officers' devices that still belong, but some."""
        return [self[role] for role in OFFICERS if role not in self.gone and role not in without]

    def secret(self, name: str) -> Path:
        """A passphrase of its own, in a file that only this user may read."""
        path = self.folder / "secrets" / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24).encode() + b"\n")
        return path

    def passphrases(self, name: str) -> Passphrases:
        return Passphrases(file=self.secret(name))

    def papers(self, name: str) -> Path:
        """A file that people hand to each other."""
        return self.folder / "papers" / name

    @property
    def federation(self) -> Path:
        return self.folder / "federation"

    @staticmethod
    def agencies() -> tuple[Agency, ...]:
        return AGENCIES

    # -------------------------------------------------------------------------------------------------------- the relay

    @property
    def relay_home(self) -> Path:
        return self.folder / "relay"

    @property
    def relay(self) -> Process:
        if self._relay is None:
            raise Broken("the relay does not run")
        return self._relay

    async def start_relay(self) -> float:
        """Start it on its folder, at first on any free port and later on the same; seconds until it listens."""
        began = time.monotonic()
        if not self.url:
            await self.relay_command("init", "--name", RELAY, "--port", "0")
        port = self.url.rpartition(":")[2] or "0"
        words = (*RELAY_PROGRAM, "run", "--home", str(self.relay_home), "--port", port)
        self._relay = await self.children.start("relay", *words, environment={})
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                assert self._relay.stdout is not None
                line = await self._relay.stdout.readline()
        claim(line.startswith(b"ready ws://"), f"the relay listens (it said {line!r})")
        self.url = line.split()[1].decode()
        return time.monotonic() - began

    async def kill_relay(self) -> None:
        """SIGKILL: nothing is finished, nothing flushed."""
        await self.children.end(self.relay, signal.SIGKILL)

    async def relay_command(self, *words: str) -> Any:
        """A ``securechan-relay`` command's data."""
        done = await self.children.run(*RELAY_PROGRAM, *words, "--home", str(self.relay_home), "--json", environment={})
        return done.data

    async def serving(self) -> float:
        """Seconds until the relay says that it serves its federation."""
        began = time.monotonic()
        while await asyncio.to_thread(self._health) != 200:
            if time.monotonic() - began > PATIENCE:
                raise Broken("the relay does not serve")
            await asyncio.sleep(LOOK)
        return time.monotonic() - began

    def _health(self) -> int:
        connection = http.client.HTTPConnection(self.url.removeprefix("ws://"), timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    # ------------------------------------------------------------------------------------------- measured from outside

    def entries(self, topic: str) -> list[int]:
        """The sizes in bytes of what the relay has stored of a topic, in order: read from its database."""
        with contextlib.closing(self._database()) as database:
            found = database.execute(
                "select length(e.wire) from entry e join topic t on e.key >> 40 = t.number where t.topic = ?"
                " order by e.key",
                (bytes.fromhex(topic),),
            )
            return [size for (size,) in found]

    def entry(self, topic: str, sequence: int) -> int:
        """The size in bytes of one entry as the relay has stored it."""
        with contextlib.closing(self._database()) as database:
            found = database.execute(
                "select length(e.wire) from entry e join topic t on e.key = (t.number << 40 | ?) where t.topic = ?",
                (sequence, bytes.fromhex(topic)),
            )
            return int(found.fetchone()[0])

    def stored(self) -> int:
        """How many entries the relay has stored, of all topics."""
        with contextlib.closing(self._database()) as database:
            return int(database.execute("select count(*) from entry").fetchone()[0])

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.relay_home / 'relay.db'}?mode=ro", uri=True, timeout=5)

    def known_to_relay(self, phrases: Iterable[str]) -> list[str]:
        """Which of these phrases stand anywhere in the relay's folder: everything that it has ever written."""
        held = b"".join(path.read_bytes() for path in sorted(self.relay_home.rglob("*")) if path.is_file())
        return [phrase for phrase in phrases if phrase.encode() in held]

    def disk(self, folder: Path) -> int:
        """Bytes of all files under a folder."""
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    # --------------------------------------------------------------------------------------------------- the community

    async def of_one_mind(self, *without: Role, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait until everyone in the community is in the same epoch with the same members: their authenticators, which
        only equal keys give, are equal. What one of them says of it then."""
        desks = self.officers(*without)
        until = time.monotonic() + patience
        while True:
            told = await asyncio.gather(
                *(
                    desk.ask("conversation.show", online=False, conversation=self.community or COMMUNITY)
                    for desk in desks
                ),
                return_exceptions=True,
            )
            shown = [each for each in told if isinstance(each, dict)]
            if (
                len(shown) == len(desks)
                and len({each["authenticator"] for each in shown}) == 1
                and all(each["members"] == len(self.officers()) and each["state"] == "member" for each in shown)
            ):
                return shown[0]
            if time.monotonic() > until:
                states = [
                    each if isinstance(each, BaseException) else (each["epoch"], each["members"]) for each in told
                ]
                raise Broken(f"the members of {COMMUNITY} do not agree within {patience:.0f} s: {states}")
            await asyncio.sleep(LOOK)
