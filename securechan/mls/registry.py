"""RFC 9420 §17: the code points that MLS defines, and which of them every implementation is held to know.

Closed sets are enumerations: an unknown value cannot be parsed on. Open sets are plain numbers, since unknown ones
(among them GREASE, §13.5) are passed over.
"""

from __future__ import annotations

from typing import Final

from securechan.codec import Enum8, Enum16


class ProtocolVersion(Enum16):
    """§6."""

    MLS10 = 1


class WireFormat(Enum16):
    """§17.2."""

    PUBLIC_MESSAGE = 1
    PRIVATE_MESSAGE = 2
    WELCOME = 3
    GROUP_INFO = 4
    KEY_PACKAGE = 5


class ContentType(Enum8):
    """§6."""

    APPLICATION = 1
    PROPOSAL = 2
    COMMIT = 3


class SenderType(Enum8):
    """§6: who speaks; everyone but a member speaks in the clear."""

    MEMBER = 1
    EXTERNAL = 2
    NEW_MEMBER_PROPOSAL = 3
    NEW_MEMBER_COMMIT = 4


class NodeType(Enum8):
    """§7.8."""

    LEAF = 1
    PARENT = 2


class LeafNodeSource(Enum8):
    """§7.2: by which act a leaf node came to be."""

    KEY_PACKAGE = 1
    UPDATE = 2
    COMMIT = 3


class ProposalOrRefType(Enum8):
    """§12.4."""

    PROPOSAL = 1
    REFERENCE = 2


class PSKType(Enum8):
    """§8.4."""

    EXTERNAL = 1
    RESUMPTION = 2


class ResumptionUsage(Enum8):
    """§8.4."""

    APPLICATION = 1
    REINIT = 2
    BRANCH = 3


class ProposalType:
    """§17.4: an open set."""

    ADD: Final = 1
    UPDATE: Final = 2
    REMOVE: Final = 3
    PSK: Final = 4
    REINIT: Final = 5
    EXTERNAL_INIT: Final = 6
    GROUP_CONTEXT_EXTENSIONS: Final = 7


class ExtensionType:
    """§17.3: an open set."""

    APPLICATION_ID: Final = 1
    RATCHET_TREE: Final = 2
    REQUIRED_CAPABILITIES: Final = 3
    EXTERNAL_PUB: Final = 4
    EXTERNAL_SENDERS: Final = 5


class CredentialType:
    """§17.5: an open set, of which these two can be parsed."""

    BASIC: Final = 1
    X509: Final = 2


DEFAULT_PROPOSALS: Final = frozenset(range(1, 8))  # §7.2: known to all, so never listed in capabilities
DEFAULT_EXTENSIONS: Final = frozenset(range(1, 6))
GREASE: Final = tuple(0x0A0A + 0x1010 * n for n in range(15))  # §13.5: meaningless, and to be ignored


def is_grease(value: int) -> bool:
    """Whether a 16-bit code point is one of those that exist to be ignored (§13.5)."""
    return value in GREASE
