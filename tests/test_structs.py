"""Every format outside the engine: a value reads back as itself, and bytes are one value or `Malformed`.

The formats of the wire, of the agent's rows and letters, of bulletins and of trust are found by walking, so a new one
is under test the moment it is declared. The engine's have a file of their own (``tests/mls/test_structs.py``), which
knows their irregular ones.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import securechan
from securechan.codec import Kept, Struct
from securechan.errors import Malformed
from tests.support.strategies import rebuilt, strategies

for module in pkgutil.walk_packages(securechan.__path__, "securechan."):
    importlib.import_module(module.name)


def structs(base: type[Struct] = Struct) -> Iterator[type[Struct]]:
    for struct in base.__subclasses__():
        parts = struct.__module__.split(".")
        if struct is not Kept and parts[0] == "securechan" and parts[1] != "mls":
            yield struct
        yield from structs(struct)


# The proofs of a handshake hold whole signatures: they are as large as they are.
LIGHTLY = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow]
)

ALL = sorted(set(structs()), key=lambda struct: (struct.__module__, struct.__name__))


def name(struct: type[Struct]) -> str:
    return f"{struct.__module__.removeprefix('securechan.')}.{struct.__name__}"


def damaged(wire: bytes, random: Random) -> bytes:
    """The bytes with one to three wounds: a bit turned, a tail lost, something put in, a length made long."""
    found = bytearray(wire)
    for _ in range(random.randint(1, 3)):
        where = random.randint(0, len(found))
        match random.choice(["flip", "cut", "insert", "long"]):
            case "flip" if where < len(found):
                found[where] ^= 1 << random.randrange(8)
            case "cut":
                del found[where:]
            case "long":
                found[where : where + 4] = b"\xbf\xff\xff\xff"  # 2^30 - 1, the longest that RFC 9420 §2.1.2 can say
            case _:
                found[where:where] = random.randbytes(random.randint(0, 4))
    return bytes(found)


def one_value_or_none(struct: type[Struct], data: bytes) -> None:
    try:
        value = struct.decode(data)
    except Malformed:
        return
    assert rebuilt(value) == value
    assert rebuilt(value).encode() == data, "one value has two forms"


def test_the_walk_found_them() -> None:
    floors = {struct.__module__.split(".")[1] for struct in ALL}
    assert floors == {"agent", "bulletin", "trust", "wire"}
    assert {"Frame", "Request", "H1", "Letter", "Policy", "Payload", "SignedBulletin", "Invite"} <= {
        struct.__name__ for struct in ALL
    }
    assert len(ALL) > 100


@pytest.mark.parametrize("struct", ALL, ids=name)
@given(data=st.data())
@LIGHTLY
def test_what_is_encoded_decodes_to_itself(struct: type[Struct], data: st.DataObject) -> None:
    value = data.draw(strategies(struct))
    wire = value.encode()
    again = struct.decode(wire)
    assert again == value
    assert again.encode() == wire
    with pytest.raises(Malformed):
        struct.decode(wire + b"\0")


@pytest.mark.parametrize("struct", ALL, ids=name)
@given(data=st.data(), random=st.randoms(use_true_random=False), noise=st.binary(max_size=60))
@LIGHTLY
def test_any_bytes_are_one_value_or_none(
    struct: type[Struct], data: st.DataObject, random: Random, noise: bytes
) -> None:
    """Whatever decodes encodes to the very bytes, and what doesn't is Malformed and no other exception."""
    wire = data.draw(strategies(struct)).encode()
    for tried in (noise, *(damaged(wire, random) for _ in range(8))):
        one_value_or_none(struct, tried)
