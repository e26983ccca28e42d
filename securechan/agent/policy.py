"""What a conversation is, written into its GroupContext; and which commits it therefore allows.

Two questions, never mixed. *Who belongs* is answered by the policy together with trust, each member for itself, and
decides what it commits (membership.py). *Which commit counts* is answered here by the policy and the tree alone: every
member reaches the same verdict, whatever it thinks of anyone (SPEC.md, void rule).

    POLICY   GroupContext extension 0xF510: `Policy`
    OFFICER  leaf extension 0xF511: the officer ("liaison-1@cert-hr") whose device the leaf claims to be. Trust says
             whether that is so; a leaf that lies is put out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Final

from securechan.bulletin.tlp import Tlp
from securechan.codec import U32, Enum8, Struct, text, vec
from securechan.errors import Invalid, Malformed, SecurechanError
from securechan.mls.extensions import Extension, find
from securechan.mls.group import Group, Member
from securechan.trust.names import split_device, split_officer

POLICY: Final = 0xF510
OFFICER: Final = 0xF511

HOUR: Final = 3600
RENEWAL: Final = 7 * 24 * HOUR  # seconds between a member's own self-updates, by default
MAX_MEMBERS: Final = 1000
_TREES: Final = 64  # groups whose members, and policies, are remembered

AgencyName = Annotated[str, text(64)]
OfficerName = Annotated[str, text(160)]
Role = Annotated[str, text(32)]


class Kind(Enum8):
    """What people call it."""

    COMMUNITY = 1
    DIRECT = 2
    ROOM = 3


class AgencyScope(Struct):
    """Devices of an agency that have one of these roles; with no role named, all of them."""

    agency: AgencyName
    roles: Annotated[tuple[Role, ...], vec(1024)]


class Policy(Struct):
    """Who belongs: ``agencies``, or ``officers`` by name (never both). ``stewards`` are officers who may change it."""

    name: Annotated[str, text(64)]
    kind: Kind
    agencies: Annotated[tuple[AgencyScope, ...], vec(1 << 16)]
    officers: Annotated[tuple[OfficerName, ...], vec(1 << 16)]
    stewards: Annotated[tuple[OfficerName, ...], vec(1 << 14)]
    ceiling: Tlp
    renewal: U32  # seconds between a member's own self-updates

    @property
    def by_officer(self) -> bool:
        """Whether membership is a list of named officers."""
        return bool(self.officers)

    def extension(self) -> Extension:
        return Extension(POLICY, self.encode())

    def check(self) -> None:
        """Whether this can be a policy at all. Raises `Invalid`."""
        if not self.name.strip() or any(ord(c) < 32 for c in self.name):
            raise Invalid("a conversation needs a name of printable letters")
        if bool(self.agencies) == bool(self.officers):
            raise Invalid("a policy names agencies or officers, one of the two")
        if not self.stewards:
            raise Invalid("a conversation needs a steward", hint="name the officers who may change its policy")
        named = self.agency_names()
        if any(agency_of(steward) not in named for steward in self.stewards):
            raise Invalid("a steward must be of an agency that belongs")
        if self.kind is Kind.COMMUNITY and len(named) > 1 and len({agency_of(each) for each in self.stewards}) < 2:
            raise Invalid(
                "stewards of a community come from at least two agencies",
                hint="name one more: --steward officer@agency",
            )
        if not 60 <= self.renewal <= 90 * 24 * HOUR:
            raise Invalid("epoch keys are renewed after a minute at the earliest, after 90 days at the latest")

    def agency_names(self) -> frozenset[str]:
        """Every agency that can have a member."""
        return frozenset(scope.agency for scope in self.agencies) | {agency_of(each) for each in self.officers}


class Officer(Struct):
    """The content of a leaf's OFFICER extension."""

    address: OfficerName

    def extension(self) -> Extension:
        return Extension(OFFICER, self.encode())


def agency_of(name: str) -> str:
    """``cert-hr`` of an officer's address ``liaison-1@cert-hr`` or of a device's name ``cert-hr/laptop``."""
    return name.rpartition("@")[2] if "@" in name else name.partition("/")[0]


