"""The MLS engine as a bent member reaches it: everything is signed with the right key and sealed under the right ones,
and what is inside is the fuzzer's. Nothing of this is stopped by cryptography; only the rules stop it.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from securechan.crypto.secret import Secret
from securechan.errors import Malformed
from securechan.mls.extensions import Extension
from securechan.mls.framing import (
    AuthenticatedContent,
    FramedContentAuthData,
    PrivateContentAAD,
    PrivateMessage,
    PublicMessage,
    Sender,
    SenderData,
    SenderDataAAD,
    pack_private,
)
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage
from securechan.mls.labels import sign_with_label
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.nodes import Credential, LeafNode
from securechan.mls.proposals import Add, Commit, Proposal, Remove
from securechan.mls.protection import _guarded, framed, open_content, open_sender, sender_data_key, show, sign
from securechan.mls.registry import ContentType, ExtensionType, SenderType, WireFormat
from securechan.mls.schedule import Intermediate
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import ExternalSender, ExternalSenders, check_key_package
from securechan.mls.welcome import (
    GroupInfo,
    GroupSecrets,
    gathered,
    open_group_info,
    open_secrets,
    seal_secrets,
    welcome_key,
)
from tests.fuzz.mutation import damaged, of_struct
from tests.fuzz.target import CLOSED, Target, refused, target
from tests.fuzz.targets.mls import NOW, SUITE, judged, scene
from tests.support.mls import bundle, keys

KINDS = (ContentType.APPLICATION, ContentType.PROPOSAL, ContentType.COMMIT)
RAW, PUBLIC = 4, 8  # flags beside the kind in an input's first byte


def without(value: Any, **changes: Any) -> Any:
    """The struct with other fields and no memory of its wire form."""
    return type(value)(**{**{name: part for name, part in value.__dict__.items() if name != "_wire"}, **changes})


def sealed(group: Group, kind: ContentType, plaintext: bytes) -> bytes:
    """§6.3: a PrivateMessage of this member with any plaintext at all."""
    state, leaf = group.state, group.own_leaf
    generation = group.ratchets.next_generation(leaf, kind)
    _, key = group.ratchets.take(SUITE, leaf, kind, generation)
    aad = PrivateContentAAD(group.group_id, group.epoch, kind, b"").encode()
    body = SUITE.aead_seal(key.key, _guarded(key.nonce, 7), aad, plaintext)
    data_key, data_nonce = sender_data_key(SUITE, state.secrets.sender_data, body)
    data_aad = SenderDataAAD(group.group_id, group.epoch, kind).encode()
    sender = SUITE.aead_seal(data_key, data_nonce, data_aad, SenderData(leaf, generation, 7).encode())
    return encode_message(PrivateMessage(group.group_id, group.epoch, kind, b"", sender, body))


def parsed(kind: ContentType, data: bytes) -> bytes | Proposal | Commit:
    match kind:
        case ContentType.APPLICATION:
            return data
        case ContentType.PROPOSAL:
            return Proposal.decode(data)
        case ContentType.COMMIT:
            return Commit.decode(data)


def spoken(group: Group, data: bytes) -> bytes:
    """A member's message: the first byte says of which kind and in which envelope, the rest is the content."""
    first = data[0] if data else 0
    kind = KINDS[first % 4 % 3]
    try:
        if first & RAW:
            raise Malformed("as it is")
        content = parsed(kind, data[1:])
    except Malformed:  # nothing that could be signed: sealed as it is
        return sealed(group, kind, data[1:])
    open_air = bool(first & PUBLIC) and kind is not ContentType.APPLICATION
    form = WireFormat.PUBLIC_MESSAGE if open_air else WireFormat.PRIVATE_MESSAGE
    frame = framed(group.group_id, group.epoch, Sender.member(group.own_leaf), b"", content)
    context = group.state.context.encode()
    signature = sign(SUITE, group.state.signing, form, frame, context)
    tag = bytes(SUITE.hash_length) if kind is ContentType.COMMIT else None
    message = AuthenticatedContent(form, frame, FramedContentAuthData(signature, tag))
    if open_air:
        return encode_message(show(SUITE, group.state.secrets.membership_key, message, context))
    return sealed(group, kind, bytes(pack_private(message, 0)))


def contents() -> tuple[bytes, ...]:
    """What members said in the scene, taken out of its envelopes, as inputs."""
    bob, found = scene().bob, []
    for said in scene().said:
        body = MLSMessage.decode(said).body
        if isinstance(body, PrivateMessage):
            sender = open_sender(SUITE, bob.state.secrets.sender_data, body)
            _, key = bob.ratchets.take(SUITE, LeafIndex(sender.leaf_index), body.content_type, sender.generation)
            content = open_content(SUITE, key, sender, body).claim.content
        else:
            content = body.content  # the scene's messages are one or the other
        inside = content.content if isinstance(content.content, bytes) else content.content.encode()
        kind = KINDS.index(content.content_type)
        found += [bytes([kind]) + inside, bytes([kind | PUBLIC]) + inside]
    return (*found, bytes([RAW | 1]) + b"\x00\x03", bytes([RAW | 2]))


