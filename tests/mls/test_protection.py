"""§6.1–§6.3: the official protected messages, and that each layer of protection is checked on its own."""

from __future__ import annotations

from typing import Any

import pytest

from securechan.codec import Struct
from securechan.crypto.secret import Secret
from securechan.crypto.suite import Suite
from securechan.errors import BadSignature, CannotOpen, Malformed, Misuse
from securechan.mls.framing import (
    AuthenticatedContent,
    FramedContentAuthData,
    PrivateMessage,
    PublicMessage,
    Sender,
    pack_private,
)
from securechan.mls.message import MLSMessage
from securechan.mls.proposals import Commit, Proposal
from securechan.mls.protection import (
    Verified,
    authenticated,
    framed,
    open_content,
    open_sender,
    read,
    seal,
    show,
    sign,
)
from securechan.mls.ratchets import Ratchets
from securechan.mls.registry import ContentType, WireFormat
from securechan.mls.treemath import LeafIndex
from tests.support.mls import FAST, RFC_SUITES, context_of, of_suite, unhex

SENDER = LeafIndex(1)
DATA = Secret(bytes(FAST.hash_length))


def opened(suite: Suite, case: dict[str, Any], message: bytes, context: bytes) -> Verified:
    """A message of the vectors, through whichever envelope, verified."""
    public = unhex(case["signature_pub"])
    body = MLSMessage.decode(message).body
    if isinstance(body, PublicMessage):
        return read(suite, unhex(case["membership_key"]), body, context).verify(suite, public, context)
    assert isinstance(body, PrivateMessage)
    sender = open_sender(suite, unhex(case["sender_data_secret"]), body)
    ratchets = Ratchets.start(2, Secret(unhex(case["encryption_secret"])))
    _, key = ratchets.take(suite, SENDER, body.content_type, sender.generation)
    return open_content(suite, key, sender, body).verify(suite, public, context)


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_vectors(number: int) -> None:
    for suite, case in of_suite("message-protection", number):
        context = context_of(suite, case, case["epoch"], case["tree_hash"], case["confirmed_transcript_hash"]).encode()
        wanted: dict[str, bytes | Struct] = {
            "application": unhex(case["application"]),
            "proposal": Proposal.decode(unhex(case["proposal"])),
            "commit": Commit.decode(unhex(case["commit"])),
        }
        for kind, content in wanted.items():
            for envelope in ("priv", "pub"):
                if kind == "application" and envelope == "pub":
                    continue
                verified = opened(suite, case, unhex(case[f"{kind}_{envelope}"]), context)
                assert verified.content.content == content
                assert verified.content.sender == Sender.member(SENDER)
            # and our own messages of the same content, opened with the same keys
            key = unhex(case["signature_priv"]).rjust(suite.signature.private_length, b"\0")
            for form in WireFormat.PUBLIC_MESSAGE, WireFormat.PRIVATE_MESSAGE:
                if kind == "application" and form is WireFormat.PUBLIC_MESSAGE:
                    continue
                body = framed(unhex(case["group_id"]), case["epoch"], Sender.member(SENDER), b"aad", content)
                tag = b"tag" if kind == "commit" else None
                signed = FramedContentAuthData(sign(suite, key, form, body, context), tag)
                message = AuthenticatedContent(form, body, signed)
                wire: PublicMessage | PrivateMessage
                if form is WireFormat.PUBLIC_MESSAGE:
                    wire = show(suite, unhex(case["membership_key"]), message, context)
                else:
                    ratchets = Ratchets.start(2, Secret(unhex(case["encryption_secret"])))
                    _, wire = seal(suite, unhex(case["sender_data_secret"]), ratchets, SENDER, message, 17)
                assert opened(suite, case, MLSMessage.of(wire).encode(), context).message == message


def sealed(content: bytes = b"payload", padding: int = 0) -> tuple[PrivateMessage, bytes]:
    """A private message of ours, and the public key it verifies under."""
    private, public = FAST.signature.generate()
    body = framed(b"group", 3, Sender.member(SENDER), b"aad", content)
    message = authenticated(FAST, private, WireFormat.PRIVATE_MESSAGE, body, b"context")
    return seal(FAST, DATA, Ratchets.start(2, DATA), SENDER, message, padding)[1], public


def unsealed(message: PrivateMessage) -> Verified | None:
    sender = open_sender(FAST, DATA, message)
    _, key = Ratchets.start(2, DATA).take(FAST, LeafIndex(sender.leaf_index), message.content_type, sender.generation)
    return open_content(FAST, key, sender, message)  # left unverified on purpose


