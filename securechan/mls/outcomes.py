"""What may come of a message: a closed set, so that whoever receives one can't forget a case.

bytes ─► receive ─┬─► Application, Proposed, Committed    a next group to adopt
                  ├─► Removed                             this member is out
                  ├─► Own                                 its own message came back
                  ├─► Past, Future                        of another epoch: not judged
                  ├─► Void                                every member refuses it alike
                  └─► CannotFollow                        nothing public speaks against it, but it's lost on me
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from securechan.mls.apply import Change
from securechan.mls.commit import Effects
from securechan.mls.nodes import LeafNode
from securechan.mls.proposals import Proposal
from securechan.mls.registry import ContentType, SenderType
from securechan.mls.treemath import LeafIndex

if TYPE_CHECKING:
    from securechan.mls.group import Group


@dataclass(frozen=True, slots=True)
class Application:
    """A payload, decrypted and its signature verified; ``group`` no longer holds its key."""

    group: Group
    sender: LeafIndex
    plaintext: bytes
    authenticated_data: bytes
    generation: int
    epoch: int  # in which it was sent: an earlier one than the group's only where past epochs are kept
    leaf_node: LeafNode = field(repr=False)  # the sender's, as it was in that epoch


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal that a later commit may refer to; ``sender`` is None where it came from outside."""

    group: Group
    sender: LeafIndex | None
    proposal: Proposal
    ref: bytes
    authenticated_data: bytes


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit of this epoch; ``group`` stands in the next."""

    group: Group
    committer: LeafIndex
    added: tuple[LeafIndex, ...]
    removed: tuple[tuple[LeafIndex, bytes], ...]  # with the identities that stood there
    updated: tuple[Change, ...]  # leaves renewed by proposal or by the path; who may change what is the caller's to say
    extensions_changed: bool
    authenticated_data: bytes
    has_path: bool
    external: bool  # the committer joined with it
    effects: Effects | None = field(default=None, compare=False, repr=False)  # for those who judge by more than MLS


@dataclass(frozen=True, slots=True)
class Removed:
    """A commit, valid as far as those who leave can see, by which this member is no longer one."""

    committer: LeafIndex
    authenticated_data: bytes
    has_path: bool
    effects: Effects | None = field(default=None, compare=False, repr=False)  # for those who judge by more than MLS


@dataclass(frozen=True, slots=True)
class Own:
    """This member's own message. A commit of one's own isn't processed but adopted as the `Step` that made it.

    ``proven``: the message verifies under our own key and has a generation that this state never used: so this state
    isn't the newest (a restored backup or a clone), unless it said just that before: the signature covers no
    generation, so any member can seal anew what this one signed in the epoch. Where it is False the bytes alone must
    tell, since a spent key is gone and any member can *claim* to be us in what it seals.
    """

    content_type: ContentType
    generation: int | None  # None in a PublicMessage
    proven: bool
    plaintext: bytes | None = None  # the payload, where it verified and is one
    authenticated_data: bytes = b""  # likewise


@dataclass(frozen=True, slots=True)
class Past:
    """A message of an epoch that is closed and not kept, or a proposal or commit that is too late for its epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Future:
    """A message of an epoch that isn't open yet."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Void:
    """Refused on grounds that all members of the epoch share; ``signer`` is the member who signed it, if one did."""

    reason: str
    rule: str
    signer: LeafIndex | None


@dataclass(frozen=True, slots=True)
class CannotFollow:
    """A commit that opens the next epoch for others, as far as can be seen, but whose secrets don't reach this member.

    ``signer`` is the member who signed it, None for one from outside.
    """

    reason: str
    signer: LeafIndex | None
    authenticated_data: bytes
    has_path: bool
    effects: Effects | None = field(default=None, compare=False, repr=False)  # for those who judge by more than MLS
    rule: str = ""


Outcome = Application | Proposed | Committed | Removed | Own | Past | Future | Void | CannotFollow


@dataclass(frozen=True, slots=True)
class Peek:
    """What the outside of a message shows to all, keys or not. Believe it only once the message was received."""

    group_id: bytes
    epoch: int
    content_type: ContentType
    authenticated_data: bytes
    sender_type: SenderType | None  # None where it is sealed
