"""Verdicts: what breaks a rule is void to all alike, with its rule and signer; what fails for one is that one's loss.

The forgers here are members: they hold every key of the epoch and break one rule at a time, by making their commits
with the checks of the making side taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from securechan.crypto.kem import KemKey
from securechan.crypto.suite import SUITES
from securechan.errors import Invalid
from securechan.mls import commit as commits
from securechan.mls import treekem
from securechan.mls.extensions import Extension
from securechan.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    FramedContentAuthData,
    PrivateMessage,
    PublicMessage,
    Sender,
)
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage
from securechan.mls.labels import HPKECiphertext, sign_with_label
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.nodes import Credential, LeafNode
from securechan.mls.outcomes import (
    Application,
    CannotFollow,
    Committed,
    Outcome,
    Own,
    Proposed,
    Void,
)
from securechan.mls.proposals import (
    Add,
    Body,
    Commit,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ProposalOrRef,
    ReInit,
    Remove,
    Update,
)
from securechan.mls.protection import authenticated, framed, show
from securechan.mls.psk import ExternalPSK, PreSharedKeyID, ResumptionPSK
from securechan.mls.receive import MAX_PENDING
from securechan.mls.registry import (
    ContentType,
    ExtensionType,
    LeafNodeSource,
    ProtocolVersion,
    PSKType,
    ResumptionUsage,
    SenderType,
    WireFormat,
)
from securechan.mls.send import Step
from securechan.mls.send import commit as send_commit
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import ExternalSender, ExternalSenders, check_proposal
from tests.support.mls import FAST, NOW, bundle, follow, found, keys, taken

ALICE, BOB, CAROL = LeafIndex(0), LeafIndex(1), LeafIndex(2)


@contextmanager
def unchecked() -> Iterator[None]:
    """While it lasts, commits are made without looking at the rules."""

    def nothing(*args: Any, **options: Any) -> None:
        return None

    with mock.patch.multiple(
        commits, check_list=nothing, check_proposal=nothing, check_result=nothing, needs_path=lambda queue: False
    ):
        yield


def forged(group: Group, *bodies: Body, path: bool = True, **options: Any) -> Step:
    """A commit of these proposals, whatever the rules say."""
    with unchecked():
        return send_commit(
            group,
            bodies,
            by_reference=options.get("by_reference", ()),
            psks=options.get("psks", {}),
            path=path,
            authenticated_data=b"",
            private=options.get("private", True),
            padding=0,
            new_signature=None,
            tree_in_welcome=True,
            group_info_extensions=(),
            now=None,
        )


def is_void(outcome: Outcome, rule: str, signer: LeafIndex | None = ALICE) -> Void:
    assert isinstance(outcome, Void), outcome
    assert outcome.rule.split(" #")[0] == f"RFC 9420 {rule}", outcome
    assert outcome.signer == signer
    return outcome


@pytest.fixture(scope="module")
def trio() -> list[Group]:
    return found("alice", "bob", "carol")


def package(name: str = "dora", **options: Any) -> KeyPackage:
    return bundle(name, **options).key_package


def changed(struct: Any, **values: Any) -> Any:
    """The same struct with other values, and no memory of its wire form."""
    return type(struct)(**{**{k: v for k, v in struct.__dict__.items() if k != "_wire"}, **values})


TWICE = package()
PSK = PreSharedKeyID(PSKType.EXTERNAL, ExternalPSK(b"id"), bytes(FAST.hash_length))
SHORT = PreSharedKeyID(PSKType.EXTERNAL, ExternalPSK(b"id"), b"short")
BRANCH = PreSharedKeyID(
    PSKType.RESUMPTION, ResumptionPSK(ResumptionUsage.BRANCH, b"a group of the tests", 1), bytes(FAST.hash_length)
)
DOUBLED = (Extension(0xF0F0, b""), Extension(0xF0F0, b""))
UNKNOWN = (Extension(0xF0F0, b""),)
OTHER_SUITE = bundle("dora", SUITES["standard"]).key_package


@pytest.mark.parametrize(
    ("rule", "bodies"),
    [
        ("§12.2", [Remove(ALICE)]),
        ("§12.2", [Remove(BOB), Remove(BOB)]),
        ("§12.2", [Add(TWICE), Add(TWICE)]),
        ("§10.1", [Add(OTHER_SUITE)]),
        ("§12.2", [GroupContextExtensions(()), GroupContextExtensions(())]),
        ("§13.4", [GroupContextExtensions(DOUBLED)]),
        ("§13.4", [GroupContextExtensions(UNKNOWN)]),
        ("§12.2", [ReInit(b"", ProtocolVersion.MLS10, FAST.number, ()), Add(TWICE)]),
        ("§12.2", [ExternalInit(b"kem output")]),
        ("§12.1.4", [PreSharedKey(SHORT)]),
        ("§12.2", [PreSharedKey(PSK), PreSharedKey(PSK)]),
        ("§12.1.4", [PreSharedKey(BRANCH)]),
    ],
    ids=lambda value: "+".join(type(body).__name__ for body in value) if isinstance(value, list) else value,
)
def test_a_list_against_the_rules_is_void_to_all(trio: list[Group], rule: str, bodies: Sequence[Body]) -> None:
    alice, bob, carol = trio
    with mock.patch.object(type(alice.state), "psk_secret", return_value=FAST.random(FAST.hash_length)):
        step = forged(alice, *bodies)
    assert is_void(bob.receive(step.commit), rule) == carol.receive(step.commit)


def test_an_update_by_value_is_its_committers_own(trio: list[Group]) -> None:
    alice, bob, _ = trio
    leaf = changed(alice.state.own_leaf_node, source=LeafNodeSource.UPDATE, origin=None)
    is_void(bob.receive(forged(alice, Update(leaf)).commit), "§12.2")


def test_a_member_is_not_added_again_nor_with_anothers_keys(trio: list[Group]) -> None:
    alice, bob, _ = trio
    same = bundle("bob again")
    mine = replace(same, signature_private=bob.state.signing.private)
    impostor = changed(
        mine.key_package,
        leaf_node=changed(
            mine.key_package.leaf_node, signature_key=bob.state.own_leaf_node.signature_key, signature=b""
        ).signed(FAST, bob.state.signing),
    )
    signed = changed(
        impostor, signature=sign_with_label(FAST, bob.state.signing, "KeyPackageTBS", impostor.to_be_signed())
    )
    step = forged(alice, Add(signed))
    assert "again" in is_void(bob.receive(step.commit), "§12.2").reason
    # but in place of the leaf that is removed, it is welcome
    outcome = trio[2].receive(forged(alice, Remove(BOB), Add(signed)).commit)
    assert isinstance(outcome, Committed)


@pytest.mark.parametrize("part", ["leaf", "package"])
def test_a_key_package_must_be_signed_throughout(trio: list[Group], part: str) -> None:
    alice, bob, _ = trio
    good = package()
    if part == "leaf":
        bad = changed(good, leaf_node=changed(good.leaf_node, signature=bytes(3373)))
    else:
        bad = changed(good, signature=bytes(3373))

    assert "sign" in is_void(bob.receive(forged(alice, Add(bad)).commit), "§10.1").reason


def test_a_clock_judges_only_where_it_is_handed_in(trio: list[Group]) -> None:
    alice, bob, _ = trio
    step = forged(alice, Add(package(lifetime=10)))
    assert isinstance(bob.receive(step.commit), Committed)
    assert isinstance(bob.receive(step.commit, now=NOW), Committed)
    is_void(bob.receive(step.commit, now=NOW + 11), "§7.3")


def test_a_commit_must_have_the_path_that_it_needs(trio: list[Group]) -> None:
    alice, bob, _ = trio
    for bodies in ((), (Remove(CAROL),), (GroupContextExtensions(()),)):
        is_void(bob.receive(forged(alice, *bodies, path=False).commit), "§12.4")


def test_a_reference_to_nothing_is_void(trio: list[Group]) -> None:
    alice, bob, _ = trio
    ahead, _ = alice.propose(Add(package()))  # never sent
    step = ahead.commit(by_reference=[ahead.pending[0].ref])
    is_void(bob.receive(step.commit), "§12.4.2")


def test_two_proposals_for_one_leaf_are_void(trio: list[Group]) -> None:
    alice, bob, carol = trio
    carol, update = carol.propose_update()
    alice, bob = taken(alice.receive(update)), taken(bob.receive(update))
    step = forged(alice, Remove(CAROL), by_reference=[alice.pending[0].ref])
    is_void(bob.receive(step.commit), "§12.2")
    own = forged(carol, by_reference=[carol.pending[0].ref])
    is_void(bob.receive(own.commit), "§12.2", CAROL)


# ----------------------------------------------------------------------------------------- tags, signatures, envelopes


def remade(group: Group, step: Step, *, tag: bytes | None = None, content: FramedContent | None = None) -> bytes:
    """A public commit with another confirmation tag or content, under a good membership tag."""
    body = MLSMessage.decode(step.commit).body
    assert isinstance(body, PublicMessage)
    auth = FramedContentAuthData(body.auth.signature, tag or body.auth.confirmation_tag)
    message = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, content or body.content, auth)
    state = group.state
    return encode_message(show(FAST, state.secrets.membership_key, message, state.context.encode()))


@pytest.mark.parametrize("path", [True, False])
def test_a_wrong_confirmation_tag_is_void_to_all(trio: list[Group], path: bool) -> None:
    alice, bob, carol = trio
    step = alice.commit(adds=[package()], private=False, path=path)
    bad = remade(alice, step, tag=bytes(FAST.hash_length))
    assert is_void(bob.receive(bad), "§12.4.2") == carol.receive(bad)
    assert isinstance(bob.receive(remade(alice, step)), Committed)


def test_another_content_under_the_same_signature_is_void(trio: list[Group]) -> None:
    alice, bob, _ = trio
    step = alice.commit(private=False)
    body = MLSMessage.decode(step.commit).body
    assert isinstance(body, PublicMessage)
    other = changed(body.content, authenticated_data=b"changed")
    is_void(bob.receive(remade(alice, step, content=other)), "§6.1", None)
    posing = changed(body.content, sender=Sender.member(CAROL))
    is_void(bob.receive(remade(alice, step, content=posing)), "§6.1", None)
    nobody = changed(body.content, sender=Sender.member(LeafIndex(9)))
    is_void(bob.receive(remade(alice, step, content=nobody)), "§6.1", None)


def test_a_path_that_leads_nobody_is_everyones_loss_and_one_that_misses_me_is_mine(trio: list[Group]) -> None:
    alice, bob, carol = trio
    real = treekem.encrypt_with_label
    spoiled = bob.state.own_leaf_node.encryption_key

    def for_all_but_bob(suite: Any, public: bytes, *rest: Any) -> HPKECiphertext:
        sealed = real(suite, public, *rest)
        return changed(sealed, ciphertext=bytes(len(sealed.ciphertext))) if public == spoiled else sealed

    with mock.patch.object(treekem, "encrypt_with_label", for_all_but_bob):
        step = alice.commit(authenticated_data=b"position")
    lost = bob.receive(step.commit)
    assert isinstance(lost, CannotFollow)
    assert (lost.signer, lost.authenticated_data, lost.has_path) == (ALICE, b"position", True)
    assert isinstance(carol.receive(step.commit), Committed)

    def for_nobody(suite: Any, public: bytes, label: str, context: bytes, _: bytes) -> HPKECiphertext:
        return real(suite, public, label, context, bytes(FAST.hash_length))  # opens, to a secret of another key

    with mock.patch.object(treekem, "encrypt_with_label", for_nobody):
        step = alice.commit()
    for member in (bob, carol):
        lost = member.receive(step.commit)
        assert isinstance(lost, CannotFollow)
        assert "another key" in lost.reason


def test_a_path_that_does_not_fit_the_tree_is_void(trio: list[Group]) -> None:
    alice, bob, carol = trio
    real = treekem.NewPath.seal

    def shorter(self: Any, context: bytes, added: Any) -> treekem.UpdatePath:
        path = real(self, context, added)
        return treekem.UpdatePath(path.leaf_node, path.nodes[1:])

    with mock.patch.object(treekem.NewPath, "seal", shorter):
        step = alice.commit()
    assert is_void(bob.receive(step.commit), "§7.6") == carol.receive(step.commit)

    def unsigned(self: Any, context: bytes, added: Any) -> treekem.UpdatePath:
        path = real(self, context, added)
        return treekem.UpdatePath(changed(path.leaf_node, signature=bytes(3373)), path.nodes)

    with mock.patch.object(treekem.NewPath, "seal", unsigned):
        step = alice.commit()
    is_void(bob.receive(step.commit), "§7.3")


@pytest.mark.parametrize("private", [True, False])
def test_every_flipped_bit_ends_in_a_verdict_and_changes_nothing(trio: list[Group], private: bool) -> None:
    alice, bob, _ = trio
    step = alice.commit(private=private)
    before = bob.encode_epoch(), bob.encode_ratchets()
    for at in range(0, len(step.commit), max(1, len(step.commit) // 150)):
        flipped = bytearray(step.commit)
        flipped[at] ^= 1 << at % 8
        outcome = bob.receive(bytes(flipped))
        assert type(outcome).__name__ in {"Void", "Past", "Future"}, outcome
    for cut in range(0, len(step.commit), 97):
        assert isinstance(bob.receive(step.commit[:cut]), Void)
    assert (bob.encode_epoch(), bob.encode_ratchets()) == before
    assert isinstance(bob.receive(step.commit), Committed)


def test_messages_of_other_kinds_and_groups_are_void(trio: list[Group]) -> None:
    alice, bob, _ = trio
    (stranger,) = found("stranger")
    _, elsewhere = Group.create(FAST, b"another group", keys("x"), now=NOW).protect(b"")
    for message in (alice.group_info(), elsewhere, b""):
        is_void(bob.receive(message), "§6", None)
    del stranger


# --------------------------------------------------------------------------------------------------------- our own


def claiming_to_be(victim: LeafIndex, member: Group, payload: bytes = b"words in another's mouth") -> bytes:
    """What a member can do to pose as another: seal with the other's keys, but sign only with its own."""
    body = framed(member.group_id, member.epoch, Sender.member(victim), b"", payload)
    context = member.state.context.encode()
    message = authenticated(FAST, member.state.signing, WireFormat.PRIVATE_MESSAGE, body, context)
    from securechan.mls.protection import seal

    sealed = seal(FAST, member.state.secrets.sender_data, member.ratchets, victim, message, 0)[1]
    return encode_message(sealed)


