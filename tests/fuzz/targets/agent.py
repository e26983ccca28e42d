"""A member's mind, with all that a relay and other members can put before it.

A world with real agents and a real mailroom is played once; what every agent was about to hear is taped beside the
agent as it was just then. An input then says which moment of the tape it belongs to, and what is heard instead. An
agent is a value, so each input meets the same one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from unittest import mock

from securechan.agent.agent import Agent, Transition
from securechan.agent.archive import to_json
from securechan.agent.claims import Claim
from securechan.agent.effects import Emit
from securechan.agent.inputs import (
    Acknowledge,
    Answered,
    ConfirmDevice,
    CreateConversation,
    FetchAttachment,
    Input,
    Leave,
    OpenBox,
    PublishBulletin,
    ReadBox,
    Received,
    ReviseBulletin,
    RotateEpochs,
    RotateSignature,
    SendAttachment,
    SendOpaque,
    SendText,
)
from securechan.agent.letters import CONTEXTS, INFO, Letter, SealedLetter, SignedLetter
from securechan.agent.policy import POLICY, Policy, agency_of
from securechan.agent.state import ARCHIVE, CONVERSATIONS, INBOX, ONLY, OUTBOX
from securechan.agent.turn import access_hash, access_secret
from securechan.bulletin.document import TEXT
from securechan.bulletin.payload import Payload
from securechan.bulletin.tlp import Tlp
from securechan.crypto.contexts import REQUEST
from securechan.crypto.suite import HYBRID
from securechan.errors import Invalid, Malformed
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.send import Step
from securechan.trust.records import key_hash
from securechan.wire.chain import Position
from securechan.wire.frames import (
    TRUST_TOPIC,
    Answer,
    CommitClaim,
    Entries,
    Entry,
    EntryKind,
    Frame,
    Halt,
    Heads,
    Publication,
    inbox_topic,
)
from tests.agent.places import Rogue, community, package
from tests.fuzz.mutation import after, damaged, of_struct
from tests.fuzz.target import CLOSED, Target, canonical, refused, target
from tests.fuzz.targets.codec import drawn
from tests.support.actor import Actor
from tests.support.world import World

PER_KIND = 2  # moments of each kind that are kept


@dataclass(frozen=True)
class Moment:
    """An agent, what it was about to hear, and when."""

    agent: Agent
    heard: Input
    now: int


@dataclass
class Played:
    """A world after its story, and the tape of it."""

    world: World
    bor: Actor
    cene: Actor
    topic: bytes
    moments: dict[str, list[Moment]]

    def of(self, kind: type[Input]) -> list[Moment]:
        return [each for kept in self.moments.values() for each in kept if isinstance(each.heard, kind)]


@cache
def played() -> Played:
    """The story: a community talks, publishes, grows, shrinks and renews its keys."""
    moments: dict[str, list[Moment]] = {}
    original = Agent.on

    def on(self: Agent, what: Input, now: int) -> Transition:
        match what:
            case Answered(ref, body):
                kind = f"{type(ref).__name__} {type(body).__name__}"
            case Received(Entries(topic, entries, halt)):
                mine = "conversation" if self.rows.get(CONVERSATIONS, topic.hex()) else "other"
                kind = f"entries {mine} {halt} {min(len(entries), 2)} {[e.kind for e in entries][:2]}"
            case Received(frame):
                kind = type(frame).__name__
            case _:
                return original(self, what, now)
        kept = moments.setdefault(kind, [])
        if len(kept) < PER_KIND:
            kept.append(Moment(self, what, now))
        return original(self, what, now)

    with mock.patch.object(Agent, "on", on):
        world = World()
        ana, bor, cene, topic = community(world)
        tell_story(world, ana, bor, cene, topic)
    return Played(world, bor, cene, topic, moments)


def tell_story(world: World, ana: Actor, bor: Actor, cene: Actor, topic: bytes) -> None:
    ana.do(SendText(topic, "good morning", Tlp.GREEN))
    attached = ana.do(SendAttachment(topic, "list.txt", "text/plain", b"indicators" * 9000, Tlp.AMBER, "a list"))
    world.run(5)
    bor.do(FetchAttachment(topic, attached))
    bulletin = ana.do(PublishBulletin(topic, b"phishing wave", TEXT, Tlp.GREEN, "a wave"))
    world.run(5)
    cene.do(Acknowledge(bulletin.bulletin))
    ana.do(ReviseBulletin(topic, bulletin.bulletin, b"phishing wave, ebbing", TEXT, Tlp.GREEN, "a wave"))
    world.run(70)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "liaison", "admin").connect()
    world.run(60)
    dora.do(OpenBox(bytes(32), b"m" * 32, world.now + 3600))
    dora.do(SendOpaque(bor.name, "report", b"all is well"))
    world.run(5)
    dora.do(ReadBox(bytes(32)))
    direct = ana.do(CreateConversation(world.direct("ana-cene", "ana@cert-hr", "cene@cert-si")))
    world.run(20)
    ana.do(SendText(direct, "between us", Tlp.RED))
    cene.do(ConfirmDevice(ana.name, None)) if cene.agent.conversation(topic).waiting else None
    cene.do(RotateEpochs(topic))
    bor.do(RotateSignature())
    world.run(30)
    ana.disconnect()
    bor.do(SendText(topic, "while you were away", Tlp.GREEN))
    world.run(400)
    ana.connect()
    world.run(30)
    dora.do(Leave(topic))
    world.run(30)
    world.revoke(dora)
    world.run(60)


def heard(agent: Agent, what: Input, now: int) -> None:
    """Nothing from outside raises; every event can be shown; every row can be kept."""
    step = agent.on(what, now)
    for effect in step.effects:
        if isinstance(effect, Emit):
            json.dumps(to_json(effect.event), ensure_ascii=False).encode()
    for write in step.writes:
        if write.value is not None and not isinstance(write.value, bytes):
            raise AssertionError("a row that isn't bytes")
    durable: dict[str, dict[str, bytes]] = (
        {name: dict(rows) for name, rows in agent.records().items()}
        if hashlib.sha256(repr(what).encode()).digest()[0] < 4
        else {}
    )
    if durable:  # now and then, for it costs: what the vault would hold is what the agent is
        for write in step.writes:
            if write.table == ARCHIVE:
                continue
            if write.value is None:
                durable.get(write.table, {}).pop(write.id, None)
            else:
                durable.setdefault(write.table, {})[write.id] = write.value
        if {name: rows for name, rows in durable.items() if rows} != step.agent.records():
            raise AssertionError("the writes of a step aren't its difference")


# ----------------------------------------------------------------------------------------------------------- the relay


@target("agent.frame")
def frame() -> Target:
    """What a relay may send unasked: entries of any topic, heads. The first byte chooses the moment."""
    moments = played().of(Received)[:250]

    def run(data: bytes) -> None:
        moment = moments[(data[0] if data else 0) % len(moments)]
        value = canonical(Frame, data[1:])
        if value is not None and isinstance(value.body, Entries | Heads):
            heard(moment.agent, Received(value.body), moment.now)

    seeds = tuple(bytes([n]) + Frame.of(each.heard.frame).encode() for n, each in enumerate(moments))
    return Target(run, seeds, after(1, of_struct(Frame)))


@target("agent.answer")
def answer() -> Target:
    """What a relay may answer to each of an agent's questions."""
    moments = played().of(Answered)[:250]

    def run(data: bytes) -> None:
        moment = moments[(data[0] if data else 0) % len(moments)]
        value = canonical(Answer, data[1:])
        if value is not None and isinstance(moment.heard, Answered):
            heard(moment.agent, Answered(moment.heard.ref, value.body), moment.now)

    seeds = [bytes([n]) + Answer.of(n, each.heard.body).encode() for n, each in enumerate(moments)]
    seeds += [bytes([n]) + wire for n in range(len(moments)) for wire in drawn(Answer, 2)]
    return Target(run, tuple(seeds), after(1, of_struct(Answer)))


