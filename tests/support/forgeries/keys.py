"""RFC 9420 §8, §9, §10, §15.3, broken: keys that are spent, missing or not what they should be; key packages."""

from __future__ import annotations

from dataclasses import replace

from securechan.crypto.secret import Secret
from securechan.crypto.suite import by_number
from securechan.mls.psk import EpochId
from securechan.mls.ratchets import MAX_GENERATION, MAX_JUMP, Ratchet
from securechan.mls.rules import Rule
from securechan.mls.terms import Terms
from securechan.mls.validation import check_key_package
from tests.support.forgeries.base import (
    ALICE,
    NH,
    SUITE,
    ZERO_KEY,
    Attempt,
    Heard,
    Tried,
    adds,
    bob,
    breaks,
    dora,
    forger,
    trio,
)
from tests.support.mls import NOW, bundle, keys, taken
from tests.support.mls_forge import Forger, changed, resigned


@breaks(Rule.LAST_EPOCH)
def a_commit_after_the_last_epoch() -> Attempt:
    last = (1 << 64) - 1
    alice, member = (
        replace(group, state=replace(group.state, context=changed(group.state.context, epoch=last)))
        for group in trio()[:2]
    )
    return Heard(member, Forger(alice).commit())


@breaks(Rule.EXTERNAL_INIT_OPENS)
def an_external_init_of_nothing() -> Attempt:
    message = forger().external(keys=keys("eve", SUITE).signature_private, output=lambda _: ZERO_KEY)
    return Heard(bob(), message)


@breaks(Rule.PSK_HELD)
def a_commit_with_a_key_that_we_do_not_hold() -> Attempt:
    step = trio()[0].commit(psk_ids=[b"id"], psks={b"id": b"a secret"})
    return Heard(bob(), step.commit)


@breaks(Rule.PSK_HELD)
def a_commit_with_the_key_of_an_epoch_before_us() -> Attempt:
    first = EpochId(trio()[0].group_id, 0)
    return Heard(bob(), trio()[0].commit(psk_ids=[first]).commit)


@breaks(Rule.KEY_UNUSED)
def a_message_twice() -> Attempt:
    message = forger().private(b"hello")
    return Heard(taken(bob().receive(message)), message)


@breaks(Rule.KEY_UNUSED)
def a_message_of_an_epoch_gone_by_twice() -> Attempt:
    keeping = replace(bob(), terms=Terms(past_epochs=1))
    message = forger().private(b"hello")
    later = taken(keeping.receive(trio()[0].commit().commit))
    return Heard(taken(later.receive(message)), message)


@breaks(Rule.TOO_FAR_AHEAD)
def a_generation_far_away() -> Attempt:
    return Heard(bob(), forger().private(b"hello", generation=MAX_JUMP + 1))


@breaks(Rule.TOO_FAR_AHEAD)
def a_generation_after_the_last() -> Attempt:
    spent = Ratchet(ALICE, 1, MAX_GENERATION, Secret(bytes(NH)), ())
    return Tried(lambda: spent.key_at(SUITE, MAX_GENERATION))


@breaks(Rule.PACKAGE_SUITE)
def a_key_package_of_another_suite() -> Attempt:
    return adds(bundle("dora", by_number(3)).key_package)


@breaks(Rule.PACKAGE_SUITE)
def a_key_package_of_another_suite_by_itself() -> Attempt:
    return Tried(lambda: check_key_package(SUITE, bundle("dora", by_number(3)).key_package, NOW))


@breaks(Rule.PACKAGE_SIGNED)
def a_key_package_that_is_not_signed() -> Attempt:
    return adds(changed(dora().key_package, signature=bytes(64)))


@breaks(Rule.INIT_KEY)
def a_key_package_of_one_key() -> Attempt:
    package = dora().key_package
    return adds(resigned(package, SUITE, dora().signature_private, init_key=package.leaf_node.encryption_key))