def of_content(data: bytes, random: Random) -> bytes:
    kind = KINDS[(data[0] if data else 0) % 4 % 3]
    if kind is ContentType.APPLICATION:
        return data[:1] + damaged(data[1:], random)
    return data[:1] + of_struct(Proposal if kind is ContentType.PROPOSAL else Commit)(data[1:], random)


@target("insider.message")
def message() -> Target:
    """Proposals and commits by a member; the tag of a commit is wrong, so what is reached is all that comes before."""
    alice, bob = scene().alice, scene().bob
    return Target(lambda data: judged(bob, spoken(alice, data)), contents(), of_content)


@target("insider.reference")
def reference() -> Target:
    """A commit over proposals that were sent before it, each of them the fuzzer's: two inputs, one after the other."""
    alice, bob, carol = scene().alice, scene().bob, scene().carol

    def run(data: bytes) -> None:
        size = int.from_bytes(data[:2], "big")
        proposal = spoken(carol, b"\1" + data[2 : 2 + size])
        outcome = bob.receive(proposal)
        after = getattr(outcome, "group", bob)
        own = alice.receive(proposal)
        refs = [kept.ref for kept in after.pending]
        if own_group := getattr(own, "group", None):
            with refused(*CLOSED):
                judged(after, own_group.commit(by_reference=refs).commit)
        judged(after, spoken(alice, b"\2" + data[2 + size :]))

    inside = [each[1:] for each in contents() if each[0] == 1]
    commits = [each[1:] for each in contents() if each[0] == 2]
    seeds = tuple(len(each).to_bytes(2, "big") + each + commits[0] for each in inside)

    def form(data: bytes, random: Random) -> bytes:
        size = int.from_bytes(data[:2], "big")
        first, second = data[2 : 2 + size], data[2 + size :]
        if random.random() < 0.8:
            first = of_struct(Proposal)(first, random)[:65535]
        else:
            second = of_struct(Commit)(second, random)
        return len(first).to_bytes(2, "big") + first + second

    return Target(run, seeds, form)


@target("insider.key_package")
def key_package() -> Target:
    """A key package that its maker signed, leaf and all: taken by a joiner's admitter, then added by a commit."""
    mine, alice, bob = keys("mallory", SUITE), scene().alice, scene().bob
    signing = SUITE.signature.load(mine.signature_private)

    def run(data: bytes) -> None:
        with refused(*CLOSED):
            package = KeyPackage.decode(data)
            leaf: LeafNode = without(package.leaf_node, signature_key=signing.public, signature=b"").signed(
                SUITE, signing
            )
            unsigned = without(package, leaf_node=leaf, signature=b"")
            signature = sign_with_label(SUITE, signing, "KeyPackageTBS", unsigned.to_be_signed())
            package = KeyPackage.decode(without(unsigned, signature=signature).encode())
            check_key_package(SUITE, package, NOW)
            judged(bob, alice.commit(adds=[package]).commit)

    return Target(run, (scene().newcomer.key_package.encode(),), of_struct(KeyPackage))


class Joining:
    """What stands in the scene's Welcome, opened by the newcomer."""

    def __init__(self) -> None:
        body: Any = MLSMessage.decode(scene().add.welcomes[0]).body
        newcomer = scene().newcomer
        self.reference = newcomer.reference(SUITE)
        self.init_key = newcomer.key_package.init_key
        self.sealed_info: bytes = body.encrypted_group_info
        self.secrets = open_secrets(SUITE, newcomer.init_private, body.secrets_for(self.reference), self.sealed_info)
        none = Secret(bytes(SUITE.hash_length))
        self.welcome_secret = Intermediate.of(SUITE, self.secrets.joiner_secret, none).welcome_secret
        self.info = open_group_info(SUITE, self.welcome_secret, self.sealed_info)

    def welcome(self, secrets: bytes, info: bytes) -> bytes:
        """A Welcome with these plaintexts."""
        key, nonce = welcome_key(SUITE, self.welcome_secret)
        sealed_info = SUITE.aead_seal(key, nonce, b"", info)
        raw: Any = _Bytes(secrets)
        entry = seal_secrets(SUITE, self.reference, self.init_key, raw, sealed_info)
        return encode_message(gathered(SUITE, [entry], sealed_info))


class _Bytes(bytes):
    """Bytes where a struct is encoded."""

    def encode(self) -> bytes:
        return self


@cache
def joining() -> Joining:
    return Joining()


