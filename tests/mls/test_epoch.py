"""An epoch's memory: resumption keys of epochs gone by, bounded, and nothing that belongs to others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Invalid, Malformed
from securechan.mls.epoch import KEPT_RESUMPTIONS, Epoch
from securechan.mls.group import Group
from securechan.mls.psk import ExternalPSK, PreSharedKeyID, ResumptionPSK, psk_secret
from securechan.mls.registry import PSKType, ResumptionUsage
from securechan.mls.rest import EpochWithTree, MessageState
from securechan.mls.treemath import LeafIndex
from tests.support.mls import FAST, found


def resumption(group_id: bytes, epoch: int) -> PreSharedKeyID:
    psk = ResumptionPSK(ResumptionUsage.APPLICATION, group_id, epoch)
    return PreSharedKeyID(PSKType.RESUMPTION, psk, bytes(FAST.hash_length))


def test_resumption_keys_are_remembered_for_a_while() -> None:
    (alice,) = found("alice")
    secrets = {}
    for _ in range(KEPT_RESUMPTIONS + 3):
        secrets[alice.epoch] = alice.state.secrets.resumption_psk
        alice = alice.commit().next
    state = Epoch.woken(alice.state.at_rest(), lambda _: alice.state.tree)
    assert len(state.resumptions) == KEPT_RESUMPTIONS
    for epoch in (alice.epoch, alice.epoch - 1, alice.epoch - KEPT_RESUMPTIONS):
        named = resumption(alice.group_id, epoch)
        wanted = secrets.get(epoch, alice.state.secrets.resumption_psk)
        assert state.psk_secret([named], {}) == psk_secret(FAST, [(named, wanted)])
    for unknown in (
        resumption(alice.group_id, 0),
        resumption(alice.group_id, alice.epoch + 1),
        resumption(b"another group", alice.epoch),
        PreSharedKeyID(PSKType.EXTERNAL, ExternalPSK(b"id"), bytes(FAST.hash_length)),
    ):
        with pytest.raises(CannotOpen):
            state.psk_secret([unknown], {})


def test_a_leaf_that_is_no_member_has_none() -> None:
    (alice,) = found("alice")
    with pytest.raises(Invalid):
        alice.state.leaf(LeafIndex(5))


def test_no_repr_shows_a_secret() -> None:
    alice, bob = found("alice", "bob")
    text = repr(bob)
    for secret in (
        bob.state.secrets.exporter,
        bob.state.signing.private,
        alice.state.secrets.init,
        *bob.ratchets.secrets.values(),
        *(key.private for key in bob.state.private.values()),
    ):
        assert secret.hex() not in text
        assert repr(bytes(secret))[2:-1] not in text


def test_a_kept_key_of_another_length_is_malformed() -> None:
    group, _ = found("alice")[0].propose_update()
    whole, messages = EpochWithTree.decode(group.encode_epoch()), MessageState.decode(group.encode_ratchets())
    epoch = whole.epoch
    short = Secret(b"short")
    for spoilt in (
        replace(epoch, signature_private=short),
        replace(epoch, private=(replace(epoch.private[0], private=short),)),
    ):
        with pytest.raises(Malformed, match="a key that was kept"):
            Group.decode(replace(whole, epoch=spoilt).encode(), group.encode_ratchets())
    with pytest.raises(Malformed, match="a key that was kept"):
        Group.decode(group.encode_epoch(), replace(messages, own_updates=(short,)).encode())
