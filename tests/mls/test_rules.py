"""Every rule, broken one at a time: refused by its number, by whoever it concerns, who stays as it was.

A forgery is a function marked with the rule it breaks. What it answers with is tried by one test: a message that a
group takes, or a deed that raises. The table of rules in ``securechan/mls/README.md`` is held against the rules, the
places in the code that cite them, and the forgeries.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from securechan.errors import SecurechanError
from securechan.mls.group import Group
from securechan.mls.outcomes import CannotFollow, Void
from securechan.mls.proposals import (
    Add,
    Remove,
    Update,
)
from securechan.mls.rules import Rule
from tests.support.forgeries import SECTIONS
from tests.support.forgeries.base import (
    CAROL,
    FORGERIES,
    SUITE,
    Attempt,
    Heard,
    Tried,
    dora,
    forger,
    inviter,
    inviter_by_path,
    saved,
    trio,
)
from tests.support.mls import NOW, keys, taken

assert len(SECTIONS) == 10  # importing them has filled the table


@pytest.mark.parametrize(
    ("rule", "forgery"), FORGERIES, ids=[f"{rule.name}-{forgery.__name__}" for rule, forgery in FORGERIES]
)
def test_a_broken_rule_is_refused_by_its_number(rule: Rule, forgery: Callable[[], Attempt]) -> None:
    match forgery():
        case Heard(group, message, options):
            before = saved(group)
            outcome = group.receive(message, **options)
            assert isinstance(outcome, Void | CannotFollow), outcome
            assert outcome.rule == rule, outcome
            assert str(rule) not in outcome.reason
            assert saved(group) == before
            if group is trio()[1] and isinstance(outcome, Void):  # what is void is void to all alike
                assert trio()[2].receive(message, **options) == outcome
        case Tried(deed, groups):
            kept = [saved(group) for group in groups]
            with pytest.raises(SecurechanError) as caught:
                deed()
            assert caught.value.rule == rule, caught.value
            assert [saved(group) for group in groups] == kept


def test_what_the_forge_makes_is_good_where_it_breaks_nothing() -> None:
    alice, member, _ = trio()
    for message in (
        forger().proposal(Remove(CAROL)),
        forger().proposal(Update(forger().leaf())),
        forger().private(b"hello"),
        forger().commit(),
        forger().commit(Add(dora().key_package), path=False),
        forger().commit(Remove(CAROL), Add(dora().key_package)),
        forger().external(keys=keys("eve", SUITE).signature_private),
        forger().external(Remove(CAROL), keys=trio()[2].state.signing.private),
    ):
        taken(member.receive(message))
    for honest in (inviter(), inviter_by_path()):
        joined = Group.join(honest.welcome(), dora(), now=NOW)
        assert joined.epoch_authenticator == honest.step.next.epoch_authenticator
    info = inviter().planted(inviter().tree)
    assert Group.join(inviter().welcome(info), dora(), now=NOW).epoch == alice.epoch + 1


README: Final = Path(__file__).resolve().parents[2] / "securechan" / "mls" / "README.md"
CODE: Final = README.parent


def rows() -> dict[str, tuple[str, set[str], set[str]]]:
    """The table: number → (what it says, files, forgeries)."""
    found = {}
    for line in README.read_text().splitlines():
        if match := re.fullmatch(
            r"\| ((?:RFC 9420|securechan/mls bound)[^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", line
        ):
            number, text, files, tests = match.groups()
            assert number not in found, number
            found[number] = (text, set(re.findall(r"`([^`]+)`", files)), set(re.findall(r"`([^`]+)`", tests)))
    return found


def test_the_table_of_rules_is_true() -> None:
    cited: dict[str, set[str]] = {rule: set() for rule in Rule}
    for path in sorted(CODE.glob("*.py")):
        for name in re.findall(r"\bRule\.([A-Z_]+)", path.read_text() if path.name != "rules.py" else ""):
            cited[Rule[name]].add(path.name)
    forged: dict[str, set[str]] = {rule: set() for rule in Rule}
    for rule, forgery in FORGERIES:
        forged[rule].add(forgery.__name__)
    assert {rule for rule in Rule if not forged[rule]} == set()
    assert rows() == {str(rule): (rule.text, cited[rule], forged[rule]) for rule in Rule}