def test_only_a_signature_proves_that_a_message_is_ours(trio: list[Group]) -> None:
    alice, bob, carol = trio
    posing = claiming_to_be(BOB, alice)
    assert isinstance(carol.receive(posing), Void)
    assert isinstance(bob.receive(posing), Void)  # a generation that bob never used: it can be checked, and fails
    after, sent = bob.protect(b"really mine")
    assert bob.receive(sent) == Own(
        ContentType.APPLICATION, 0, proven=True, plaintext=b"really mine"
    )  # to the state before, proof of a later one
    assert after.receive(sent) == Own(ContentType.APPLICATION, 0, proven=False)
    assert after.receive(posing) == Own(ContentType.APPLICATION, 0, proven=False)  # so bytes must be compared


def test_application_data_in_the_clear_is_void(trio: list[Group]) -> None:
    alice, bob, _ = trio
    body = framed(alice.group_id, alice.epoch, Sender.member(ALICE), b"", b"payload")
    message = authenticated(FAST, alice.state.signing, WireFormat.PUBLIC_MESSAGE, body, alice.state.context.encode())
    wire = encode_message(PublicMessage(body, message.auth, b"tag"))
    is_void(bob.receive(wire), "§6", None)


# ----------------------------------------------------------------------------------------------------- from outside

