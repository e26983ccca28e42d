"""A device that is not in yet: what it has made, and how it becomes one that is.

    keys made here ── a roster lists them (an approved request, or a new agency's first roster) ──►
        trust read from the root ──► the record is ours, unchanged ──► the agent's first state, one transaction
        ──► the first session: key packages are at the relay, the device can be invited

What is not enrolled yet lies in the vault like everything else, in a table of its own; the transaction that enrols
erases it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import field, replace
from typing import Annotated, Final

from clients.clock import Clock
from clients.connection import Route
from clients.runtime import Runtime
from clients.transport import Transport
from clients.vault import Put, Vault
from securechan.agent.agent import Agent, Enrolled
from securechan.agent.effects import Write
from securechan.agent.state import PACKAGES
from securechan.codec import U64, Opaque, Struct, fixed, opaque, text, vec
from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.signature import COMPOSITE
from securechan.errors import NotReady, Untrusted
from securechan.trust import names
from securechan.trust.cards import DirectoryKey
from securechan.trust.records import SUITE, DeviceRecord, Role, made
from securechan.trust.view import View
from securechan.wire.chain import start
from securechan.wire.frames import TRUST_TOPIC
from securechan.wire.handshake import DeviceCredential, RelayIdentity

TABLE: Final = "newcomer"
ROW: Final = "self"
DIRECTORY: Final = "directory"  # vault table: <agency>/<id in hex> → DirectoryKey
OFFICE: Final = "office"  # vault table of administrators: clients/operations/admin.py
ROSTER_KEY: Final = "roster-key"

FIRST_SESSION: Final = 60.0  # seconds


class Newcomer(Struct):
    """What a device has made before it is enrolled. ``invite``, ``request`` and ``sealed`` are empty for the first
    administrators of an agency; ``roster_private`` for everybody else."""

    agency: Annotated[str, text(40)]
    device: Annotated[str, text(64)]
    officer: Annotated[str, text(64)]
    signature_private: Opaque = field(repr=False)
    inbox_private: Opaque = field(repr=False)
    inbox_public: Opaque
    roster_private: Opaque = field(repr=False)
    invite: Annotated[str, text(4096)] = field(repr=False)
    request: Annotated[bytes, opaque(1 << 16)]
    sealed: Annotated[bytes, opaque(1 << 16)]
    directory: Annotated[tuple[DirectoryKey, ...], vec(1 << 17)]
    made: U64
    nonce: Annotated[bytes, fixed(16)]

    @classmethod
    def make(cls, agency: str, device: str, officer: str, *, now: int, roster_private: bytes = b"") -> Newcomer:
        """Fresh keys. Raises Invalid for names that can't be."""
        names.check_agency(agency)
        names.check_handle(officer)
        names.check_handle(device, "device")
        private, _ = COMPOSITE.generate()
        inbox_private, inbox_public = MLKEM768_X25519.generate()
        return cls(
            agency,
            device,
            officer,
            private,
            inbox_private,
            inbox_public,
            roster_private,
            "",
            b"",
            b"",
            (),
            now,
            secrets.token_bytes(16),
        )

    @property
    def name(self) -> str:
        """``"agency/device"``."""
        return names.device_name(self.agency, self.device)

    @property
    def public(self) -> bytes:
        """Its signature public key."""
        return COMPOSITE.public(self.signature_private)

    def record(self, roles: frozenset[Role], since: int) -> DeviceRecord:
        """The record that lists it. Raises Invalid."""
        return made(
            DeviceRecord,
            agency=self.agency,
            device=self.device,
            officer=self.officer,
            roles=roles,
            keys={SUITE: (self.public,)},
            inbox=self.inbox_public,
            since=since,
        )

    def admitted(self, view: View) -> DeviceRecord:
        """Its record in trust. Raises Untrusted: not listed yet, revoked, or listed with keys that it did not make."""
        record = view.device(self.name)
        same = (
            dict(record.keys) == {SUITE: (self.public,)}  # not one more than ours: another's would speak as we do
            and record.inbox == self.inbox_public
            and record.officer == self.officer
        )
        if not same:
            raise Untrusted(
                f"the roster lists {self.name} with keys that this device did not make",
                code="identity-changed",
                hint="tell your administrator at once: somebody else's keys were approved",
            )
        return record

    def credential(self) -> DeviceCredential:
        """For a handshake as the device that a roster lists."""
        return DeviceCredential(self.name, self.signature_private, self.public, start(TRUST_TOPIC))


def with_directory(newcomer: Newcomer, *keys: DirectoryKey) -> Newcomer:
    """The same with directory keys of its own making."""
    return replace(newcomer, directory=(*newcomer.directory, *keys))


def suggested_device(officer: str) -> str:
    """A name for a new device of an officer that says nothing of the machine and is hardly taken."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return f"{officer[:58]}-{''.join(secrets.choice(letters) for _ in range(4))}"


def load(vault: Vault) -> Newcomer:
    """What lies in a vault that is not enrolled. Raises NotReady where there is nothing such."""
    kept = vault.get(TABLE, ROW)
    if kept is None:
        raise NotReady(
            "nothing waits to be enrolled here", hint="this profile is enrolled: securechan status", code="enrolled"
        )
    return Newcomer.decode(kept)


def keep(vault: Vault, newcomer: Newcomer) -> None:
    vault.adopt([Put(TABLE, ROW, newcomer.encode())])


def enrol(
    vault: Vault, newcomer: Newcomer, view: View, way: Route, directory: Sequence[DirectoryKey], now: int
) -> Agent:
    """The agent's first state, adopted in one transaction. Raises Untrusted as `Newcomer.admitted`."""
    record = newcomer.admitted(view)
    relay: RelayIdentity = way.relay
    transition = Agent.enrol(
        Enrolled(
            device=record.name,
            officer=record.address,
            signature_private=newcomer.signature_private,
            inbox_private=newcomer.inbox_private,
            inbox_public=newcomer.inbox_public,
            root=view.roots[0].content,
            root_id=view.root_id,
            relay=relay.name,
            url=way.urls[0],
            relay_key=relay.kem_public,
        ),
        now,
    )
    own: list[Write] = [Write(TABLE, ROW, None)]
    own += [Write(DIRECTORY, f"{key.agency}/{key.id.hex()}", key.encode()) for key in (*newcomer.directory, *directory)]
    if newcomer.roster_private:
        own.append(Write(OFFICE, ROSTER_KEY, newcomer.roster_private))
    vault.adopt([*transition.writes, *own])
    return transition.agent


async def first_session(vault: Vault, agent: Agent, way: Route, clock: Clock) -> None:
    """Read everything, and leave key packages at the relay so that others can bring this device into conversations.
    Raises what the network raises; the device is enrolled all the same."""

    def route() -> Route:
        device, private, public, trust = runtime.agent.credential()
        return Route(way.relay, way.urls, DeviceCredential(device, private, public, trust), way.line)

    runtime = Runtime(vault, agent, Transport(route, clock), clock)
    async with runtime:
        await runtime.online(FIRST_SESSION)
        await runtime.until(lambda mind: mind.synced and _stocked(mind), FIRST_SESSION)


def _stocked(agent: Agent) -> bool:
    """Whether the relay has key packages of this device."""
    return any(package.stored and not package.last_resort for package in agent.rows.all(PACKAGES).values())
