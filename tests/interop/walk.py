"""A random walk of one group through everything its members can do, with all of them asked after every step.

A step is a commit, a proposal, a join from outside, or a handful of application messages that reach each member in
another order and partly never. After it, all members must agree on epoch, epoch authenticator, an exported secret, tree
hash, tree and members, as far as each can show them (`Can.evidence`), and every plaintext is compared. What is chosen
comes from one seed; the keys are the members' own, so that a walk repeats its steps, not its bytes. A walk that fails
says its seed and all its steps.
"""

from __future__ import annotations

import random
from typing import Final

import pytest

from securechan.mls.treemath import LeafIndex
from tests.interop.company import Asked, Company, Member
from tests.interop.process import Refused
from tests.interop.sides import Side, any_tree, unmerged_leaves

CONTEXTS: Final = ([(3, "0000020001")], [(3, "000000")])
"""Two lists of extensions: required_capabilities that ask for basic credentials, and that ask for nothing (§11.1)."""


class Walk(Company):
    """``run`` takes the steps; `log` is what was done."""

    def __init__(self, suite: int, sides: tuple[Side, ...], seed: int, *, most: int = 9) -> None:
        super().__init__(suite, sides, random.Random(f"{sides[-1].name} 0x{suite:04x} {seed}"))
        self.seed = seed
        self.most = most
        self.made = 0

    # ----------------------------------------------------------------------------------------------------- the steps

    def run(self, steps: int) -> None:
        """Founds the group and takes so many steps; a failure carries the way that led to it."""
        try:
            self.found()
            while len(self.log) < steps:
                self.step()
            if self.asked:
                self.commit()
        except Exception as fault:
            way = "\n".join(f"{number:4}  {line}" for number, line in enumerate(self.log, 1))
            fault.add_note(f"suite 0x{self.suite:04x}, seed {self.seed}, after these steps:\n{way}")
            raise

    def step(self) -> None:
        here = len(self.members)
        weights = {
            self.talk: 0 if self.asked else 4,
            self.grow: 6 if here < 4 else 3 if here < self.most else 0,
            self.shrink: 0 if here < 4 else 3 if here < self.most else 6,
            self.renew: 3,
            self.propose: 4 if len(self.asked) < 4 else 0,
            self.commit: 6 if self.asked else 0,
            self.join_from_outside: 2 if here < self.most else 0,
            self.resync: 1,
            self.mix_psk: 2,
            self.race: 1,
            self.change_context: 1,
        }
        (act,) = self.chance.choices(list(weights), list(weights.values()))
        if not act():
            self.talk()
        self.agree()

    def found(self) -> None:
        founder = self.newcomer(self.chance.choice(self.sides), offered=False)
        founder.seated(founder.side.ask("create_group", suite=self.suite, identity=founder.name))
        self.members = [founder]
        self.note("create", founder, "founds the group")
        self.commit(founder, add=[self.newcomer(side) for side in self.sides])
        self.agree()

    def grow(self) -> bool:
        """Members added by value, often some of each side."""
        new = [self.newcomer(self.wanted()) for _ in range(self.chance.randint(1, 3))]
        picky = any(member.side.can.joins is not any_tree for member in new)
        if picky and not self.asked and self.chance.random() < 0.75:
            self.settle()
        return self.commit(add=new)

    def shrink(self) -> bool:
        """Members removed by value, sometimes others added in the same commit."""
        gone = self.removable(self.chance.randint(1, 3))
        new = [self.newcomer(self.wanted())] if self.chance.random() < 0.3 else []
        return bool(gone) and self.commit(add=new, remove=gone)

    def renew(self) -> bool:
        """A commit of nothing new: the committer's path, and whatever was proposed."""
        return self.commit()

    def mix_psk(self) -> bool:
        """A pre-shared key by value."""
        return self.all_can("psk") and self.commit(psk=[self.fresh_psk()])

    def change_context(self) -> bool:
        """§12.1.7: another list of GroupContext extensions, by whoever does that with a path."""
        able = [member for member in self.committers() if member.side.can.context]
        return bool(able) and self.commit(self.chance.choice(able), context=self.chance.choice(CONTEXTS))

    def race(self) -> bool:
        """Two commits for one epoch: the first to arrive counts, the other is dropped by whoever made it."""
        losers = [member for member in self.committers() if member.side.can.waits and member.side.can.renews]
        if len(losers) < 2:
            return False
        loser = self.chance.choice(losers)
        loser.ask("commit", merge=False, public=not loser.side.can.private)
        self.note("race", loser, "commits too late")
        winners = [member for member in self.committers() if member is not loser and member.side.can.renews]
        return self.commit(self.chance.choice(winners))

    def propose(self) -> bool:
        """A proposal by reference, from a member or from who wants to join."""
        if not self.all_can("by_reference"):
            return False
        kind = self.chance.choice(("add", "remove", "update", "psk", "join"))
        if kind == "join":
            return self.ask_to_join()
        able = [member for member in self.members if kind in member.side.can.proposals]
        if not able or (kind == "psk" and not self.all_can("psk")):
            return False
        by = self.chance.choice(able)
        public = self.in_the_open(by)
        about: Member | None = None
        match kind:
            case "add":
                about = self.newcomer(self.wanted())
                message = by.ask("propose_add", key_package=about.key_package, public=public)
            case "remove":
                about = next(iter(self.removable(1, by)), None)
                if about is None:
                    return False
                message = by.ask("propose_remove", leaf=about.leaf, public=public)
            case "update":
                if by in self.touched():
                    return False
                about = by
                message = by.ask("propose_update", public=public)
            case _:
                message = by.ask("propose_psk", psk_id=self.fresh_psk(), public=public)
        self.note(f"propose {kind}", by, f"proposes {kind} {about or ''}{self.openly(public)}")
        self.deliver(message["proposal"], by, "proposal")
        self.hear(by, public)
        self.asked.append(Asked(kind, by, about))
        return True

    def ask_to_join(self) -> bool:
        """§12.1.8: an Add whose sender is the newcomer."""
        able = [side for side in self.sides if side.can.asks_to_join]
        inviting = [member for member in self.members if member.side.can.invites]
        if not able or not inviting or not self.all_can("takes_strangers"):
            return False
        new = self.newcomer(self.chance.choice(able))
        info = self.chance.choice(inviting).ask("group_info")["group_info"]
        message = new.side.ask("external_propose_add", kp=new.kp, group_info=info)
        self.note("propose join", new, "asks to be added")
        self.deliver(message["proposal"], None, "proposal")
        self.asked.append(Asked("add", None, new))
        return True

    def join_from_outside(self) -> bool:
        """§12.4.3.2: an external commit with the group info of any member that gives one."""
        able = [side for side in self.sides if side.can.from_outside]
        inviting = [member for member in self.members if member.side.can.invites]
        if not able or not inviting:
            return False
        side, host = self.chance.choice(able), self.chance.choice(inviting)
        new = Member(self.name(side), side)
        fields, beside = self.invitation(host, side)
        refusal = self.refusal(side)
        self.note("external join", new, f"joins from outside by a group info of {host}{beside}")
        try:
            done = side.ask("external_join", suite=self.suite, identity=new.name, **fields)
        except Refused as fault:
            self.expect(refusal, fault)
            return True
        self.expect(refusal, None)
        new.seated(done)
        new.kp, new.signature_priv = done.get("kp"), done.get("signature_priv")
        self.deliver(done["commit"], None, "commit")
        self.asked = []
        self.members.append(new)
        return True

    def resync(self) -> bool:
        """§12.4.3.2: a member that lost its state comes back in place of its old leaf."""
        able = [member for member in self.members if member.side.can.resync and member.kp is not None]
        inviting = [member for member in self.members if member.side.can.invites]
        if not able:
            return False
        lost = self.chance.choice(able)
        hosts = [member for member in inviting if member is not lost]
        if not hosts or self.would_break([lost]):
            return False
        host = self.chance.choice(hosts)
        fields, beside = self.invitation(host, lost.side)
        refusal = self.refusal(lost.side)
        self.note("external resync", lost, f"comes back by a group info of {host}{beside}")
        try:
            done = lost.side.ask(
                "external_join",
                suite=self.suite,
                identity=lost.name,
                resync=True,
                leaf=lost.leaf,
                kp=lost.kp,
                **({} if lost.signature_priv is None else {"signature_priv": lost.signature_priv}),
                **fields,
            )
        except Refused as fault:
            self.expect(refusal, fault)
            return True
        self.expect(refusal, None)
        for member in self.members:
            if member is not lost:
                self.take(member, done["commit"], "commit")
        old = lost.group
        lost.seated(done)
        lost.side.ask("free", group=old)
        self.asked = []
        return True

    def talk(self) -> bool:
        """Messages of several members, each reaching everybody else in an order of its own; some never arrive."""
        if self.asked:  # §12.4: no messages until a commit takes them up
            return False
        said: list[tuple[Member, str, bytes, bytes]] = []
        for _ in range(self.chance.randint(1, 5)):
            who = self.chance.choice(self.members)
            plaintext = self.chance.randbytes(self.chance.choice((0, 1, 30, 300, 3000)))
            data = self.chance.randbytes(self.chance.choice((0, 9))) if self.all_can("authenticated_data") else b""
            fields = {"authenticated_data": data.hex()} if who.side.can.authenticated_data else {}
            message = who.ask("encrypt", plaintext=plaintext.hex(), **fields)["message"]
            said.append((who, message, plaintext, data))
        self.note("talk", said[0][0], f"and {len(said) - 1} more messages, in any order")
        for member in self.members:
            for who, message, plaintext, data in self.chance.sample(said, len(said)):
                if who is member or self.chance.random() < 0.1:
                    continue
                read = member.ask("process", message=message)
                assert read["kind"] == "application", (str(member), read)
                assert read["plaintext"] == plaintext.hex(), f"{member} reads something else than {who} wrote"
                if member.side.can.authenticated_data:
                    assert read["authenticated_data"] == data.hex(), str(member)
        return True

    # ---------------------------------------------------------------------------------------------------- the commit

    def commit(
        self,
        by: Member | None = None,
        *,
        add: list[Member] | None = None,
        remove: list[Member] | None = None,
        psk: list[str] | None = None,
        context: list[tuple[int, str]] | None = None,
    ) -> bool:
        """A commit of all that is asked for, and of proposals by value; False where nobody can make it."""
        add, remove, psk = add or [], remove or [], psk or []
        able = [by] if by is not None else self.committers(add=add, remove=remove, psk=psk)
        able = [member for member in able if member not in remove]
        if not able:
            return False
        by = self.chance.choice(able)
        joining = [*(each.about for each in self.asked if each.kind == "add" and each.about is not None), *add]
        leaving = [*(each.about for each in self.asked if each.kind == "remove" and each.about is not None), *remove]
        public = self.in_the_open(by)
        inside = self.chance.random() < 0.5 or any(not member.side.can.tree_beside for member in joining)
        inside = inside or not by.side.can.tree_beside
        done = by.ask(
            "commit",
            add=[member.key_package for member in add],
            remove=[member.leaf for member in remove],
            psk=psk,
            public=public,
            ratchet_tree_in_welcome=inside,
            path=self.chance.random() < 0.7 or context is not None or not self.can_go_without_path(add, remove, psk),
            **({} if context is None else {"extensions": context}),
        )
        what = [f"+{member}" for member in joining] + [f"-{member}" for member in leaving]
        what += [f"{each.kind} of {each.by}" for each in self.asked if each.kind in {"update", "psk"}]
        what += ["psk" for _ in psk] + ([] if context is None else ["other extensions"])
        parts = {"add": add, "remove": remove, "psk": psk, "context": context, "by reference": self.asked}
        kinds = [name for name, some in parts.items() if some]
        self.note(f"commit {', '.join(kinds) or 'update'}", by, f"commits {' '.join(what)}{self.openly(public)}")
        self.members = [member for member in self.members if member not in leaving]
        self.deliver(done["commit"], by, "commit")
        self.hear(by, public)
        for member in leaving:
            self.dismiss(member, done["commit"], has_heir=len(joining) > 0)
        self.asked = []
        welcomes = done.get("welcomes") or [done["welcome"]] * len(joining)
        invited = sorted(
            zip(joining, welcomes, strict=True), key=lambda one: one[0].side.name != "ours"
        )  # a witness first
        ghosts = [member for member, welcome in invited if not self.join(member, welcome, done.get("ratchet_tree"))]
        if ghosts:
            self.lay(ghosts)
        return True

    def dismiss(self, member: Member, commit: str, *, has_heir: bool) -> None:
        """Who was removed sees it; one side does not where its leaf has a new holder."""
        if has_heir and member.side.can.misses_its_successor and self.tree().leaf(LeafIndex(member.leaf)) is not None:
            with pytest.raises(Refused):
                member.ask("process", message=commit)
            self.counts["own removal missed", member.side.name] += 1
            return
        self.take(member, commit, "removed")

    def join(self, member: Member, welcome: str, beside: str | None) -> bool:
        """Whether the newcomer takes its seat; it may refuse a tree only as it is known to."""
        refusal = self.refusal(member.side)
        fields = {} if beside is None else {"ratchet_tree": beside}
        try:
            member.seated(member.side.ask("join", welcome=welcome, kp=member.kp, **fields))
        except Refused as fault:
            self.expect(refusal, fault)
            return False
        self.expect(refusal, None)
        self.members.append(member)
        return True

    def refusal(self, side: Side) -> str | None:
        """What the side says to the tree as it is, when it should join it; we join any (and may be the first of us)."""
        return None if side.name == "ours" else side.can.joins(self.tree())

    def expect(self, refusal: str | None, fault: Refused | None) -> None:
        """A known refusal must be met where it is known, with the known words, and nowhere else."""
        if fault is None:
            assert refusal is None, f"a peer has mended its ways and no longer says: {refusal}"
            return
        if refusal is None or refusal not in fault.error:
            raise fault
        self.counts["valid tree refused", self.sides[-1].name] += 1
        self.log[-1] += f"; refused: {refusal[:40]}…"

    def lay(self, ghosts: list[Member]) -> None:
        """Leaves whose holders refused the tree are removed again."""
        leaf = {member["signature_key"]: member["leaf"] for member in self.witness().ask("members")["members"]}
        seats = {member.leaf for member in self.members}
        for place in sorted(set(leaf.values()) - seats):
            remover = self.witness()
            done = remover.ask("commit", remove=[place])
            self.note("commit remove", remover, f"removes leaf {place}, whose holder ({len(ghosts)}) refused to join")
            self.deliver(done["commit"], remover, "commit")

    def settle(self) -> None:
        """Renews every unmerged leaf, so that a tree is as plain as can be when its next member comes."""
        for leaf in sorted(unmerged_leaves(self.tree())):
            (member,) = [member for member in self.members if member.leaf == leaf]
            self.commit(member)

    # --------------------------------------------------------------------------------------------------------- chores

    def name(self, side: Side) -> str:
        self.made += 1
        return f"{side.name} {self.made}"

    def wanted(self) -> Side:
        """The side of the next newcomer: mostly the one that has fewer members."""

        def order(side: Side) -> tuple[bool, int, float]:
            seated = sum(member.side is side for member in self.members)
            return (self.chance.random() < 0.4, seated, self.chance.random())

        return min(self.sides, key=order)

    def newcomer(self, side: Side, *, offered: bool = True) -> Member:
        new = Member(self.name(side), side)
        if offered:
            grease = self.chance.random() < 0.5
            made = side.ask("create_key_package", suite=self.suite, identity=new.name, grease=grease)
            new.kp, new.key_package = made["kp"], made["key_package"]
            new.signature_priv = made.get("signature_priv")
            new.name = made.get("identity", new.name)
        return new

    def invitation(self, host: Member, side: Side) -> tuple[dict[str, str], str]:
        """A group info of the host, with the tree in it or beside it."""
        if side.can.tree_beside and "ratchet_tree" in host.side.can.evidence and self.chance.random() < 0.5:
            info = host.ask("group_info", with_tree=False)["group_info"]
            return {"group_info": info, "ratchet_tree": host.ask("ratchet_tree")["ratchet_tree"]}, ", the tree beside"
        return {"group_info": host.ask("group_info")["group_info"]}, ""

    def fresh_psk(self) -> str:
        psk_id, psk = self.chance.randbytes(8).hex(), self.chance.randbytes(32).hex()
        for side in self.sides:
            side.ask("add_psk", psk_id=psk_id, psk=psk)
        return psk_id

    def in_the_open(self, by: Member) -> bool:
        return not by.side.can.private or self.chance.random() < 0.5

    def openly(self, public: bool) -> str:
        return " in the open" if public else ""

    def hear(self, by: Member, public: bool) -> None:
        if public:
            self.heard.add(by.name)