WATCHER_PRIVATE, WATCHER = FAST.signature.generate()
SENDERS = Extension(
    ExtensionType.EXTERNAL_SENDERS,
    ExternalSenders((ExternalSender(WATCHER, Credential.of(keys("w").credential)),)).encode(),
)


def from_outside(group: Group, sender: Sender, body: Body, key: bytes = WATCHER_PRIVATE) -> bytes:
    content = framed(group.group_id, group.epoch, sender, b"", Proposal.of(body))
    message = authenticated(FAST, key, WireFormat.PUBLIC_MESSAGE, content, group.state.context.encode())
    return encode_message(show(FAST, b"", message, group.state.context.encode()))


def test_an_external_sender_proposes_and_a_member_commits() -> None:
    alice, bob = found("alice", "bob", extensions=(SENDERS,))
    for wrong, rule in (
        (from_outside(bob, Sender(SenderType.EXTERNAL, 1), Remove(BOB)), "§6.1"),
        (from_outside(bob, Sender(SenderType.EXTERNAL, 0), ExternalInit(b"")), "§12.1.8"),
        (from_outside(bob, Sender(SenderType.EXTERNAL, 0), Remove(BOB), alice.state.signing.private), "§6.1"),
        (from_outside(bob, Sender(SenderType.NEW_MEMBER_PROPOSAL, None), Remove(BOB)), "§6.1"),
        (from_outside(bob, Sender(SenderType.NEW_MEMBER_COMMIT, None), Remove(BOB)), "§6.1"),
    ):
        is_void(alice.receive(wrong), rule, None)
    message = from_outside(bob, Sender(SenderType.EXTERNAL, 0), Add(package("carol")))
    alice, bob = taken(alice.receive(message)), taken(bob.receive(message))
    assert alice.pending[0].sender == Sender(SenderType.EXTERNAL, 0)
    outcome = bob.receive(alice.commit(by_reference=[alice.pending[0].ref]).commit)
    assert isinstance(outcome, Committed)
    assert outcome.added == (CAROL,)


