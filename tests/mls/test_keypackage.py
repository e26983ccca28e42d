"""§10: offers to be added: signed throughout, of one suite, for a time."""

from __future__ import annotations

import pytest

from securechan.crypto.suite import SUITES
from securechan.errors import BadSignature, Invalid, Malformed, Misuse
from securechan.mls.extensions import Extension
from securechan.mls.keypackage import KeyPackage, KeyPackageBundle, capabilities_for, new_key_package
from securechan.mls.labels import sign_with_label
from securechan.mls.nodes import Capabilities, Lifetime
from securechan.mls.registry import GREASE, ExtensionType, LeafNodeSource, is_grease
from securechan.mls.validation import check_key_package
from tests.support.mls import FAST, NOW, bundle, keys


def resigned(kept: KeyPackageBundle, **values: object) -> KeyPackage:
    fields = {**{k: v for k, v in kept.key_package.__dict__.items() if k != "_wire"}, **values}
    unsigned = KeyPackage(**fields)
    signature = sign_with_label(FAST, kept.signature_private, "KeyPackageTBS", unsigned.to_be_signed())
    return KeyPackage(**{**fields, "signature": signature})


def test_a_fresh_one_is_good_for_its_time() -> None:
    kept = bundle("alice", lifetime=100)
    package = kept.key_package
    check_key_package(FAST, package, NOW)
    assert package.leaf_node.origin == Lifetime(NOW - 3600, NOW + 100)
    assert package.leaf_node.identity == b"alice"
    for now in (NOW - 3601, NOW + 101):
        with pytest.raises(Invalid, match="lifetime"):
            check_key_package(FAST, package, now)
    assert not package.is_last_resort
    assert bundle("alice", last_resort=True).key_package.is_last_resort
    with pytest.raises(Misuse):
        bundle("alice", lifetime=0)


def test_the_vault_keeps_it_whole() -> None:
    kept = bundle("alice")
    again = KeyPackageBundle.decode(kept.encode())
    assert again == kept
    assert again.reference(FAST) == kept.key_package.reference(FAST)
    assert kept.init_private.hex() not in repr(kept)
    with pytest.raises(Malformed):
        KeyPackageBundle.decode(kept.encode()[:-1])


def test_every_part_is_signed() -> None:
    kept = bundle("alice")
    for name, value in (
        ("init_key", FAST.hpke.kem.generate()[1]),
        ("extensions", (Extension(0xF0F0, b""),)),
        ("leaf_node", bundle("mallory").key_package.leaf_node),
    ):
        changed = KeyPackage(**{**{k: v for k, v in kept.key_package.__dict__.items() if k != "_wire"}, name: value})
        with pytest.raises(BadSignature):
            check_key_package(FAST, changed)


def test_what_breaks_a_rule_is_refused_even_if_signed() -> None:
    kept = bundle("alice")
    leaf = kept.key_package.leaf_node
    updated = type(leaf)(
        **{**{k: v for k, v in leaf.__dict__.items() if k != "_wire"}, "source": LeafNodeSource.UPDATE, "origin": None}
    )
    for reason, package in (
        ("init key", resigned(kept, init_key=leaf.encryption_key)),
        ("suite", resigned(kept, cipher_suite=1)),
        ("made for one", resigned(kept, leaf_node=updated)),
        ("twice", resigned(kept, extensions=(Extension(1, b""),) * 2)),
    ):
        with pytest.raises(Invalid, match=reason):
            check_key_package(FAST, package)
    with pytest.raises(Invalid, match="suite"):
        check_key_package(SUITES["cnsa"], kept.key_package)
    with pytest.raises((Invalid, Malformed)):
        check_key_package(FAST, resigned(kept, init_key=b"no key"))


def test_grease_is_passed_over() -> None:
    """§13.5: values that exist to be ignored, in every list that a stranger may fill."""
    assert all(map(is_grease, GREASE))
    assert GREASE[0] == 0x0A0A
    assert GREASE[-1] == 0xEAEA
    assert not is_grease(1)
    able = Capabilities((1, 0x2A2A), (FAST.number, 0x3A3A), (0x4A4A,), (0x5A5A,), (1, 0x6A6A))
    greased = new_key_package(
        FAST,
        keys("alice"),
        now=NOW,
        capabilities=able,
        extensions=(Extension(0x7A7A, b"nothing"),),
        leaf_extensions=(Extension(0x8A8A, b"nothing"),),
    )
    check_key_package(FAST, KeyPackage.decode(greased.key_package.encode()), NOW)
    listed = greased.key_package.leaf_node.capabilities
    assert listed == capabilities_for(FAST, (Extension(0x7A7A, b""), Extension(0x8A8A, b"")), able)
    assert set(listed.extensions) == {0x4A4A, 0x7A7A, 0x8A8A}


def test_default_types_are_never_listed() -> None:
    """§7.2: they go without saying, and MUST NOT be said."""
    able = Capabilities((1,), (FAST.number,), (1, 2, 5, 0xF001), (1, 3, 7, 0xF002), (1,))
    listed = bundle("alice", capabilities=able).key_package.leaf_node.capabilities
    assert listed == Capabilities((1,), (FAST.number,), (0xF001,), (0xF002,), (1,))
    carried = (Extension(ExtensionType.APPLICATION_ID, b"phone"), Extension(0xF001, b""))
    for package in (bundle("alice", extensions=carried), bundle("alice", leaf_extensions=carried)):
        assert package.key_package.leaf_node.capabilities.extensions == (0xF001,)
