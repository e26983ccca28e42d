"""§5.1, §5.2, §8, §9.1: the official vectors of the labelled primitives, and that labels part the uses of a key."""

from __future__ import annotations

import pytest

from securechan.errors import BadSignature, CannotOpen
from securechan.mls.labels import (
    PREFIX,
    EncryptContext,
    HPKECiphertext,
    decrypt_with_label,
    derive_secret,
    derive_tree_secret,
    encrypt_with_label,
    expand_with_label,
    ref_hash,
    sign_with_label,
    verify_with_label,
)
from tests.support.mls import FAST, RFC_SUITES, kem_private, of_suite, unhex


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_vectors(number: int) -> None:
    for suite, case in of_suite("crypto-basics", number):
        ref = case["ref_hash"]
        assert ref_hash(suite, ref["label"], unhex(ref["value"])) == unhex(ref["out"])

        expand = case["expand_with_label"]
        expanded = expand_with_label(
            suite, unhex(expand["secret"]), expand["label"], unhex(expand["context"]), expand["length"]
        )
        assert expanded == unhex(expand["out"])

        derive = case["derive_secret"]
        assert derive_secret(suite, unhex(derive["secret"]), derive["label"]) == unhex(derive["out"])

        tree = case["derive_tree_secret"]
        derived = derive_tree_secret(suite, unhex(tree["secret"]), tree["label"], tree["generation"], tree["length"])
        assert derived == unhex(tree["out"])

        sign = case["sign_with_label"]
        public, content = unhex(sign["pub"]), unhex(sign["content"])
        verify_with_label(suite, public, sign["label"], content, unhex(sign["signature"]))
        again = sign_with_label(suite, unhex(sign["priv"]), sign["label"], content)
        verify_with_label(suite, public, sign["label"], content, again)

        sealed = case["encrypt_with_label"]
        private, context = kem_private(suite, sealed["priv"]), unhex(sealed["context"])
        ciphertext = HPKECiphertext(unhex(sealed["kem_output"]), unhex(sealed["ciphertext"]))
        plaintext = unhex(sealed["plaintext"])
        assert decrypt_with_label(suite, private, sealed["label"], context, ciphertext) == plaintext
        mine = encrypt_with_label(suite, unhex(sealed["pub"]), sealed["label"], context, plaintext)
        assert decrypt_with_label(suite, private, sealed["label"], context, mine) == plaintext


def test_a_value_of_one_label_is_none_of_another() -> None:
    private, public = FAST.signature.generate()
    signature = sign_with_label(FAST, private, "LeafNodeTBS", b"content")
    with pytest.raises(BadSignature):
        verify_with_label(FAST, public, "KeyPackageTBS", b"content", signature)
    secret, key = FAST.hpke.kem.generate()
    sealed = encrypt_with_label(FAST, key, "Welcome", b"context", b"plaintext")
    with pytest.raises(CannotOpen):
        decrypt_with_label(FAST, secret, "UpdatePathNode", b"context", sealed)
    with pytest.raises(CannotOpen):
        decrypt_with_label(FAST, secret, "Welcome", b"another context", sealed)


@pytest.mark.parametrize("size", [0, 63, 64, 16_383, 16_384])
def test_what_is_sealed_is_bound_to_its_encrypt_context(size: int) -> None:
    private, public = FAST.hpke.kem.generate()
    sealed = encrypt_with_label(FAST, public, "Use", bytes(size), b"text")
    info = EncryptContext(PREFIX + b"Use", bytes(size)).encode()
    assert FAST.hpke.open(private, sealed.kem_output, info, b"", sealed.ciphertext) == b"text"
    assert decrypt_with_label(FAST, private, "Use", bytes(size), sealed) == b"text"