def test_a_newcomer_proposes_itself(trio: list[Group]) -> None:
    alice, bob, _ = trio
    dora = bundle("dora")
    message = from_outside(
        alice, Sender(SenderType.NEW_MEMBER_PROPOSAL, None), Add(dora.key_package), dora.signature_private
    )
    outcome = bob.receive(message)
    assert isinstance(outcome, Proposed)
    assert outcome.sender is None
    alice = taken(alice.receive(message))
    step = alice.commit(by_reference=[outcome.ref])
    assert isinstance(outcome.group.receive(step.commit), Committed)
    assert Group.join(step.welcomes[0], dora, now=NOW).epoch == step.next.epoch


def external(group: Group, *bodies: Body, refs: Sequence[bytes] = ()) -> bytes:
    """A commit from outside with these proposals in place of those it should have."""
    real = ProposalOrRef.of
    items = tuple(real(Proposal.of(body)) for body in bodies) + tuple(real(ref) for ref in refs)
    from securechan.mls import join

    with mock.patch.object(join, "Commit", lambda proposals, path: Commit(items or proposals[1:], path)):
        return Group.join_from_outside(FAST, group.group_info(), keys("eve"))[1]


def test_an_external_commit_has_its_own_short_list(trio: list[Group]) -> None:
    alice, bob, _ = trio
    init = ExternalInit(bytes(1120))
    bob = taken(bob.receive(proposed(alice, Remove(CAROL))))
    is_void(bob.receive(external(alice, init, refs=[bob.pending[0].ref])), "§12.4.3.2", None)
    for message in (
        external(alice),
        external(alice, init, init),
        external(alice, init, Remove(ALICE), Remove(CAROL)),
        external(alice, init, Add(package())),
        external(alice, init, PreSharedKey(PSK), PreSharedKey(PSK)),
        external(alice, init, refs=[b"ref"]),
    ):
        outcome = bob.receive(message)
        assert isinstance(outcome, Void)
        assert outcome.rule.split(" #")[0] in {"RFC 9420 §12.2", "RFC 9420 §12.4.2", "RFC 9420 §12.4.3.2"}