def policy_of(extensions: Sequence[Extension]) -> Policy:
    """The policy in a GroupContext. Raises `Invalid` or `Malformed`."""
    data = find(tuple(extensions), POLICY)
    if data is None:
        raise Invalid("a group without a policy is no conversation of ours")
    return _policy(data)


@lru_cache(maxsize=_TREES)
def _policy(data: bytes) -> Policy:
    """It is asked for many times an entry, and changes once a year."""
    policy = Policy.decode(data)
    policy.check()
    return policy


@dataclass(frozen=True, slots=True)
class Seat:
    """A member as its leaf presents it: a claim, until trust admits it."""

    leaf: int
    device: str
    officer: str
    key: bytes  # signature public key

    @property
    def agency(self) -> str:
        return agency_of(self.device)


def seat(member: Member) -> Seat:
    """Read a leaf. Raises `Invalid` or `Malformed` where it is none of ours."""
    try:
        device = member.identity.decode()
    except UnicodeDecodeError:
        raise Malformed("a member's identity is not UTF-8") from None
    data = find(member.leaf_node.extensions, OFFICER)
    if data is None:
        raise Invalid(f"the leaf of {device[:80]} names no officer")
    officer = Officer.decode(data).address
    # Names have one form and a length: whatever else a leaf says to be, trust could never know it.
    if split_device(device)[0] != split_officer(officer)[1]:
        raise Invalid(f"the leaf of {device} claims an officer of another agency")
    return Seat(int(member.leaf), device, officer, member.signature_key)


def seats(members: Sequence[Member]) -> dict[int, Seat]:
    """All members by leaf index; a leaf that can't be read has an empty device, which no trust view admits."""
    out: dict[int, Seat] = {}
    for member in members:
        try:
            out[int(member.leaf)] = seat(member)
        except SecurechanError:
            out[int(member.leaf)] = Seat(int(member.leaf), "", "", member.signature_key)
    return out


_remembered: dict[bytes, Mapping[int, Seat]] = {}


def seats_of(group: Group) -> Mapping[int, Seat]:
    """The members of a group by leaf. A tree is read once: its hash says everything about it."""
    found = _remembered.get(group.tree_hash)
    if found is None:
        while len(_remembered) >= _TREES:
            _remembered.pop(next(iter(_remembered)), None)
        found = _remembered[group.tree_hash] = MappingProxyType(seats(group.members()))
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit does, as everyone sees it: seats before and after, and the two policies."""

    committer: int
    before: Mapping[int, Seat]
    after: Mapping[int, Seat]
    added: tuple[int, ...]
    removed: tuple[int, ...]
    old: Policy
    new: Policy
    has_path: bool


def permit(change: Change) -> None:
    """Whether the policy allows a commit that is valid as MLS. Raises `Invalid`: then it is void for everyone."""
    if not change.has_path:
        raise Invalid("a commit without a path renews nothing", rule="void rule: path")
    by = change.before[change.committer]
    after = change.after.get(change.committer)
    if after is None or (after.device, after.officer) != (by.device, by.officer):
        raise Invalid("a committer changes its own name", rule="void rule: identity")
    if change.new != change.old and by.officer not in change.old.stewards:
        raise Invalid(f"{by.officer} is no steward, and changes the policy", rule="void rule: stewards")
    if change.new.kind is not change.old.kind or change.new.by_officer is not change.old.by_officer:
        raise Invalid("the kind of a conversation is for its life", rule="void rule: kind")
    if len(change.after) > MAX_MEMBERS:
        raise Invalid(f"more than {MAX_MEMBERS} members", rule="void rule: size")
    names = {seat.device for leaf, seat in change.after.items() if leaf not in change.added}
    for leaf in change.added:
        _may_enter(change.after[leaf], change.new, names)
        names.add(change.after[leaf].device)


def _may_enter(entering: Seat, policy: Policy, present: set[str]) -> None:
    if not entering.device:
        raise Invalid("an added leaf says not whose it is", rule="void rule: leaf")
    if entering.device in present:
        raise Invalid(f"{entering.device} has a leaf already", rule="void rule: one leaf a device")
    if policy.by_officer:
        if entering.officer not in policy.officers:
            raise Invalid(f"{entering.officer} does not belong", rule="void rule: who belongs")
    elif entering.agency not in policy.agency_names():
        raise Invalid(f"{entering.agency} does not belong", rule="void rule: who belongs")