@target("agent.trust")
def trust() -> Target:
    """A publication that the relay says stands in the trust log next."""
    bor, now = played().bor, played().world.now
    entries: list[Entry] = [
        entry
        for each in played().of(Received)
        if isinstance(each.heard, Received) and isinstance(each.heard.frame, Entries)
        for entry in each.heard.frame.entries
        if each.heard.frame.topic == TRUST_TOPIC
    ]
    position = bor.agent.trust_position

    def run(data: bytes) -> None:
        entry = Entry(position.sequence + 1, EntryKind.TRUST, bytes(32), now * 1000, data, None)
        heard(bor.agent, Received(Entries(TRUST_TOPIC, (entry,), Halt.TAIL)), now)

    return Target(run, tuple(entry.body for entry in entries), of_struct(Publication))


# ------------------------------------------------------------------------------------------------------- other members


def spoken(message: bytes, commit: CommitClaim | None = None) -> Received:
    """A message that stands in the community's log next."""
    here = played()
    row = here.bor.agent.rows.get(CONVERSATIONS, here.topic.hex())
    assert row is not None
    kind = EntryKind.APPLICATION if commit is None else EntryKind.COMMIT
    entry = Entry(row.cursor.sequence + 1, kind, bytes(32), here.world.now * 1000, message, commit)
    return Received(Entries(here.topic, (entry,), Halt.TAIL))


