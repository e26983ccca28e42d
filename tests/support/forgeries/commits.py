"""RFC 9420 §12.4, broken: commits as such."""

from __future__ import annotations

from securechan.mls.proposals import (
    Add,
    GroupContextExtensions,
    PreSharedKey,
    Remove,
)
from securechan.mls.rules import Rule
from tests.support.forgeries.base import (
    CAROL,
    NH,
    Attempt,
    Heard,
    Tried,
    bob,
    breaks,
    commits,
    dora,
    external_psk,
    forger,
    pending,
    trio,
    with_nodes,
)


@breaks(Rule.PATH_REQUIRED)
def an_empty_commit_without_a_path() -> Attempt:
    return commits(path=False)


@breaks(Rule.PATH_REQUIRED)
def a_removal_without_a_path() -> Attempt:
    return commits(Remove(CAROL), path=False)


@breaks(Rule.PATH_REQUIRED)
def a_new_context_without_a_path() -> Attempt:
    return commits(GroupContextExtensions(()), Add(dora().key_package), path=False)


@breaks(Rule.COMMIT_FIRST)
def words_while_a_proposal_waits() -> Attempt:
    _, member = pending(forger().proposal(Remove(CAROL)))
    return Tried(lambda: member.protect(b"carol hears this"), (member,))


@breaks(Rule.REFERENCE_KNOWN)
def a_commit_of_what_was_never_proposed() -> Attempt:
    return commits(refs=[bytes(NH)])


@breaks(Rule.COMMITTER_KEY)
def a_path_that_keeps_its_committers_key() -> Attempt:
    return commits(leaf={"encryption_key": trio()[0].state.own_leaf_node.encryption_key})


@breaks(Rule.PATH_KEYS)
def a_path_with_the_key_of_a_member() -> Attempt:
    return commits(leaf={"encryption_key": trio()[2].state.own_leaf_node.encryption_key})


@breaks(Rule.PATH_KEYS)
def a_path_with_one_key_twice() -> Attempt:
    return commits(sealed=lambda path: with_nodes(path, encryption_key=path.nodes[0].encryption_key))


@breaks(Rule.CONFIRMED)
def a_commit_with_another_tag() -> Attempt:
    return commits(tag=bytes(NH))


@breaks(Rule.CONFIRMED)
def a_commit_with_another_key_mixed_in() -> Attempt:
    message = forger().commit(PreSharedKey(external_psk()), psk=bytes(NH))
    return Heard(bob(), message, {"psks": {b"id": b"ours"}})
