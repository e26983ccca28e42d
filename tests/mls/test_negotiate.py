"""§11: nobody is talked down to a worse suite than all support."""

from __future__ import annotations

import pytest

from securechan.crypto.suite import by_number
from securechan.errors import Invalid
from securechan.mls.keypackage import KeyPackage
from securechan.mls.negotiate import best_suite, check_choice
from securechan.mls.nodes import Capabilities
from tests.support.mls import bundle

GOOD, FAIR, POOR = by_number(7), by_number(3), by_number(1)


def package(*suites: int, versions: tuple[int, ...] = (1,)) -> KeyPackage:
    return bundle("somebody", POOR, capabilities=Capabilities(versions, suites, (), (), (1,))).key_package


def test_the_best_that_all_support() -> None:
    preferred = (GOOD, FAIR, POOR)
    assert best_suite(preferred, [package(7, 3, 1), package(3, 1)]) is FAIR
    assert best_suite(preferred, [package(7, 3, 1), package(1)]) is POOR
    assert best_suite(preferred, []) is GOOD
    check_choice(FAIR, preferred, [package(3, 1), package(1, 3)])
    for chosen, offered in ((POOR, [package(1, 3)]), (GOOD, [package(1, 3)]), (POOR, [package(1, versions=(2,))])):
        with pytest.raises(Invalid):
            check_choice(chosen, preferred, offered)
