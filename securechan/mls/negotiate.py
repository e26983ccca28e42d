"""RFC 9420 §11: which cipher suite a new group gets: the best that all its first members support.

A delivery service that hands out key packages could hand out those of the worst suite. Each key package lists all the
suites of its client under the client's signature, so whoever founds a group sees what would have been possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from securechan.crypto.suite import Suite
from securechan.errors import Invalid
from securechan.mls.keypackage import KeyPackage
from securechan.mls.registry import ProtocolVersion
from securechan.mls.rules import Rule


def best_suite(preferred: Sequence[Suite], packages: Iterable[KeyPackage]) -> Suite:
    """The first of ``preferred``, best first, that every key package's client supports. Raises `Invalid` for none.

    Take key packages of that suite then; look at their signatures with `validation.check_key_package`.
    """
    able = [package.leaf_node.capabilities for package in packages]
    for suite in preferred:
        if all(suite.number in each.cipher_suites and ProtocolVersion.MLS10 in each.versions for each in able):
            return suite
    raise Invalid("no suite is supported by all", rule=Rule.BEST_SUITE, hint="found a group without some of them")


def check_choice(chosen: Suite, preferred: Sequence[Suite], packages: Iterable[KeyPackage]) -> None:
    """§11: before a group is founded in ``chosen``: nothing better was possible. Raises `Invalid`."""
    best = best_suite(preferred, packages)
    if best is not chosen:
        raise Invalid(f"{best.name} would be supported by all, and is preferred", rule=Rule.BEST_SUITE)
