"""§6: every official message decodes, is what it says, and encodes to the same bytes."""

from __future__ import annotations

import pytest

from securechan.codec import Struct
from securechan.crypto.suite import SUITES
from securechan.errors import Malformed
from securechan.mls.framing import PrivateMessage, PublicMessage
from securechan.mls.keypackage import KeyPackage
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.proposals import (
    Add,
    Commit,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    ReInit,
    Remove,
    Update,
)
from securechan.mls.registry import ContentType
from securechan.mls.tree import RatchetTree
from securechan.mls.welcome import GroupInfo, GroupSecrets, Welcome
from tests.support.mls import cases, unhex
from tests.support.strategies import rebuilt

MESSAGES: dict[str, tuple[type[Struct], ContentType | None]] = {
    "mls_welcome": (Welcome, None),
    "mls_group_info": (GroupInfo, None),
    "mls_key_package": (KeyPackage, None),
    "public_message_application": (PublicMessage, ContentType.APPLICATION),
    "public_message_proposal": (PublicMessage, ContentType.PROPOSAL),
    "public_message_commit": (PublicMessage, ContentType.COMMIT),
    "private_message": (PrivateMessage, None),
}
STRUCTS: dict[str, type[Struct]] = {
    "group_secrets": GroupSecrets,
    "add_proposal": Add,
    "update_proposal": Update,
    "remove_proposal": Remove,
    "pre_shared_key_proposal": PreSharedKey,
    "re_init_proposal": ReInit,
    "external_init_proposal": ExternalInit,
    "group_context_extensions_proposal": GroupContextExtensions,
    "commit": Commit,
}


def test_official_messages() -> None:
    suite = SUITES["hybrid"]  # any: the structure of a tree doesn't depend on it
    for case in cases("messages"):
        assert set(case) == {*MESSAGES, *STRUCTS, "ratchet_tree"}
        for name, (kind, content_type) in MESSAGES.items():
            body = MLSMessage.decode(unhex(case[name])).body
            assert type(body) is kind
            assert encode_message(body).hex() == case[name]
            if content_type is not None:
                assert isinstance(body, PublicMessage)
                assert body.content.content_type is content_type
        for name, struct in STRUCTS.items():
            assert rebuilt(struct.decode(unhex(case[name]))).encode().hex() == case[name]
        assert RatchetTree.decode(suite, unhex(case["ratchet_tree"])).encode().hex() == case["ratchet_tree"]


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x01", b"\x00\x02\x00\x01", b"\x00\x01\x00\x09", b"\x00\x01\x00\x01\x00"], ids=bytes.hex
)
def test_what_is_no_message_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        MLSMessage.decode(data)
