"""§12.4.3: the official welcomes open, and what they hold is signed and confirmed."""

from __future__ import annotations

import pytest

from securechan.crypto.secret import Secret
from securechan.errors import BadSignature, CannotOpen
from securechan.mls.message import MLSMessage
from securechan.mls.psk import psk_secret
from securechan.mls.schedule import Intermediate, check_confirmation_tag, derive_epoch
from securechan.mls.welcome import (
    GroupInfo,
    GroupSecrets,
    Welcome,
    open_group_info,
    open_secrets,
    seal_group_info,
    seal_secrets,
)
from tests.support.mls import FAST, RFC_SUITES, found, kem_private, key_package_of, of_suite, unhex


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_vectors(number: int) -> None:
    for suite, case in of_suite("welcome", number):
        welcome = MLSMessage.decode(unhex(case["welcome"])).body
        assert isinstance(welcome, Welcome)
        assert welcome.cipher_suite == number
        sealed = welcome.secrets_for(key_package_of(unhex(case["key_package"])).reference(suite))
        private = kem_private(suite, case["init_priv"])
        secrets = open_secrets(suite, private, sealed, welcome.encrypted_group_info)
        between = Intermediate.of(suite, secrets.joiner_secret, psk_secret(suite, ()))
        info = open_group_info(suite, between.welcome_secret, welcome.encrypted_group_info)
        info.verify(suite, unhex(case["signer_pub"]))
        epoch, _ = derive_epoch(suite, between.epoch_secret(info.group_context.encode()))
        check_confirmation_tag(suite, epoch, info.group_context, info.confirmation_tag)


def test_secrets_are_for_one_key_package_and_bound_to_the_group_info() -> None:
    private, public = FAST.hpke.kem.generate()
    secrets = GroupSecrets(Secret(b"joiner"), None, ())
    sealed = seal_secrets(FAST, b"reference", public, secrets, b"sealed info")
    assert open_secrets(FAST, private, sealed.encrypted_group_secrets, b"sealed info") == secrets
    with pytest.raises(CannotOpen):
        open_secrets(FAST, private, sealed.encrypted_group_secrets, b"another info")
    welcome = Welcome(FAST.number, (sealed,), b"sealed info")
    with pytest.raises(CannotOpen, match="other key packages"):
        welcome.secrets_for(b"another reference")


def test_a_group_info_is_signed_whole() -> None:
    (group,) = found("alice")
    info = MLSMessage.decode(group.group_info()).body
    assert isinstance(info, GroupInfo)
    public = group.members()[0].signature_key
    info.verify(FAST, public)
    changed = GroupInfo(info.group_context, info.extensions[:1], info.confirmation_tag, info.signer, info.signature)
    with pytest.raises(BadSignature):
        changed.verify(FAST, public)
    secret = FAST.random(48)
    assert open_group_info(FAST, secret, seal_group_info(FAST, secret, info)) == info
    with pytest.raises(CannotOpen):
        open_group_info(FAST, FAST.random(48), seal_group_info(FAST, secret, info))
