"""Keys of earlier epochs, and groups that come of groups, live: what the walks don't ask for (§8.6, §11.2, §11.3).

ts-mls has calls for all of it. mls-rs and rine-mls have calls for none of it; what they do with another's is held here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.process import Process, Refused
from tests.interop.sides import Ask, Here, command, needs_peers

SUITES = (0x0001, 0xF00D)
NEXT = "5ecc"


class Pair:
    """Our alice, who founded a group, and the other side's bob, who joined it."""

    def __init__(self, theirs: Ask, suite: int) -> None:
        self.ours, self.theirs, self.suite = Here(), theirs, suite
        self.alice = self.ours("create_group", suite=suite, identity="alice")["group"]
        self.bob = self.invited(theirs, self.ours("add", key_packages=[self.offer(theirs, "bob")]))

    def offer(self, ask: Ask, name: str, **fields: Any) -> str:
        return str(ask("create_key_package", suite=self.suite, identity=name, **fields)["key_package"])

    def invited(self, ask: Ask, done: dict[str, Any], **fields: Any) -> str:
        return str(ask("join", welcome=done["welcome"], ratchet_tree=done.get("ratchet_tree"), **fields)["group"])

    def agree(self, mine: str, other: str) -> None:
        """Both are in one epoch and hear each other."""
        secrets = [
            ask("export_secret", group=group, label="label", context="01", length=32)["secret"]
            for ask, group in ((self.ours, mine), (self.theirs, other))
        ]
        assert secrets[0] == secrets[1]
        for one, other_one, here, there in (
            (self.ours, self.theirs, mine, other),
            (self.theirs, self.ours, other, mine),
        ):
            sealed = one("encrypt", group=here, plaintext="c0ffee")["message"]
            assert other_one("decrypt", group=there, message=sealed)["plaintext"] == "c0ffee"

    def sends(self, ask: Ask, cmd: str, **fields: Any) -> None:
        """One side's commit, processed by the other."""
        mine, theirs = (self.ours, self.alice), (self.theirs, self.bob)
        (who, group), (other, there) = (mine, theirs) if ask is self.ours else (theirs, mine)
        done = who(cmd, group=group, **fields)
        assert other("process", group=there, message=done["commit"])["kind"] == "commit"


@pytest.fixture(params=SUITES, ids=[f"0x{suite:04x}" for suite in SUITES])
def suite(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=["ours", pytest.param("ts-mls", marks=needs_peers)])
def pair(request: pytest.FixtureRequest, suite: int) -> Iterator[Pair]:
    if request.param == "ours":
        yield Pair(Here(), suite)
        return
    with Process(command(request.param)) as process:
        yield Pair(process, suite)


def test_keys_of_earlier_epochs_are_mixed_in_by_either_side(pair: Pair) -> None:
    for number, ask in enumerate((pair.ours, pair.theirs, pair.ours)):
        pair.sends(ask, "update")
        epoch = 1 + 2 * number  # the one in which this turn began
        pair.sends(ask, "commit", resumption=[epoch, epoch + 1])
        pair.agree(pair.alice, pair.bob)


@pytest.mark.parametrize("ending", ["ours", "theirs"])
@pytest.mark.parametrize("founding", ["ours", "theirs"])
def test_a_group_ends_and_goes_on_as_another(pair: Pair, ending: str, founding: str) -> None:
    ender = pair.ours if ending == "ours" else pair.theirs
    pair.sends(ender, "reinit", group_id=NEXT, suite=pair.suite)
    with pytest.raises(Refused):
        pair.ours("encrypt", group=pair.alice, plaintext="00")
    if founding == "ours":
        offer = pair.offer(pair.theirs, "bob")
        done = pair.ours("succeed", group=pair.alice, key_packages=[offer], identity="alice")
        mine, other = done["group"], pair.invited(pair.theirs, done, parent=pair.bob)
    else:
        bob = pair.theirs("create_key_package", suite=pair.suite, identity="bob")["kp"]
        offer = pair.offer(pair.ours, "alice")
        done = pair.theirs("succeed", group=pair.bob, key_packages=[offer], identity="bob", kp=bob)
        mine, other = pair.invited(pair.ours, done, parent=pair.alice), done["group"]
    pair.alice, pair.bob = mine, other
    pair.agree(mine, other)
    pair.sends(pair.theirs, "update")
    pair.sends(pair.ours, "update")
    pair.agree(mine, other)


@pytest.mark.parametrize("founding", ["ours", "theirs"])
def test_a_group_has_a_branch(pair: Pair, founding: str) -> None:
    if founding == "ours":
        offer = pair.offer(pair.theirs, "bob")
        done = pair.ours("branch", group=pair.alice, key_packages=[offer], group_id=NEXT, identity="alice")
        mine, other = done["group"], pair.invited(pair.theirs, done, parent=pair.bob)
    else:
        bob = pair.theirs("create_key_package", suite=pair.suite, identity="bob")["kp"]
        offer = pair.offer(pair.ours, "alice")
        done = pair.theirs("branch", group=pair.bob, key_packages=[offer], group_id=NEXT, identity="bob", kp=bob)
        mine, other = pair.invited(pair.ours, done, parent=pair.alice), done["group"]
    pair.agree(mine, other)
    pair.agree(pair.alice, pair.bob)  # which goes on
    pair.alice, pair.bob = mine, other
    pair.sends(pair.theirs, "update")
    pair.agree(mine, other)


@pytest.fixture(params=["mls-rs", "rine-mls"])
def able_to_follow(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """With one who has no call for any of this, but takes what others make."""
    with Process(command(request.param)) as process:
        yield Pair(process, 0x0001)


def heard(pair: Pair) -> None:
    """Each has the epoch's keys: what one says the other reads."""
    sealed = pair.ours("encrypt", group=pair.alice, plaintext="c0ffee")["message"]
    assert pair.theirs("decrypt", group=pair.bob, message=sealed)["plaintext"] == "c0ffee"


@needs_peers
def test_a_key_of_an_earlier_epoch_is_followed(able_to_follow: Pair) -> None:
    pair = able_to_follow
    pair.sends(pair.ours, "update", public=True)
    pair.sends(pair.ours, "commit", resumption=[1, 2], public=True)
    heard(pair)


@needs_peers
def test_an_end_is_followed_and_only_we_fall_silent(able_to_follow: Pair) -> None:
    """§11.2: nothing more is sent in the group. mls-rs, of which rine-mls is made, still seals messages; no commits."""
    pair = able_to_follow
    pair.sends(pair.ours, "reinit", group_id=NEXT, public=True)
    with pytest.raises(Refused, match="ReIinit has been applied"):
        pair.theirs("add", group=pair.bob, key_packages=[pair.offer(pair.theirs, "carol")])
    said = pair.theirs("encrypt", group=pair.bob, plaintext="00")["message"]
    with pytest.raises(Refused, match="ended by a re-initialisation"):
        pair.ours("decrypt", group=pair.alice, message=said)