def test_each_message_has_a_guard_of_its_own() -> None:
    """§6.3.1: a value that is used again by mistake seals with the same key, and yet not with the same nonce."""
    private, _ = FAST.signature.generate()
    body = framed(b"group", 3, Sender.member(SENDER), b"", b"payload")
    message = authenticated(FAST, private, WireFormat.PRIVATE_MESSAGE, body, b"context")
    ratchets = Ratchets.start(2, DATA)
    sent = [seal(FAST, DATA, ratchets, SENDER, message, 0)[1] for _ in range(4)]
    senders = [open_sender(FAST, DATA, each) for each in sent]
    assert {sender.generation for sender in senders} == {0}
    assert len({sender.reuse_guard for sender in senders}) == len({each.ciphertext for each in sent}) == len(sent)


def test_padding_changes_the_length_and_nothing_else() -> None:
    bare, _ = sealed()
    padded, public = sealed(padding=1000)
    assert len(padded.ciphertext) == len(bare.ciphertext) + 1000
    verified = unsealed(padded)
    assert verified is not None
    assert verified.verify(FAST, public, b"context").content.content == b"payload"  # left unverified on purpose


def test_padding_that_is_not_zero_is_malformed() -> None:
    private, _ = FAST.signature.generate()
    body = framed(b"group", 3, Sender.member(SENDER), b"", b"payload")
    message = authenticated(FAST, private, WireFormat.PRIVATE_MESSAGE, body, b"context")
    ratchets = Ratchets.start(2, DATA)
    _, wire = seal(FAST, DATA, ratchets, SENDER, message, 0)
    sender = open_sender(FAST, DATA, wire)
    _, key = ratchets.take(FAST, SENDER, ContentType.APPLICATION, 0)
    from securechan.mls.framing import PrivateContentAAD
    from securechan.mls.protection import _guarded

    aad = PrivateContentAAD(wire.group_id, wire.epoch, wire.content_type, wire.authenticated_data).encode()
    dirty = FAST.aead_seal(key.key, _guarded(key.nonce, sender.reuse_guard), aad, pack_private(message, 3) + b"\x01")
    with pytest.raises(Malformed, match="padding"):
        open_content(
            FAST,
            key,
            sender,
            PrivateMessage(
                wire.group_id, wire.epoch, wire.content_type, wire.authenticated_data, wire.encrypted_sender_data, dirty
            ),
        )


def test_every_part_of_a_private_message_is_bound() -> None:
    wire, _ = sealed()
    for name, other in (
        ("group_id", b"other"),
        ("epoch", 4),
        ("content_type", ContentType.COMMIT),
        ("authenticated_data", b"else"),
        ("encrypted_sender_data", bytes(len(wire.encrypted_sender_data))),
        ("ciphertext", wire.ciphertext[:-1] + bytes([wire.ciphertext[-1] ^ 1])),
    ):
        changed = PrivateMessage(**{**wire.__dict__, name: other})
        with pytest.raises(CannotOpen):
            unsealed(changed)


def test_a_signature_is_of_one_epoch_and_one_wire_format() -> None:
    private, public = FAST.signature.generate()
    body = framed(b"group", 3, Sender.member(SENDER), b"", Commit((), None))
    signature = sign(FAST, private, WireFormat.PUBLIC_MESSAGE, body, b"context")
    auth = FramedContentAuthData(signature, b"tag")
    message = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, body, auth)
    shown = show(FAST, b"membership key", message, b"context")
    read(FAST, b"membership key", shown, b"context").verify(FAST, public, b"context")
    with pytest.raises(CannotOpen):
        read(FAST, b"membership key", shown, b"another epoch")
    with pytest.raises(CannotOpen):
        read(FAST, b"another key", shown, b"context")
    with pytest.raises(BadSignature):
        read(FAST, b"membership key", shown, b"context").verify(FAST, public, b"another epoch")


def test_application_data_is_never_shown() -> None:
    private, _ = FAST.signature.generate()
    body = framed(b"group", 3, Sender.member(SENDER), b"", b"payload")
    message = authenticated(FAST, private, WireFormat.PUBLIC_MESSAGE, body, b"context")
    with pytest.raises(Misuse):
        show(FAST, b"membership key", message, b"context")
    with pytest.raises(CannotOpen):
        read(FAST, b"membership key", PublicMessage(body, message.auth, b"tag"), b"context")