def closing(step: Step) -> Received:
    """A commit of the rogue's that stands in the log next."""
    return spoken(step.commit, CommitClaim(rogue().last_commit, access_hash(access_secret(step.next))))


@cache
def rogue() -> Rogue:
    return Rogue(played().cene, played().topic)


@target("agent.payload")
def payload() -> Target:
    """What a member says, sealed and signed as it should be. First byte 1: its authenticated data instead."""
    here, group = played(), rogue().group
    claim = rogue().claim.encode()

    def run(data: bytes) -> None:
        plaintext, claimed = (b"", data[1:]) if data[:1] == b"\1" else (data[1:], claim)
        _, message = group.protect(plaintext, authenticated_data=claimed)
        heard(here.bor.agent, spoken(message), here.world.now)

    def form(data: bytes, random: Random) -> bytes:
        return data[:1] + of_struct(Claim if data[:1] == b"\1" else Payload)(data[1:], random)

    said = [b"\0" + wire for wire in (*drawn(Payload, 24), *genuine_payloads())]
    return Target(
        run, (*said, b"\1" + claim, b"\1" + Claim(Position(1, bytes(48)), Position(9, bytes(48))).encode()), form
    )


def genuine_payloads() -> tuple[bytes, ...]:
    """What the world's outboxes held: payloads as clients make them."""
    items = (
        item for each in played().moments.values() for moment in each for item in moment.agent.rows.all(OUTBOX).values()
    )
    found = {bytes(item.payload) for item in items if Payload.decode(item.payload)}
    return tuple(sorted(found))[:16]


@target("agent.policy")
def policy() -> Target:
    """A steward commits a policy of the fuzzer's; and what anyone reads as one is sound."""
    here = played()
    group: Group = rogue().group

    def run(data: bytes) -> None:
        value = canonical(Policy, data)
        if value is not None:
            with refused(Invalid):
                value.check()
                for steward in value.stewards:
                    agency_of(steward)
        others = tuple(each for each in group.context_extensions if each.kind != POLICY)
        with refused(Invalid):
            step = group.commit(
                extensions=(*others, Extension(POLICY, data)), authenticated_data=rogue().claim.encode()
            )
            heard(here.bor.agent, closing(step), here.world.now)

    return Target(
        run, (here.world.community("eu-csirts", stewards=("ana@cert-hr", "cene@cert-si")).encode(),), of_struct(Policy)
    )


@target("agent.member")
def member() -> Target:
    """A commit that adds somebody: the identity and the officer that its leaf names are the fuzzer's."""
    here, group = played(), rogue().group

    def run(data: bytes) -> None:
        size = data[0] if data else 0
        with refused(Invalid, Malformed):
            device, officer = (
                part.decode("utf-8", "replace") for part in (data[1 : 1 + size], data[1 + size : 50 + size])
            )
            added = package(device, officer, here.world.now)
            step = group.commit(adds=[added], authenticated_data=rogue().claim.encode(), tree_in_welcome=False)
            heard(here.bor.agent, closing(step), here.world.now)

    seeds = (b"\x0ecert-si/laptopdora@cert-si", b"\x04\0/\0@a@@b", b"\x00", b"\x07cert-hr")
    return Target(run, seeds, damaged)


