"""Where the agent's tests begin, and the hand of a member who doesn't keep to the rules."""

from __future__ import annotations

from dataclasses import dataclass

from securechan.agent.claims import Claim
from securechan.agent.events import MessageReceived
from securechan.agent.founding import FOUNDING
from securechan.agent.inputs import AcceptConversation, CreateConversation
from securechan.agent.policy import POLICY, Officer
from securechan.agent.state import CONVERSATIONS, GROUPS, Conversation
from securechan.agent.turn import access_hash, access_secret
from securechan.crypto.suite import HYBRID
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, LeafKeys, new_key_package
from securechan.mls.nodes import BasicCredential, Capabilities
from securechan.mls.registry import CredentialType, ProtocolVersion
from securechan.wire.chain import Position
from securechan.wire.frames import AnswerBody, Append, Appended, CommitClaim, Show
from tests.support.actor import Actor
from tests.support.world import World

STEWARDS = ("ana@cert-hr", "cene@cert-si")


def community(world: World, *, bound: bool = True, **policy: object) -> tuple[Actor, Actor, Actor, bytes]:
    """Two devices of cert-hr and one of cert-si in a community whose name the federation binds to its founder."""
    ana, bor = world.enrol_all("cert-hr", "ana", "bor")
    (cene,) = world.enrol_all("cert-si", "cene")
    if bound:
        world.bind("eu-csirts", founders=(ana.name,))
    for each in (ana, bor, cene):
        each.connect()
    world.run()
    topic: bytes = ana.do(CreateConversation(world.community("eu-csirts", stewards=STEWARDS, **policy)))
    world.run(10)
    return ana, bor, cene, topic


def direct(world: World) -> tuple[Actor, Actor, bytes]:
    """ana@cert-hr and cene@cert-si, by name."""
    (ana,), (cene,) = world.enrol_all("cert-hr", "ana"), world.enrol_all("cert-si", "cene")
    for each in (ana, cene):
        each.connect()
    world.run()
    topic: bytes = ana.do(CreateConversation(world.direct("ana and cene", "ana@cert-hr", "cene@cert-si")))
    world.run(5)
    cene.do(AcceptConversation(topic))
    world.run(2)
    return ana, cene, topic


def words(actor: Actor, topic: bytes) -> list[str]:
    """Texts shown, in order."""
    return [each.body for each in actor.told(MessageReceived, topic)]


def group_of(actor: Actor, topic: bytes) -> Group:
    group = actor.agent.rows.get(GROUPS, topic.hex())
    assert group is not None
    return group


def row_of(actor: Actor, topic: bytes) -> Conversation:
    row = actor.agent.rows.get(CONVERSATIONS, topic.hex())
    assert row is not None
    return row


def secret(actor: Actor, topic: bytes) -> bytes:
    """Equal for those who are in the same epoch of the same group."""
    return bytes(group_of(actor, topic).epoch_authenticator)


def package(device: str, officer: str, now: int, private: bytes | None = None) -> KeyPackage:
    """A key package that says to be of this device."""
    keys = LeafKeys(private or HYBRID.signature.generate()[0], BasicCredential(device.encode()))
    able = Capabilities((ProtocolVersion.MLS10,), (HYBRID.number,), (POLICY, FOUNDING), (), (CredentialType.BASIC,))
    bundle = new_key_package(HYBRID, keys, now=now, leaf_extensions=(Officer(officer).extension(),), capabilities=able)
    return bundle.key_package


@dataclass
class Rogue:
    """A member's state in other hands: it speaks to the relay in the device's name, without the agent's scruples."""

    actor: Actor
    topic: bytes

    def __post_init__(self) -> None:
        self.group = group_of(self.actor, self.topic)
        self.row = row_of(self.actor, self.topic)
        self.last_commit, self.next = self.row.last_commit, self.group
        self.claim = Claim(self.row.cursor, self.actor.agent.trust_position)

    def ask(self, body: Append | Show) -> AnswerBody:
        world, member = self.actor.world, self.actor.member
        assert member is not None
        return world.loop.run_until_complete(member.request(body))

    def append(self, message: bytes, commit: CommitClaim | None = None) -> AnswerBody:
        return self.ask(Append(self.topic, self.actor.world.chance(32), message, commit))

    def say(self, plaintext: bytes, *, log: Position | None = None) -> AnswerBody:
        """An application message with any content and any claim about the log."""
        claim = self.claim if log is None else Claim(log, self.claim.trust)
        self.group, message = self.group.protect(plaintext, authenticated_data=claim.encode())
        return self.append(message)

    def commit(self, *, data: bytes | None = None, access: bytes | None = None, **changes: object) -> AnswerBody:
        """A commit of anything, with any authenticated data and any access hash."""
        step = self.group.commit(
            authenticated_data=self.claim.encode() if data is None else data,
            tree_in_welcome=False,
            **changes,  # whatever the engine can make
        )
        self.group = step.current
        claim = CommitClaim(self.last_commit, access or access_hash(access_secret(step.next)))
        answer = self.append(step.commit, claim)
        if isinstance(answer, Appended):
            self.last_commit = answer.sequence
            self.next = step.next
        return answer

    def go_on(self) -> None:
        """Into the epoch that the last commit opened."""
        self.group = self.next
