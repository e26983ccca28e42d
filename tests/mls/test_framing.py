"""§6: what frames refuse: unknown formats from outside, and messages of ours without the tag that they need."""

from __future__ import annotations

import pytest
from hypothesis import given

from securechan.errors import Malformed, Misuse
from securechan.mls.framing import (
    AuthenticatedContent,
    FramedContentAuthData,
    PrivateContentAAD,
    PrivateMessage,
    PublicMessage,
    Sender,
    SenderDataAAD,
)
from securechan.mls.proposals import Commit, Proposal, Remove
from securechan.mls.protection import framed
from securechan.mls.registry import SenderType, WireFormat
from securechan.mls.treemath import LeafIndex
from tests.support.strategies import strategies

MEMBER = Sender.member(LeafIndex(3))


def test_an_unknown_wire_format_is_malformed() -> None:
    content = framed(b"group", 1, MEMBER, b"", Proposal.of(Remove(LeafIndex(1))))
    message = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, content, FramedContentAuthData(b"signature"))
    wire = message.encode()
    assert AuthenticatedContent.decode(wire) == message
    with pytest.raises(Malformed, match="wire format"):
        AuthenticatedContent.decode(b"\x00\x09" + wire[2:])


def test_a_message_of_ours_has_the_tags_it_needs() -> None:
    commit = framed(b"group", 1, MEMBER, b"", Commit((), None))
    with pytest.raises(Misuse, match="confirmation tag"):
        AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, commit, FramedContentAuthData(b"signature")).encode()
    with pytest.raises(Misuse, match="membership tag"):
        PublicMessage(commit, FramedContentAuthData(b"signature", b"tag"), None).encode()


def test_only_members_have_leaves() -> None:
    assert MEMBER.leaf == 3
    assert Sender(SenderType.EXTERNAL, 3).leaf is None
    assert Sender(SenderType.NEW_MEMBER_COMMIT, None).leaf is None


@given(strategies(PrivateMessage))
def test_a_message_knows_what_authenticates_it(message: PrivateMessage) -> None:
    place = message.group_id, message.epoch, message.content_type
    assert message.sender_aad == SenderDataAAD(*place).encode()
    assert message.content_aad == PrivateContentAAD(*place, message.authenticated_data).encode()
