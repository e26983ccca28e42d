"""RFC 9420 §12.2, broken: lists of proposals."""

from __future__ import annotations

from dataclasses import replace

from securechan.crypto.secret import Secret
from securechan.mls.proposals import (
    Add,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Remove,
    Update,
)
from securechan.mls.rules import Rule
from tests.support.forgeries.base import (
    ALICE,
    CAROL,
    REINIT,
    SUITE,
    Attempt,
    Heard,
    adds,
    bob,
    breaks,
    commits,
    dora,
    external_psk,
    forger,
    inviter,
    joins,
    pending,
    trio,
)
from tests.support.mls import bundle, keys, taken
from tests.support.mls_forge import Forger, changed, releafed


@breaks(Rule.OWN_UPDATE)
def a_commit_of_its_own_update() -> Attempt:
    alice, message = trio()[0].propose_update(private=False)
    member = taken(bob().receive(message))
    return Heard(member, Forger(alice).commit(refs=[alice.pending[0].ref]))


@breaks(Rule.OWN_UPDATE)
def an_update_by_value() -> Attempt:
    return commits(Update(forger().leaf()))


@breaks(Rule.OWN_REMOVE)
def a_commit_that_removes_its_committer() -> Attempt:
    return commits(Remove(ALICE))


@breaks(Rule.ONE_CHANGE_A_LEAF)
def a_member_removed_twice() -> Attempt:
    return commits(Remove(CAROL), Remove(CAROL))


@breaks(Rule.ONE_CHANGE_A_LEAF)
def a_member_updated_and_removed() -> Attempt:
    _, message = trio()[2].propose_update(private=False)
    alice, member = pending(message)
    return Heard(member, Forger(alice).commit(Remove(CAROL), refs=[alice.pending[0].ref]))


@breaks(Rule.ADDED_ONCE)
def a_client_added_twice() -> Attempt:
    return commits(Add(dora().key_package), Add(dora().key_package))


@breaks(Rule.NOT_A_MEMBER)
def a_member_added_again() -> Attempt:
    member = bob()
    again = replace(bundle("bob", SUITE), signature_private=Secret(member.state.signing.private))
    return adds(releafed(again, SUITE, signature_key=member.state.own_leaf_node.signature_key))


@breaks(Rule.PSK_ONCE)
def a_key_mixed_in_twice() -> Attempt:
    return commits(PreSharedKey(external_psk()), PreSharedKey(external_psk()))


@breaks(Rule.PSK_ONCE)
def a_key_mixed_in_twice_from_outside() -> Attempt:
    twice = (PreSharedKey(external_psk()), PreSharedKey(external_psk()))
    return Heard(bob(), forger().external(*twice, keys=keys("eve", SUITE).signature_private))


@breaks(Rule.PSK_ONCE)
def a_welcome_with_a_key_twice() -> Attempt:
    secrets = changed(inviter().secrets, psks=(external_psk(), external_psk()))
    return joins(inviter().welcome(secrets=secrets), psks={b"id": b"key"})


@breaks(Rule.ONE_CONTEXT)
def two_changes_of_the_context() -> Attempt:
    return commits(GroupContextExtensions(()), GroupContextExtensions(()))


@breaks(Rule.REINIT_ALONE)
def a_reinit_in_company() -> Attempt:
    return commits(REINIT, Add(dora().key_package))


@breaks(Rule.NO_EXTERNAL_INIT)
def a_member_who_joins_from_outside() -> Attempt:
    return commits(ExternalInit(bytes(32)))


@breaks(Rule.ONE_EXTERNAL_INIT)
def an_external_commit_without_its_init() -> Attempt:
    return Heard(bob(), forger().external(keys=keys("eve", SUITE).signature_private, init=False))


@breaks(Rule.ONE_EXTERNAL_INIT)
def an_external_commit_with_two_inits() -> Attempt:
    message = forger().external(ExternalInit(bytes(32)), keys=keys("eve", SUITE).signature_private)
    return Heard(bob(), message)


@breaks(Rule.ONE_REMOVE)
def an_external_commit_that_removes_two() -> Attempt:
    message = forger().external(Remove(ALICE), Remove(CAROL), keys=keys("eve", SUITE).signature_private)
    return Heard(bob(), message)


@breaks(Rule.EXTERNAL_LIST)
def an_external_commit_that_adds() -> Attempt:
    message = forger().external(Add(dora().key_package), keys=keys("eve", SUITE).signature_private)
    return Heard(bob(), message)


@breaks(Rule.RESYNC_KEY)
def a_return_with_the_old_key() -> Attempt:
    old = trio()[2].state
    message = forger().external(
        Remove(CAROL), keys=old.signing.private, leaf={"encryption_key": old.own_leaf_node.encryption_key}
    )
    return Heard(bob(), message)