@target("insider.welcome")
def welcome() -> Target:
    """First byte 0: the group secrets are altered, 1: the group info, which is signed anew where it parses."""
    alice, honest = scene().alice, joining()

    def run(data: bytes) -> None:
        secrets, info = honest.secrets.encode(), honest.info.encode()
        if data[:1] == b"\0":
            secrets = data[1:]
        else:
            info = resigned(alice, data[1:])
        with refused(*CLOSED):
            Group.join(honest.welcome(secrets, info), scene().newcomer, now=NOW)

    def form(data: bytes, random: Random) -> bytes:
        inner = of_struct(GroupSecrets if data[:1] == b"\0" else GroupInfo)
        return data[:1] + inner(data[1:], random)

    return Target(run, (b"\0" + honest.secrets.encode(), b"\1" + honest.info.encode()), form)


def resigned(signer: Group, data: bytes) -> bytes:
    """A group info under the right signature, where it is one at all."""
    try:
        info = GroupInfo.decode(data)
    except Malformed:
        return data
    return GroupInfo.signed(
        SUITE, signer.state.signing, info.group_context, info.extensions, info.confirmation_tag, info.signer
    ).encode()


@target("insider.group_info")
def group_info() -> Target:
    """For one who joins from outside: signed by a member, and not of the group's making."""
    alice, mine = scene().alice, keys("gina", SUITE)

    def run(data: bytes) -> None:
        with refused(*CLOSED):
            info = GroupInfo.decode(resigned(alice, data))
            Group.join_from_outside(SUITE, encode_message(info), mine)

    body: Any = MLSMessage.decode(alice.group_info()).body
    return Target(run, (body.encode(),), of_struct(GroupInfo))


@target("insider.outsider")
def outsider() -> Target:
    """Who isn't a member and may speak all the same. First byte 0: a newcomer's proposal, 1: an external sender's, 2: a
    newcomer's commit; each is signed by whoever it names, where that can be done with a key of ours."""
    mallory, sender = keys("mallory", SUITE), keys("office", SUITE)
    signing, office = (SUITE.signature.load(each.signature_private) for each in (mallory, sender))
    listed = ExternalSenders((ExternalSender(office.public, Credential.of(sender.credential)),))
    first = Group.create(
        SUITE,
        b"a group with an office",
        keys("alice", SUITE),
        now=NOW,
        extensions=(Extension(ExtensionType.EXTERNAL_SENDERS, listed.encode()),),
    )
    newcomer = bundle("bob", SUITE)
    step = first.commit(adds=[newcomer.key_package])
    alice, bob = step.next, Group.join(step.welcomes[0], newcomer, now=NOW)
    _, commit = Group.join_from_outside(SUITE, alice.group_info(), mallory)

    def said(kind: int, content: Proposal | Commit) -> bytes:
        who = (SenderType.NEW_MEMBER_PROPOSAL, SenderType.EXTERNAL, SenderType.NEW_MEMBER_COMMIT)[kind]
        index = 0 if who is SenderType.EXTERNAL else None
        frame = framed(alice.group_id, alice.epoch, Sender(who, index), b"", content)
        key = office if who is SenderType.EXTERNAL else signing
        signature = sign(SUITE, key, WireFormat.PUBLIC_MESSAGE, frame, alice.state.context.encode())
        tag = bytes(SUITE.hash_length) if isinstance(content, Commit) else None
        auth = FramedContentAuthData(signature, tag)
        return encode_message(PublicMessage(frame, auth, None))

    def ours(package: KeyPackage) -> KeyPackage:
        leaf: LeafNode = without(package.leaf_node, signature_key=signing.public, signature=b"").signed(SUITE, signing)
        unsigned = without(package, leaf_node=leaf, signature=b"")
        signature = sign_with_label(SUITE, signing, "KeyPackageTBS", unsigned.to_be_signed())
        return KeyPackage.decode(without(unsigned, signature=signature).encode())

    def run(data: bytes) -> None:
        kind = (data[0] if data else 0) % 3
        try:
            content = Commit.decode(data[1:]) if kind == 2 else Proposal.decode(data[1:])
            if isinstance(content, Proposal) and isinstance(content.body, Add):
                content = Proposal.of(Add(ours(content.body.key_package)))
            elif isinstance(content, Commit) and content.path is not None:
                leaf = without(content.path.leaf_node, signature_key=signing.public, signature=b"")
                leaf = leaf.signed(SUITE, signing, alice.group_id, LeafIndex(2))
                content = Commit(content.proposals, without(content.path, leaf_node=leaf))
        except Malformed:
            return
        judged(bob, said(kind, content))

    body: Any = MLSMessage.decode(commit).body
    proposals = (Proposal.of(Add(bundle("mallory", SUITE).key_package)), Proposal.of(Remove(LeafIndex(1))))
    seeds = [bytes([kind]) + each.encode() for each in proposals for kind in (0, 1)]
    seeds += [bytes([1]) + each[1:] for each in contents() if each[0] == 1]
    return Target(run, (*seeds, b"\2" + body.content.content.encode()), outside)


def outside(data: bytes, random: Random) -> bytes:
    return data[:1] + of_struct(Commit if data[:1] == b"\2" else Proposal)(data[1:], random)
