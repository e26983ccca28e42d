"""Who is in a mixed group, what they can do together, and whether they agree.

All members are behind the protocol of driver.py, ours included. One of ours, the *witness*, is asked for the tree, so
that a step which a peer is known to take its own way can be steered round or met (see `Can` in sides.py).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from securechan.mls.message import MLSMessage
from securechan.mls.tree import RatchetTree
from securechan.mls.welcome import GroupInfo
from tests.interop.sides import Here, Side, left_half_is_empty


@dataclass(eq=False, slots=True)
class Member:
    """One seat in the group, or one who was offered it."""

    name: str
    side: Side
    kp: str | None = None
    key_package: str = ""
    signature_priv: str | None = None
    group: str = ""
    leaf: int = -1

    def ask(self, cmd: str, **fields: Any) -> dict[str, Any]:
        return self.side.ask(cmd, group=self.group, **fields)

    def seated(self, answer: dict[str, Any]) -> None:
        self.group, self.leaf = answer["group"], answer["leaf"]
        self.name = answer.get("identity", self.name)

    def __str__(self) -> str:
        return f"{self.name[:12]}@{self.leaf} ({self.side.name})"


@dataclass(frozen=True, slots=True)
class Asked:
    """A proposal that all members hold and no commit has taken up yet."""

    kind: str
    by: Member | None  # None: the newcomer itself
    about: Member | None  # who is to be added, removed or renewed


@dataclass(slots=True)
class Company:
    """The group as it stands, and what was done in it."""

    suite: int
    sides: tuple[Side, ...]  # ours first
    chance: random.Random
    members: list[Member] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often an act, by its kind and the side of who did it."""

    def witness(self) -> Member:
        return next(member for member in self.members if member.side.name == "ours")

    def tree(self) -> RatchetTree:
        """The tree as our witness has it."""
        witness = self.witness()
        assert isinstance(witness.side.ask, Here)
        return witness.side.ask.driver.seats[witness.group].group.state.tree

    def all_can(self, what: str) -> bool:
        return all(getattr(member.side.can, what) for member in self.members) and all(
            getattr(side.can, what) for side in self.sides
        )

    def touched(self) -> set[Member]:
        """Who is renewed or removed by a proposal that waits: §12.2 wants one such a leaf."""
        return {each.about for each in self.asked if each.kind in {"update", "remove"} and each.about is not None}

    def committers(
        self,
        *,
        add: Sequence[Member] = (),
        remove: Sequence[Member] = (),
        psk: Sequence[str] = (),
    ) -> list[Member]:
        """Who can commit this and all that is asked for."""

        def can(member: Member) -> bool:
            able = member.side.can
            if member in self.touched() or (psk and not able.psk):
                return False
            if not able.many_at_once and (len(remove) > 1 or (add and remove)):
                return False
            if not able.renews and not add and not remove:
                return False
            return not remove or self.may_remove(member, remove)

        return [member for member in self.members if can(member)]

    def may_remove(self, by: Member, gone: Sequence[Member]) -> bool:
        able = by.side.can
        known = (member.side is by.side or member.name in self.heard for member in gone)
        return able.removes and (not able.heard_only or all(known))

    def can_go_without_path(self, add: Sequence[Member], remove: Sequence[Member], psk: Sequence[str]) -> bool:
        """§12.4: a commit of nothing but Adds and pre-shared keys."""
        return bool(add or psk) and not remove and all(each.kind in {"add", "psk"} for each in self.asked)

    def removable(self, count: int, by: Member | None = None) -> list[Member]:
        """Some members that can go: a member of ours stays, and the tree stays one that all can follow."""
        free = [member for member in self.members if member not in self.touched() and member is not self.witness()]
        free = [member for member in free if member is not by and (by is None or self.may_remove(by, [member]))]
        gone: list[Member] = []
        for member in self.chance.sample(free, len(free)):
            left = [each for each in self.members if each not in {*gone, member, *self.touched()}]
            mixed = any(each.side is member.side for each in left)  # the last of a side stays
            if len(gone) < count and len(left) >= 2 and mixed and not self.would_break([*gone, member]):
                gone.append(member)
        return gone

    def would_break(self, gone: Sequence[Member]) -> bool:
        """Whether a member's side derives another secret than the RFC's once these are gone (`Can.filtered_root`)."""
        if self.all_can("filtered_root"):
            return False
        leaving = {member.leaf for member in gone}
        leaving |= {each.about.leaf for each in self.asked if each.kind == "remove" and each.about is not None}
        return left_half_is_empty(self.tree(), leaving)

    def deliver(self, message: str, by: Member | None, kind: str) -> None:
        for member in self.members:
            if member is not by:
                self.take(member, message, kind)

    def take(self, member: Member, message: str, kind: str) -> None:
        answer = member.ask("process", message=message)
        assert answer["kind"] == kind, (str(member), answer["kind"], kind)

    def note(self, kind: str, who: Member, text: str) -> None:
        self.log.append(f"{who} {text}")
        self.counts[kind, who.side.name] += 1

    # --------------------------------------------------------------------------------------------------- the verdict

    def agree(self) -> None:
        """All members show the same epoch."""
        label, context = f"walk {self.chance.randrange(1000)}", self.chance.randbytes(5).hex()
        length = self.chance.choice((16, 32, 57))
        shown: dict[str, dict[Any, list[str]]] = {}
        for member in self.members:
            for what, value in self.evidence(member, label, context, length):
                shown.setdefault(what, {}).setdefault(value, []).append(str(member))
        for what, values in shown.items():
            assert len(values) == 1, f"{what} differs: {values}"

    def evidence(self, member: Member, label: str, context: str, length: int) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for what in member.side.can.evidence:
            match what:
                case "epoch_authenticator":
                    answer = member.ask("epoch_authenticator")
                    assert answer["leaf"] == member.leaf
                    found += [(what, answer[what]), ("epoch", answer["epoch"])]
                case "exporter":
                    secret = member.ask("export_secret", label=label, context=context, length=length)["secret"]
                    assert len(secret) == 2 * length
                    found.append((what, secret))
                case "members":
                    people = member.ask("members")["members"]
                    found.append((what, tuple((each["leaf"], each["signature_key"]) for each in people)))
                case "leaves":
                    found.append((what, self.leaves(member)))
                case "group_info":
                    found += self.group_info(member)
                case _:
                    found.append((what, member.ask(what)[what]))
        if member.side.name == "ours" and any("group_info" in side.can.evidence for side in self.sides):
            found += [*self.group_info(member), ("leaves", self.leaves(member))]
        return found

    def leaves(self, member: Member) -> tuple[int, ...]:
        return tuple(each["leaf"] for each in member.ask("members")["members"])

    def group_info(self, member: Member) -> list[tuple[str, Any]]:
        """What a signed group info says of the epoch: its context, and the tag that only its secrets make."""
        body = MLSMessage.decode(bytes.fromhex(member.ask("group_info")["group_info"])).body
        assert isinstance(body, GroupInfo)
        return [("group context", body.group_context.encode()), ("confirmation tag", body.confirmation_tag)]