# ------------------------------------------------------------------------------------------------------------- letters


def context_of(letter: bytes) -> bytes:
    """What a letter of its kind is signed as."""
    try:
        return CONTEXTS[Letter.decode(letter).kind]
    except Malformed:
        return REQUEST


@target("agent.letter")
def letter() -> Target:
    """Into the inbox. First byte 0: sealed bytes as they are; 1: what is inside the seal; 2: a letter signed by a
    device that is listed."""
    here = played()
    bor, cene, now = here.bor, here.cene, here.world.now
    inbox = inbox_topic(bor.name)
    cursor = bor.agent.rows.all(INBOX)[ONLY].cursor

    def sealed(plaintext: bytes) -> bytes:
        enc, ciphertext = HYBRID.hpke.seal(bor.agent.me.inbox_public, INFO, b"", plaintext)
        return SealedLetter(enc, ciphertext).encode()

    def run(data: bytes) -> None:
        body = data[1:]
        if data[:1] == b"\1":
            body = sealed(body)
        elif data[:1] == b"\2":
            body = sealed(SignedLetter(body, HYBRID.signature.sign(cene.device.key, context_of(body), body)).encode())
        entry = Entry(cursor + 1, EntryKind.INBOX, bytes(32), now * 1000, body, None)
        heard(bor.agent, Received(Entries(inbox, (entry,), Halt.TAIL)), now)

    genuine = [
        replace(
            Letter.decode(wire),
            sender=cene.name,
            key=key_hash(cene.device.key.public),
            recipients=(bor.name,),
            trust=bor.agent.trust_position,
        )
        for wire in (*drawn(Letter, 24), *genuine_letters())
    ]
    plain = [each.encode() for each in genuine]
    signed = [SignedLetter(each, bytes(3373)).encode() for each in plain[:4]]
    seeds = [b"\0" + sealed(b"x"), *(b"\1" + each for each in signed), *(b"\2" + each for each in plain)]

    def form(data: bytes, random: Random) -> bytes:
        kind = {b"\0": SealedLetter, b"\1": SignedLetter}.get(data[:1], Letter)
        return data[:1] + of_struct(kind)(data[1:], random)

    return Target(run, tuple(seeds), form)


def genuine_letters() -> tuple[bytes, ...]:
    """Letters as the world's agents wrote them, opened with their readers' keys."""
    world, found = played().world, set()
    keys = {inbox_topic(name): actor.agent.me.inbox_private for name, actor in world.actors.items()}
    for moment in played().of(Received):
        frame = moment.heard.frame
        if isinstance(frame, Entries) and frame.topic in keys:
            for entry in frame.entries:
                with refused(*CLOSED):
                    shut = SealedLetter.decode(entry.body)
                    plain = HYBRID.hpke.open(keys[frame.topic], shut.kem_output, INFO, b"", shut.ciphertext)
                    found.add(SignedLetter.decode(plain).letter)
    return tuple(sorted(found))


# ---------------------------------------------------------------------------------------------------------------- rows


@target("agent.rows")
def rows() -> Target:
    """What the vault gives back, with one row altered: the first two bytes say which."""
    durable = played().bor.agent.records()
    places = [(table, row) for table in sorted(durable) for row in sorted(durable[table]) if table != "trust"]

    def run(data: bytes) -> None:
        table, row = places[int.from_bytes(data[:2], "big") % len(places)]
        altered = {name: dict(held) for name, held in durable.items()}
        altered[table][row] = data[2:]
        with refused(*CLOSED):
            Agent.load(altered)

    seeds = tuple(n.to_bytes(2, "big") + durable[table][row] for n, (table, row) in enumerate(places))
    return Target(run, seeds)
