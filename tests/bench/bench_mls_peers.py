"""Our MLS engine beside other implementations, in their suites: ``make bench B=mls_peers`` (after ``make interop``).

ts-mls (in JavaScript, its X-Wing suite) and mls-rs (in Rust, by its Python bindings, RFC 9420's suite 1) do the same
things in the same run as ours, each in a driver process of its own (tests/interop), and each operation is charged what
its process spent on it: CPU seconds, all threads, from bytes to bytes, without the pipe. For mls-rs a commit counts
with its adoption, since the others' commits include theirs.

A group of 2 becomes one of 102 by one commit that adds 100 members, without a path, as the peers make it. The
tree is beside the Welcome where the peer can do that (mls-rs, as it is configured, puts it inside: then ours does too).
Then the founder renews itself while the tree is blank, and again when every parent in it is filled; the second member,
whose leaf is beside the founder's, and the last one, in the other half, process that. The other 99 are ours, in this
process, and are not measured. Rounds of ours and of the peer take turns; the first is not counted, so that a compiler
may warm up.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.bench.harness import Row, Table, duration, run
from tests.interop.process import OURS, Process
from tests.interop.sides import Here, command

ADDED: Final = 100
ROUNDS: Final = 5
RENEWALS: Final = 9
MESSAGES: Final = 100
PEERS: Final = (("ts-mls", 0xF00D, False), ("mls-rs", 0x0001, True))
"""Name, suite, and whether the tree is inside the Welcome."""
ROWS: Final = {
    "key package": "key package",
    "add": f"{ADDED} members added in one commit",
    "join": f"join a group of {ADDED + 2}",
    "update blank": f"update, blank tree of {ADDED + 2}",
    "process blank": "  process it, the other half",
    "process blank near": "  process it, the leaf beside",
    "update full": f"update, full tree of {ADDED + 2}",
    "process full": "  process it, the other half",
    "process full near": "  process it, the leaf beside",
    "protect": "protect 1 KiB",
    "unprotect": "unprotect 1 KiB",
}

Samples = dict[str, list[float]]


class Beside(Table):
    """Rows of ours beside the peer's, which stand where other tables have their floor."""

    peer = ""

    def __str__(self) -> str:
        lines = [f"{self.title:<44}{'ours':>12}{self.peer:>12}{'theirs / ours':>15}"]
        for row in self.rows:
            theirs = row.floor or 0.0
            lines.append(
                f"{row.name:<44}{duration(row.seconds):>12}{duration(theirs):>12}{theirs / row.seconds:>15.2f}"
            )
        return "\n".join(lines)


@dataclass
class Group:
    """One group of a driver's: the founder, the one beside it, the last one, and those of ours who fill the tree."""

    ask: Process
    suite: int
    inside: bool
    samples: Samples
    founder: str = ""
    near: str = ""
    far: str = ""
    fillers: Here = field(default_factory=Here)
    filling: list[str] = field(default_factory=list)

    def timed(self, row: str, cmd: str, **fields: Any) -> dict[str, Any]:
        answer = self.ask(cmd, **fields)
        self.samples[row].append(answer["cpu"])
        return answer

    def offer(self, name: str) -> dict[str, Any]:
        return self.timed("key package", "create_key_package", suite=self.suite, identity=name)

    def grow(self, *, filled: bool) -> None:
        """Two members, then `ADDED` more, the last of them the driver's."""
        made = self.ask("create_group", suite=self.suite, identity="founder")
        self.founder = made["group"]
        offer = self.offer("near")
        done = self.ask(
            "add", group=self.founder, key_packages=[offer["key_package"]], ratchet_tree_in_welcome=self.inside
        )
        self.near = self.ask("join", kp=offer["kp"], **invitation(done))["group"]
        offers = [
            self.fillers("create_key_package", suite=self.suite, identity=f"filler {number}")
            for number in range(ADDED - 1)
        ]
        offer = self.offer("far")
        packages = [each["key_package"] for each in (*offers, offer)]
        done = self.timed(
            "add",
            "add",
            group=self.founder,
            key_packages=packages,
            ratchet_tree_in_welcome=self.inside,
            path=False,
            public=True,
        )
        self.ask("process", group=self.near, message=done["commit"])
        self.far = self.timed("join", "join", kp=offer["kp"], **invitation(done))["group"]
        if filled:  # leaf 2 is the first filler's: one of each pair of leaves fills all parents above them
            for each in offers[::2]:
                self.filling.append(self.fillers("join", kp=each["kp"], **invitation(done))["group"])

    def renew(self, tree: str) -> None:
        """The founder's empty commit, processed by both."""
        done = self.timed(f"update {tree}", "update", group=self.founder, public=True)
        self.timed(f"process {tree} near", "process", group=self.near, message=done["commit"])
        self.timed(f"process {tree}", "process", group=self.far, message=done["commit"])
        for group in self.filling:
            self.fillers("process", group=group, message=done["commit"])

    def fill(self) -> None:
        """Every pair of leaves commits once; then no parent is blank."""
        for group in self.filling:
            commit = self.fillers("update", group=group, public=True)["commit"]
            for other in self.filling:
                if other != group:
                    self.fillers("process", group=other, message=commit)
            for mine in (self.founder, self.near, self.far):
                self.ask("process", group=mine, message=commit)

    def talk(self) -> None:
        """A burst of messages; what counts is the mean of it."""
        chance = random.Random(0)
        plaintexts = [chance.randbytes(1024).hex() for _ in range(MESSAGES)]
        sent = self.ask("encrypt_all", group=self.founder, plaintexts=plaintexts)
        read = self.ask("decrypt_all", group=self.near, messages=sent["messages"])
        if read["plaintexts"] != plaintexts:
            raise ValueError("a bench that doesn't measure what it should")
        self.samples["protect"].append(sent["cpu"] / MESSAGES)
        self.samples["unprotect"].append(read["cpu"] / MESSAGES)

    def leave(self) -> None:
        for group in (self.founder, self.near, self.far):
            self.ask("free", group=group)


def invitation(done: dict[str, Any]) -> dict[str, Any]:
    """What a joiner needs of the commit's answer."""
    return {"welcome": done["welcome"], "ratchet_tree": done.get("ratchet_tree")}


def measured(name: str, suite: int, *, inside: bool) -> Iterator[Row]:
    with Process(OURS) as mine, Process(command(name)) as theirs:
        results: list[Samples] = [defaultdict(list), defaultdict(list)]
        for number in range(ROUNDS + 1):
            last = number == ROUNDS
            for ask, samples in zip((mine, theirs), results, strict=True):
                group = Group(ask, suite, inside, samples if number else defaultdict(list))
                group.grow(filled=last)
                group.renew("blank")
                if last:
                    group.fill()
                    for _ in range(RENEWALS):
                        group.renew("full")
                group.talk()
                group.leave()
    for row, title in ROWS.items():
        ours, other = (statistics.median(samples[row]) for samples in results)
        yield Row(title, ours, other)


def tables() -> Iterator[Table]:
    for name, suite, inside in PEERS:
        try:
            command(name)
        except FileNotFoundError as missing:
            print(f"nothing beside which to measure: {missing}", file=sys.stderr)
            continue
        table = Beside(f"MLS beside {name}, suite 0x{suite:04x}")
        table.peer = name
        table.rows += measured(name, suite, inside=inside)
        yield table


if __name__ == "__main__":
    run(tables())
