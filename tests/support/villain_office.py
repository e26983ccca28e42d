"""Who holds an agency's roster key, or has stolen it: signs the next roster, and has the relay publish it.

async with Office.open(stage, "cert-si") as office:
    await office.publish(revoke={"dora-laptop": "lost"})
    await office.replay(documents)                      anything that somebody signed once
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

from clients.clock import SystemClock
from clients.connection import Route
from clients.errand import Errand
from clients.federation import publish, replay
from clients.profile import Profile
from clients.vault import Vault
from securechan.agent.agent import Agent, Enrolled
from securechan.trust import authority
from securechan.trust.draft import Draft
from securechan.trust.view import View
from securechan.wire.handshake import OfficeCredential, RelayIdentity
from tests.support.federation import Device
from tests.support.stage import CHEAP, PASSPHRASE, RELAY, Live, Stage
from tests.support.world import private_key, signer


@dataclass
class Office:
    """A session of the holder of a roster key. ``view`` is trust as it found it."""

    errand: Errand
    agency: str
    view: View

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, stage: Stage, agency: str) -> AsyncIterator[Self]:
        role, founded = f"{agency}-roster", stage.founding
        key = signer(role)
        credential = OfficeCredential(role, key.keyid, private_key(role), key.public)
        route = Route(RelayIdentity(founded.root_id, RELAY, founded.kem), (stage.relay.url,), credential)
        async with Errand.begin(route, SystemClock()) as errand:
            yield cls(errand, agency, await replay(errand, founded.root_id))

    def roster(self, **changes: Any) -> Draft:
        """The agency's next roster, signed."""
        return authority.roster(self.view, self.agency, now=int(time.time()), **changes).sign(
            signer(f"{self.agency}-roster")
        )

    async def publish(self, **changes: Any) -> int:
        """Make the next roster, and have it published; the sequence of the publication."""
        return await self.replay((self.roster(**changes).pair(),))

    async def replay(self, documents: tuple[tuple[str, bytes], ...]) -> int:
        """Have these documents published. Raises what the relay says against it."""
        return await publish(self.errand, self.view, documents)


@dataclass
class Newcomer(Live):
    """A device that the founding knows nothing of."""

    agency: str = ""

    @property
    def device(self) -> str:
        return f"{self.agency}/{self.name}"


def newcomer(stage: Stage, device: Device) -> Newcomer:
    """A listed device with a vault of its own, enrolled as if approved."""
    founded, record = stage.founding, device.record
    profile = Profile(record.device, stage.folder / record.device)
    profile.make()
    enrolled = Enrolled(
        device.name,
        record.address,
        bytes(device.key.private),
        bytes(device.inbox.private),
        device.inbox.public,
        founded.root,
        founded.root_id,
        RELAY,
        stage.relay.url,
        founded.kem,
    )
    step = Agent.enrol(enrolled, int(time.time()))
    Vault.create(profile.vault, PASSPHRASE, writes=step.writes, cost=CHEAP).close()
    return Newcomer(
        record.device, profile, founded.root_id, founded.kem, stage.relay.url, stage.ledger, agency=record.agency
    )
