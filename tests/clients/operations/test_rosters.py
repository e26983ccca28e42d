"""clients/operations/rosters.py and office.py: what several administrators sign, whose letters are believed, and what
the relay's answers mean. Three administrators over a trust view; the relay is the test."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clients.operations import office, rosters
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from clients.vault import Put, Vault
from securechan.agent.events import BoxRead, Event, RequestDone, RequestFailed
from securechan.agent.inputs import Command, PublishTrust, SendOpaque
from securechan.agent.state import ARCHIVE
from securechan.errors import Conflict, Denied, NotFound, NotReady, Refused, SecurechanError, Stale, TimedOut, Untrusted
from securechan.trust import authority
from securechan.trust.keys import Kind, TrustSigner, generate
from securechan.trust.pending import PendingRoster
from securechan.wire.chain import Position
from tests.clients.station import CHEAP, PASSPHRASE
from tests.support.federation import NOW, Device, World

AGENCY = "cert-hr"


@dataclass
class Town:
    """A federation, its administrators' desks, and the letters under way."""

    world: World
    desks: dict[str, Desk] = field(default_factory=dict)

    def deliver(self, sender: str, command: SendOpaque) -> None:
        self.desks[command.device.partition("/")[2]].letter(sender, command.kind, command.content)


@dataclass
class Desk:
    """One administrator's work: the vault is real, the relay answers as ``answers`` says."""

    town: Town
    device: Device
    vault: Vault
    answers: list[Event] = field(default_factory=list)  # instead of the relay's own
    heard: list[Callable[[Event], None]] = field(default_factory=list)
    read: int = 0

    @property
    def agent(self) -> Any:
        name = self.device.name
        return SimpleNamespace(
            view=self.town.world.view,
            device=name,
            agency=AGENCY,
            inbox_private=self.device.inbox.private,
            credential=lambda: (name, self.device.key.private, self.device.key.public, Position(0, bytes(48))),
        )

    @property
    def runtime(self) -> Desk:
        return self

    now = NOW

    async def synced(self) -> None:
        """Everything is read at once here."""

    async def at_rest(self, _seconds: float) -> None:
        """What was said has arrived."""

    async def give(self, _item: dict[str, str]) -> None:
        """Nobody looks at what goes on."""

    def listen(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        self.heard.append(hear)
        return lambda: self.heard.remove(hear)

    async def until(self, predicate: Callable[[Any], bool], _seconds: float) -> None:
        assert predicate(self.agent)

    async def do(self, command: Command) -> None:
        match command:
            case SendOpaque():
                self.town.deliver(self.device.name, command)
            case PublishTrust(documents) if not self.answers:
                world = self.town.world
                world.publish(*(authority.Draft(document.role, document.content) for document in documents))
                self._tell(RequestDone("publish", world.view.position.sequence))
            case _:
                for event in self.answers:
                    self._tell(event)

    def _tell(self, event: Event) -> None:
        for hear in tuple(self.heard):
            hear(event)

    def letter(self, sender: str, kind: str, content: bytes) -> None:
        """It stands in the archive, as the agent writes it."""
        said = {
            "event": "opaque-received",
            "device": sender,
            "kind": kind,
            "content": base64.b64encode(content).decode(),
        }
        self.vault.adopt([Put(ARCHIVE, f"-/{self.read:012d}", json.dumps(said).encode())])
        self.read += 1


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Three administrators; rosters need all three."""
    world = World([AGENCY, "cert-lt"])
    devices = [world.enrol(AGENCY, name, name, "admin") for name in ("alice", "bob", "carol")]
    world.enrol("cert-lt", "eve", "eve", "admin")
    privates = [generate(Kind.COMPOSITE)[0] for _ in devices]
    signers = [TrustSigner(Kind.COMPOSITE, private) for private in privates]
    world.keys[AGENCY].roster = signers
    draft = authority.agency(
        world.view, AGENCY, now=NOW, roster_keys=[signer.public for signer in signers], roster_threshold=3
    )
    world.publish(draft.sign(world.keys[AGENCY].authority), world.roster(AGENCY))
    town = Town(world)
    for device, private in zip(devices, privates, strict=True):
        writes = [Put(OFFICE, ROSTER_KEY, private)]
        vault = Vault.create(tmp_path / device.record.device, PASSPHRASE, writes=writes, cost=CHEAP)
        town.desks[device.record.device] = Desk(town, device, vault)
    yield town
    for desk in town.desks.values():
        desk.vault.close()


def work(desk: Desk, operation: Any, **params: Any) -> Any:
    return asyncio.run(operation(desk, params))


def refused(desk: Desk) -> list[str]:
    return [value.decode() for row, value in desk.vault.all(OFFICE).items() if row.startswith("refused/")]


# ---------------------------------------------------------------------------------------------------------- signatures


def test_each_signs_what_the_one_before_has_signed(town: Town) -> None:
    alice, bob, carol = town.desks.values()
    made = work(alice, rosters.revoke, device="carol", reason="left")
    assert (made["published"], made["missing"], made["sent_to"]) == (False, 2, ["cert-hr/bob", "cert-hr/carol"])
    shown = work(bob, rosters.show_roster)
    assert (shown["missing"], shown["signed_here"], shown["id"]) == (2, False, made["pending"])
    assert any("- device carol" in line for line in shown["changes"])
    signed = work(bob, rosters.sign_roster, id=shown["id"])
    assert (signed["published"], signed["missing"]) == (False, 1)
    assert work(carol, rosters.show_roster)["missing"] == 1
    done = work(carol, rosters.sign_roster, id=made["pending"][:4])
    assert done["published"]
    assert town.world.view.find("cert-hr/carol") is None
    for desk in (alice, bob):
        rosters.collect(desk)
        assert rosters.pending_rosters(desk) == {}


def test_signatures_of_copies_are_put_together(town: Town) -> None:
    """Bob and Carol sign apart; neither signature is lost where both copies arrive."""
    alice, bob, carol = town.desks.values()
    ident = work(alice, rosters.renew)["pending"]
    rosters.collect(bob)
    rosters.collect(carol)
    work(bob, rosters.sign_roster, id=ident)  # its letter reaches Carol, who has not read it yet
    signed = work(carol, rosters.sign_roster, id=ident)
    assert signed["missing"] == 1  # without Bob's letter
    rosters.collect(alice)
    assert work(alice, rosters.show_roster, id=ident)["missing"] == 0
    assert work(alice, rosters.sign_roster, id=ident)["published"]


def test_a_roster_that_trust_has_overtaken_is_forgotten(town: Town) -> None:
    alice, bob, _ = town.desks.values()
    ident = work(alice, rosters.renew)["pending"]
    town.world.publish(town.world.roster(AGENCY))
    with pytest.raises(NotFound):
        work(alice, rosters.sign_roster, id=ident)
    rosters.collect(bob)
    assert rosters.pending_rosters(bob) == {}
    assert refused(bob) == []


def test_two_that_wait_have_to_be_told_apart(town: Town) -> None:
    alice, bob, _ = town.desks.values()
    work(alice, rosters.renew)
    work(alice, rosters.revoke, device="carol")
    with pytest.raises(Conflict):
        work(bob, rosters.show_roster)


def test_a_file_does_as_well_as_a_letter(town: Town) -> None:
    alice, bob, _ = town.desks.values()
    made = work(alice, rosters.renew)
    assert work(bob, rosters.show_roster, file=made["file"])["id"] == made["pending"]
    town.world.publish(town.world.roster(AGENCY))
    with pytest.raises(Stale):
        work(bob, rosters.show_roster, file=made["file"])


def test_without_a_listed_key_nobody_signs(town: Town) -> None:
    alice, bob, _ = town.desks.values()
    ident = work(alice, rosters.renew)["pending"]
    bob.vault.adopt([Put(OFFICE, ROSTER_KEY, generate(Kind.COMPOSITE)[0])])
    rosters.collect(bob)
    for operation, params in ((rosters.sign_roster, {"id": ident}), (rosters.renew, {})):
        with pytest.raises(Denied) as e:
            work(bob, operation, **params)
        assert e.value.code == "wrong-key"
    bob.vault.adopt([Put(OFFICE, ROSTER_KEY, None)])
    with pytest.raises(NotReady):
        work(bob, rosters.renew)


# -------------------------------------------------------------------------------------------------------------- letters


def test_letters_that_are_not_an_administrators_are_not_put_before_one(town: Town) -> None:
    alice, bob, _ = town.desks.values()
    eve = town.world.enrol("cert-lt", "eve-2", "eve-2", "admin")
    draft = authority.roster(town.world.view, AGENCY, now=NOW, revoke={"alice": "lost"})
    forged = PendingRoster.make(draft, (), proposer="cert-lt/eve-2", key=eve.key, now=NOW)
    bob.letter("cert-lt/eve-2", rosters.PENDING, forged.encode())
    posing = PendingRoster.make(draft, (), proposer="cert-hr/alice", key=eve.key, now=NOW)
    bob.letter("cert-lt/eve-2", rosters.PENDING, posing.encode())
    other = authority.roster(town.world.view, "cert-lt", now=NOW)
    foreign = PendingRoster.make(other, (), proposer="cert-hr/alice", key=alice.device.key, now=NOW)
    bob.letter("cert-hr/alice", rosters.PENDING, foreign.encode())
    bob.letter("cert-hr/alice", rosters.PENDING, b"garbage")
    bob.letter("cert-hr/alice", "directory-keys", b"more garbage")
    bob.letter("cert-hr/alice", "key-rotation", b"yet more")
    bob.letter("cert-hr/alice", "something-new", b"garbage")
    rosters.collect(bob)
    assert rosters.pending_rosters(bob) == {}
    assert len(refused(bob)) == 6
    rosters.collect(bob)
    assert len(refused(bob)) == 6


def test_who_floods_is_told_of_no_more(town: Town) -> None:
    bob = town.desks["bob"]
    for number in range(rosters.TOLD + 5):
        bob.letter("cert-lt/eve", rosters.PENDING, b"garbage %d" % number)
    rosters.collect(bob)
    assert len(refused(bob)) == rosters.TOLD


def test_many_letters_are_taken_up_once(town: Town) -> None:
    bob = town.desks["bob"]
    for number in range(401):
        bob.letter("cert-hr/alice", "unknown", b"%d" % number)
    rosters.collect(bob)
    cursor = bob.vault.get(OFFICE, "letters-read")
    assert cursor == b"-/%012d" % 400


def test_a_device_without_the_role_is_no_administrators(town: Town) -> None:
    desk = town.desks["bob"]
    town.world.publish(
        town.world.roster(AGENCY, replace=[authority.changed(desk.device.record, roles=frozenset({"liaison"}))])
    )
    with pytest.raises(Denied) as e:
        office.administrator(desk)
    assert e.value.code == "role-denied"


# ------------------------------------------------------------------------------------------------------------ the relay


@pytest.mark.parametrize(
    ("code", "kind"),
    [("untrusted", Untrusted), ("quota", Refused), ("forbidden", Denied), ("not-found", NotFound), ("stale", Stale)],
)
def test_a_refusal_is_an_error_that_says_what_to_do(town: Town, code: str, kind: type[SecurechanError]) -> None:
    desk = town.desks["alice"]
    desk.answers = [RequestDone("box", 1), RequestFailed("publish", code, "because", 1500)]
    with pytest.raises(kind) as e:
        asyncio.run(office.asked(desk, PublishTrust(()), "publish"))
    if isinstance(e.value, Refused):
        assert e.value.retry_after == 1.5
    assert desk.heard == []


def test_silence_is_told_after_a_while(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "ANSWER", 0.01)
    desk = town.desks["alice"]
    desk.answers = [RequestDone("box", 1)]
    with pytest.raises(TimedOut):
        asyncio.run(office.asked(desk, PublishTrust(()), "publish"))
    with pytest.raises(TimedOut):
        asyncio.run(office.read_box(desk, bytes(32)))
    assert desk.heard == []


def test_a_box_is_read_to_its_end(town: Town) -> None:
    desk = town.desks["alice"]
    desk.answers = [
        BoxRead(bytes(32), 1, b"one"),
        BoxRead(b"\1" * 32, 1, b"another's"),
        BoxRead(bytes(32), 2, b"two"),
        BoxRead(bytes(32), 0, b""),
    ]
    assert asyncio.run(office.read_box(desk, bytes(32))) == [b"one", b"two"]