# ------------------------------------------------------------------------------------------------------- proposals


def updated(group: Group, **values: Any) -> LeafNode:
    key: KemKey = FAST.hpke.kem.load(FAST.hpke.kem.generate()[0])
    leaf = changed(
        group.state.own_leaf_node,
        **{"encryption_key": key.public, "source": LeafNodeSource.UPDATE, "origin": None, **values},
    )
    return leaf.signed(FAST, group.state.signing, group.group_id, group.own_leaf)  # type: ignore[no-any-return]  # of any leaf


def proposed(group: Group, body: Body) -> bytes:
    content = framed(group.group_id, group.epoch, Sender.member(group.own_leaf), b"", Proposal.of(body))
    message = authenticated(FAST, group.state.signing, WireFormat.PUBLIC_MESSAGE, content, group.state.context.encode())
    return encode_message(show(FAST, group.state.secrets.membership_key, message, group.state.context.encode()))


def test_updates_against_the_rules_are_void(trio: list[Group]) -> None:
    alice, bob, _ = trio
    old = alice.state.own_leaf_node
    for leaf, rule in (
        (updated(alice, encryption_key=old.encryption_key), "§7.3"),
        (updated(alice, source=LeafNodeSource.COMMIT, origin=b""), "§7.3"),
        (updated(alice, capabilities=changed(old.capabilities, versions=(2,))), "§7.3"),
        (updated(alice, capabilities=changed(old.capabilities, cipher_suites=(1,))), "§7.3"),
        (updated(alice, capabilities=changed(old.capabilities, credentials=())), "§7.2"),
        (updated(alice, extensions=UNKNOWN), "§7.3"),
        (updated(alice, extensions=DOUBLED), "§13.4"),
        (changed(updated(alice), signature=bytes(3373)), "§7.3"),
    ):
        is_void(bob.receive(proposed(alice, Update(leaf))), rule)
    assert isinstance(bob.receive(proposed(alice, Update(updated(alice)))), Proposed)


def test_a_newcomer_proposes_nothing_but_itself(trio: list[Group]) -> None:
    state = trio[0].state
    newcomer = Sender(SenderType.NEW_MEMBER_PROPOSAL, None)
    with pytest.raises(Invalid, match="nothing but its own"):
        check_proposal(FAST, state.context, state.tree, Proposal.of(Remove(BOB)), newcomer)


