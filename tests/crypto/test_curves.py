"""The NIST curves: their orders are the right ones, and only points and scalars get through."""

from __future__ import annotations

import pytest

from securechan.crypto import curves
from securechan.crypto.curves import Curve
from securechan.errors import Invalid, Misuse

every = pytest.mark.parametrize("curve", [curves.P256, curves.P384, curves.P521], ids=lambda curve: curve.name)


@every
def test_the_order_is_the_bound_of_scalars(curve: Curve) -> None:
    one, last, order = (n.to_bytes(curve.size, "big") for n in (1, curve.order - 1, curve.order))
    generator, opposite = curve.point(curve.private(one)), curve.point(curve.private(last))
    # (n − 1)·G is −G: the same x, another y. No other order gives that.
    assert generator[: 1 + curve.size] == opposite[: 1 + curve.size]
    assert generator != opposite
    for wrong in (order, bytes(curve.size), b"\xff" * curve.size, one + b"\0", b""):
        assert not curve.has(wrong)
        with pytest.raises(Misuse):
            curve.private(wrong)


@every
def test_points(curve: Curve) -> None:
    point = curve.point(curve.private((7).to_bytes(curve.size, "big")))
    assert len(point) == curve.point_length
    assert curve.public(point).key_size == curve.curve.key_size
    compressed = bytes([2 + point[-1] % 2]) + point[1 : 1 + curve.size]
    hybrid = bytes([6 + point[-1] % 2]) + point[1:]
    for wrong in (
        b"",
        b"\0",
        b"\x04",
        compressed,
        hybrid,
        point[:-1],
        point + b"\0",
        point[:-1] + bytes([point[-1] ^ 1]),
    ):
        with pytest.raises(Invalid):
            curve.public(wrong)
