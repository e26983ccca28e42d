"""RFC 9420 §6: ``MLSMessage``, the one outermost form of everything that MLS puts on a wire."""

from __future__ import annotations

from typing import Annotated

from securechan.codec import Struct, select
from securechan.mls.framing import PrivateMessage, PublicMessage
from securechan.mls.keypackage import KeyPackage
from securechan.mls.registry import ProtocolVersion, WireFormat
from securechan.mls.welcome import GroupInfo, Welcome

Body = PublicMessage | PrivateMessage | Welcome | GroupInfo | KeyPackage

_KINDS = {
    PublicMessage: WireFormat.PUBLIC_MESSAGE,
    PrivateMessage: WireFormat.PRIVATE_MESSAGE,
    Welcome: WireFormat.WELCOME,
    GroupInfo: WireFormat.GROUP_INFO,
    KeyPackage: WireFormat.KEY_PACKAGE,
}


class MLSMessage(Struct):
    """§6."""

    version: ProtocolVersion
    wire_format: WireFormat
    body: Annotated[
        Body,
        select(
            "wire_format",
            {
                WireFormat.PUBLIC_MESSAGE: PublicMessage,
                WireFormat.PRIVATE_MESSAGE: PrivateMessage,
                WireFormat.WELCOME: Welcome,
                WireFormat.GROUP_INFO: GroupInfo,
                WireFormat.KEY_PACKAGE: KeyPackage,
            },
        ),
    ]

    @classmethod
    def of(cls, body: Body) -> MLSMessage:
        return cls(ProtocolVersion.MLS10, _KINDS[type(body)], body)


def encode_message(body: Body) -> bytes:
    """The wire form of one message."""
    return MLSMessage.of(body).encode()