def test_only_members_update(trio: list[Group]) -> None:
    state = trio[0].state
    update = Proposal.of(Update(state.own_leaf_node))
    for sender in (Sender(SenderType.MEMBER, 9), Sender(SenderType.NEW_MEMBER_COMMIT, None)):
        with pytest.raises(Invalid, match="only members"):
            check_proposal(FAST, state.context, state.tree, update, sender)


def test_an_older_version_is_no_new_beginning(trio: list[Group]) -> None:
    state = trio[0].state
    context = changed(state.context, version=2)  # of a protocol yet to come
    body = Proposal.of(ReInit(b"", ProtocolVersion.MLS10, FAST.number, ()))
    with pytest.raises(Invalid, match="older version"):
        check_proposal(FAST, context, state.tree, body, Sender.member(ALICE))


def test_an_encryption_key_stands_in_the_tree_once(trio: list[Group]) -> None:
    alice, bob, _ = trio
    newcomer = bundle("dora")
    leaf = changed(newcomer.key_package.leaf_node, encryption_key=bob.state.own_leaf_node.encryption_key, signature=b"")
    unsigned = changed(newcomer.key_package, leaf_node=leaf.signed(FAST, newcomer.signature_private))
    signature = sign_with_label(FAST, newcomer.signature_private, "KeyPackageTBS", unsigned.to_be_signed())
    step = forged(alice, Add(changed(unsigned, signature=signature)))
    assert "encryption key" in is_void(bob.receive(step.commit), "§7.3").reason


def test_a_proposal_to_remove_nobody_is_void(trio: list[Group]) -> None:
    alice, bob, _ = trio
    is_void(bob.receive(proposed(alice, Remove(LeafIndex(7)))), "§12.1.3")


def test_a_key_that_is_none_is_refused_before_anyone_has_to_use_it(trio: list[Group]) -> None:
    alice, bob, _ = trio
    for key in (b"short", b"\xff" * 1216, bytes(1216)):
        outcome = bob.receive(proposed(alice, Update(updated(alice, encryption_key=key))))
        assert isinstance(outcome, Void)
        assert outcome.signer == ALICE


def test_credential_types_must_be_understood_by_all(trio: list[Group]) -> None:
    from securechan.mls.nodes import X509Credential

    alice, bob, _ = trio
    able = changed(alice.state.own_leaf_node.capabilities, credentials=(1, 2))
    leaf = updated(alice, credential=Credential.of(X509Credential((b"certificate",))), capabilities=able)
    message = proposed(alice, Update(leaf))
    carol, bob = taken(trio[2].receive(message)), taken(bob.receive(message))
    is_void(carol.receive(forged(bob, by_reference=[bob.pending[0].ref]).commit), "§7.3", BOB)
    assert leaf.identity == X509Credential((b"certificate",)).encode()


def test_the_proposals_of_an_epoch_are_bounded(trio: list[Group]) -> None:
    alice, bob, _ = trio
    full = replace(
        bob, pending=bob.pending + (taken(bob.receive(proposed(alice, Remove(CAROL)))).pending * MAX_PENDING)
    )
    outcome = full.receive(proposed(alice, Remove(BOB)))
    assert isinstance(outcome, Void)
    assert "more than" in outcome.reason


def test_a_private_message_opens_once_and_in_any_order(trio: list[Group]) -> None:
    alice, bob, _ = trio
    messages = []
    for number in range(5):
        alice, message = alice.protect(b"%d" % number)
        messages.append(message)
    for number in (3, 0, 4, 1):
        outcome = bob.receive(messages[number])
        assert isinstance(outcome, Application)
        assert (outcome.plaintext, outcome.generation) == (b"%d" % number, number)
        bob = outcome.group
        assert isinstance(bob.receive(messages[number]), Void)
    outcome = follow(alice.commit(), [bob])[1].receive(messages[2])
    assert type(outcome).__name__ == "Past"  # what came too late for its epoch isn't kept a key for


def test_a_private_message_of_nobody_is_void(trio: list[Group]) -> None:
    alice, bob, _ = trio
    body = MLSMessage.decode(claiming_to_be(LeafIndex(3), alice)).body  # a blank leaf has ratchets, but no member
    assert isinstance(body, PrivateMessage)
    is_void(bob.receive(encode_message(body)), "§6.3.2", None)
