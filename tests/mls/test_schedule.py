"""§8: the official key schedule, epoch by epoch, and the exporter and external key that hang on it."""

from __future__ import annotations

import pytest

from securechan.errors import CannotOpen
from securechan.mls.schedule import (
    Intermediate,
    check_confirmation_tag,
    confirmation_tag,
    derive_epoch,
    export,
    external_init,
    external_key,
    follow_external_init,
    joiner_secret,
)
from tests.support.mls import FAST, RFC_SUITES, context_of, found, of_suite, unhex


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_vectors(number: int) -> None:
    for suite, case in of_suite("key-schedule", number):
        init = unhex(case["initial_init_secret"])
        for count, epoch in enumerate(case["epochs"]):
            context = context_of(suite, case, count, epoch["tree_hash"], epoch["confirmed_transcript_hash"])
            assert context.encode() == unhex(epoch["group_context"])
            joiner = joiner_secret(suite, init, unhex(epoch["commit_secret"]), context.encode())
            assert joiner == unhex(epoch["joiner_secret"])
            between = Intermediate.of(suite, joiner, unhex(epoch["psk_secret"]))
            assert between.welcome_secret == unhex(epoch["welcome_secret"])
            secrets, encryption = derive_epoch(suite, between.epoch_secret(context.encode()))
            assert encryption == unhex(epoch["encryption_secret"])
            assert secrets.sender_data == unhex(epoch["sender_data_secret"])
            assert secrets.exporter == unhex(epoch["exporter_secret"])
            assert secrets.external == unhex(epoch["external_secret"])
            assert secrets.confirmation_key == unhex(epoch["confirmation_key"])
            assert secrets.membership_key == unhex(epoch["membership_key"])
            assert secrets.resumption_psk == unhex(epoch["resumption_psk"])
            assert secrets.epoch_authenticator == unhex(epoch["epoch_authenticator"])
            assert secrets.init == unhex(epoch["init_secret"])
            assert external_key(suite, secrets.external).public == unhex(epoch["external_pub"])
            asked = epoch["exporter"]
            exported = export(suite, secrets.exporter, asked["label"], unhex(asked["context"]), asked["length"])
            assert exported == unhex(asked["secret"])
            init = secrets.init


def test_an_external_init_is_shared_by_all_who_hold_the_external_secret() -> None:
    secrets, _ = derive_epoch(FAST, FAST.random(FAST.hash_length))
    kem_output, init = external_init(FAST, external_key(FAST, secrets.external).public)
    assert follow_external_init(FAST, secrets, kem_output) == init
    others, _ = derive_epoch(FAST, FAST.random(FAST.hash_length))
    assert follow_external_init(FAST, others, kem_output) != init


def test_a_confirmation_tag_is_of_one_epoch() -> None:
    (group,) = found("alice")
    state = group.state
    check_confirmation_tag(FAST, state.secrets, state.context, state.confirmation_tag)
    with pytest.raises(CannotOpen):
        check_confirmation_tag(FAST, state.secrets, state.context, confirmation_tag(FAST, state.secrets, b"other"))


def test_the_secrets_of_an_epoch_show_nothing_of_themselves() -> None:
    secrets, _ = derive_epoch(FAST, bytes(FAST.hash_length))
    assert secrets.exporter.hex() not in repr(secrets)
    assert str(secrets.exporter) not in (secrets.exporter.hex(), str(bytes(secrets.exporter)))
    assert repr(secrets).count("Secret(48 bytes)") == 8
