"""RFC 9420 §13.5: values that mean nothing, sent so that nobody's parser forgets to pass over the unknown.

A leaf may list them in its capabilities and carry them as extensions; a joiner's own support is judged without them
(`validation.check_self`). Whatever is received with them gets no special treatment.
"""

from __future__ import annotations

from securechan.crypto.suite import Suite
from securechan.mls.extensions import Extension
from securechan.mls.nodes import Capabilities
from securechan.mls.registry import GREASE


def value(suite: Suite) -> int:
    """One of the fifteen, at random."""
    return GREASE[int.from_bytes(suite.random(2), "big") % len(GREASE)]


def extension(suite: Suite) -> Extension:
    """An extension of a random type, with 0 to 31 random bytes."""
    return Extension(value(suite), bytes(suite.random(32)[: suite.random(1)[0] % 32]))


def greased(suite: Suite, able: Capabilities) -> Capabilities:
    """The capabilities with one such value in each list but the versions."""
    return Capabilities(
        able.versions,
        (*able.cipher_suites, value(suite)),
        (*able.extensions, value(suite)),
        (*able.proposals, value(suite)),
        (*able.credentials, value(suite)),
    )
