"""RFC 9420 §12.1.8: proposals by those who aren't members: external senders, and newcomers who ask to be added.

Both speak in the clear and sign for one epoch of one group. Members judge such a proposal like any other and take it up
in a commit by reference; whether a newcomer is welcome is the application's to say before it commits.
"""

from __future__ import annotations

from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import Misuse
from securechan.mls.framing import PublicMessage, Sender
from securechan.mls.keypackage import KeyPackageBundle
from securechan.mls.message import encode_message
from securechan.mls.proposals import EXTERNAL, Add, Body, Proposal
from securechan.mls.protection import authenticated, framed
from securechan.mls.registry import SenderType, WireFormat


def propose_from_outside(
    suite: Suite,
    group_id: bytes,
    epoch: int,
    index: int,
    key: bytes | SigningKey,
    body: Body,
    *,
    authenticated_data: bytes = b"",
) -> bytes:
    """A proposal by the external sender that stands at ``index`` in the group's ``external_senders``.

    Raises `Misuse` for a type of proposal that external senders may not make.
    """
    if not isinstance(body, EXTERNAL):
        raise Misuse(f"an external sender may not propose {type(body).__name__}")
    return _shown(suite, Sender(SenderType.EXTERNAL, index), group_id, epoch, key, body, authenticated_data)


def propose_self(
    suite: Suite, group_id: bytes, epoch: int, bundle: KeyPackageBundle, *, authenticated_data: bytes = b""
) -> bytes:
    """A newcomer's proposal to add itself; the Welcome that comes of it is for ``bundle``."""
    sender, body = Sender(SenderType.NEW_MEMBER_PROPOSAL, None), Add(bundle.key_package)
    return _shown(suite, sender, group_id, epoch, bundle.signature_private, body, authenticated_data)


def _shown(
    suite: Suite, sender: Sender, group_id: bytes, epoch: int, key: bytes | SigningKey, body: Body, data: bytes
) -> bytes:
    content = framed(group_id, epoch, sender, data, Proposal.of(body))
    message = authenticated(suite, key, WireFormat.PUBLIC_MESSAGE, content, b"")  # §6.1: no context is signed outside
    return encode_message(PublicMessage(message.content, message.auth, None))
