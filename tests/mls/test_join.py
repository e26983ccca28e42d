"""§12.4.3: a newcomer believes nothing: a founder who lies about one thing in a Welcome is caught at that thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from securechan.codec import encode
from securechan.crypto.secret import Secret
from securechan.crypto.suite import SUITES
from securechan.errors import BadSignature, CannotOpen, Invalid, Misuse, SecurechanError
from securechan.mls.extensions import Extension, RequiredCapabilities, find
from securechan.mls.group import Group
from securechan.mls.join import check_tree
from securechan.mls.keypackage import KeyPackageBundle
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.nodes import TreeSlot
from securechan.mls.outcomes import CannotFollow, Committed
from securechan.mls.psk import EpochId, ExternalPSK, PreSharedKeyID, psk_secret
from securechan.mls.registry import ExtensionType, NodeType, PSKType
from securechan.mls.schedule import Intermediate
from securechan.mls.send import Step
from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import LeafIndex, NodeIndex, node_of
from securechan.mls.welcome import (
    GroupInfo,
    GroupSecrets,
    PathSecret,
    Welcome,
    open_group_info,
    open_secrets,
    seal_group_info,
    seal_secrets,
)
from tests.support.mls import FAST, NOW, agree, bundle, follow, found, keys

T = TypeVar("T")


def altered(struct: Any, **values: Any) -> Any:
    return type(struct)(**{**{k: v for k, v in struct.__dict__.items() if k != "_wire"}, **values})


class Liar:
    """A founder who has added one newcomer and can write the Welcome again as it likes."""

    def __init__(self) -> None:
        alice, _ = found("alice", "bob")
        self.bundle: KeyPackageBundle = bundle("carol")
        self.step: Step = alice.commit(adds=[self.bundle.key_package])
        body = MLSMessage.decode(self.step.welcomes[0]).body
        assert isinstance(body, Welcome)
        self.reference = self.bundle.reference(FAST)
        sealed = body.secrets_for(self.reference)
        self.secrets = open_secrets(FAST, self.bundle.init_private, sealed, body.encrypted_group_info)
        self.info = open_group_info(FAST, self.welcome_secret(self.secrets), body.encrypted_group_info)

    @staticmethod
    def welcome_secret(secrets: GroupSecrets) -> Secret:
        return Intermediate.of(FAST, secrets.joiner_secret, psk_secret(FAST, ())).welcome_secret

    def signed(self, **values: Any) -> GroupInfo:
        """The group info with other values, under a good signature."""
        info = altered(self.info, **values)
        signer = self.step.next.state.signing
        return GroupInfo.signed(FAST, signer, info.group_context, info.extensions, info.confirmation_tag, info.signer)

    def with_tree(self, tree: bytes, **context: Any) -> GroupInfo:
        return self.signed(
            group_context=altered(self.info.group_context, **context),
            extensions=(Extension(ExtensionType.RATCHET_TREE, tree),),
        )

    def welcome(self, info: GroupInfo | None = None, secrets: GroupSecrets | None = None) -> bytes:
        secrets = secrets or self.secrets
        sealed_info = seal_group_info(FAST, self.welcome_secret(secrets), info or self.info)
        entry = seal_secrets(FAST, self.reference, self.bundle.key_package.init_key, secrets, sealed_info)
        return encode_message(Welcome(FAST.number, (entry,), sealed_info))

    def tree(self) -> RatchetTree:
        data = find(self.info.extensions, ExtensionType.RATCHET_TREE)
        assert data is not None
        return RatchetTree.decode(FAST, data)


@pytest.fixture(scope="module")
def liar() -> Liar:
    return Liar()


def refused(liar: Liar, welcome: bytes, rule: str) -> None:
    with pytest.raises(Invalid) as caught:
        Group.join(welcome, liar.bundle, now=NOW)
    assert caught.value.rule.split(" #")[0] == f"RFC 9420 {rule}", caught.value


def test_an_honest_welcome_written_again_is_good(liar: Liar) -> None:
    agree([liar.step.next, Group.join(liar.welcome(), liar.bundle, now=NOW)])
    agree([liar.step.next, Group.join(liar.welcome(), liar.bundle, now=None, suite=FAST)])


def test_a_group_info_is_signed_by_a_member(liar: Liar) -> None:
    with pytest.raises(BadSignature):
        Group.join(liar.welcome(altered(liar.info, signature=bytes(3373))), liar.bundle, now=NOW)
    with pytest.raises(BadSignature):
        Group.join(liar.welcome(liar.signed(signer=1)), liar.bundle, now=NOW)  # alice signs as bob
    refused(liar, liar.welcome(liar.signed(signer=3)), "§12.4.3")


def test_a_confirmation_tag_must_fit(liar: Liar) -> None:
    with pytest.raises(CannotOpen, match="confirmation tag"):
        Group.join(liar.welcome(liar.signed(confirmation_tag=bytes(48))), liar.bundle, now=NOW)
    context = altered(liar.info.group_context, epoch=77)
    with pytest.raises(CannotOpen, match="confirmation tag"):
        Group.join(liar.welcome(liar.signed(group_context=context)), liar.bundle, now=NOW)


def test_the_suite_must_be_the_one_asked_for(liar: Liar) -> None:
    context = altered(liar.info.group_context, cipher_suite=1)
    refused(liar, liar.welcome(liar.signed(group_context=context)), "§12.4.3.1")
    with pytest.raises(Invalid, match="suite"):
        Group.join(liar.welcome(), liar.bundle, now=NOW, suite=SUITES["cnsa"])


def test_the_tree_must_be_the_one_that_the_context_names(liar: Liar) -> None:
    smaller = liar.tree().remove(LeafIndex(1))
    refused(liar, liar.welcome(liar.with_tree(smaller.encode())), "§12.4.3.1")
    refused(liar, liar.welcome(liar.signed(extensions=())), "§12.4.3.3")
    refused(liar, liar.welcome(liar.signed(extensions=liar.info.extensions * 2)), "§13.4")


def test_a_tree_of_forged_parts_is_refused(liar: Liar) -> None:
    tree = liar.tree()
    without_me = tree.remove(LeafIndex(2))
    refused(liar, liar.welcome(liar.with_tree(without_me.encode(), tree_hash=without_me.tree_hash)), "§12.4.3.1")
    alice, bob = tree.leaf(LeafIndex(0)), tree.leaf(LeafIndex(1))
    assert alice is not None
    assert bob is not None
    posing = altered(alice, credential=altered(alice.credential, body=keys("the minister").credential))
    for at, leaf, error in (
        (0, posing, BadSignature),
        (2, altered(bob, encryption_key=alice.encryption_key), Invalid),
    ):
        forged = tree.with_nodes([(NodeIndex(at), leaf)])
        with pytest.raises(error):
            check_tree(forged, altered(liar.info.group_context, tree_hash=forged.tree_hash))
        with pytest.raises(error):
            Group.join(liar.welcome(liar.with_tree(forged.encode(), tree_hash=forged.tree_hash)), liar.bundle, now=NOW)


def test_a_tree_of_the_wrong_shape_is_refused(liar: Liar) -> None:
    nodes = [None if node is None else TreeSlot(NodeType.LEAF, node) for node in liar.tree().nodes[::2]]
    data = encode(tuple[TreeSlot | None, ...], tuple(nodes))
    refused(liar, liar.welcome(liar.with_tree(data)), "§12.4.3.3")


def test_the_context_may_not_ask_what_the_newcomer_cannot(liar: Liar) -> None:
    wanted = Extension(ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities((), (0xF0F0,), ()).encode())
    context = altered(liar.info.group_context, extensions=(wanted,))
    refused(liar, liar.welcome(liar.signed(group_context=context)), "§7.3")
    wanted = Extension(ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities((), (), (2,)).encode())
    context = altered(liar.info.group_context, extensions=(wanted,))
    refused(liar, liar.welcome(liar.signed(group_context=context)), "§7.3")


def test_a_path_secret_must_make_the_keys_of_the_tree(liar: Liar) -> None:
    wrong = altered(liar.secrets, path_secret=PathSecret(Secret(bytes(48))))
    refused(liar, liar.welcome(secrets=wrong), "§7.4")
    group = Group.join(liar.welcome(secrets=altered(liar.secrets, path_secret=None)), liar.bundle, now=NOW)
    assert set(group.state.private) == {4}  # legal, if unkind: this member holds its own key only


def test_preshared_keys_must_be_held_and_named_once(liar: Liar) -> None:
    psk = PreSharedKeyID(PSKType.EXTERNAL, ExternalPSK(b"id"), bytes(48))
    refused(liar, liar.welcome(secrets=altered(liar.secrets, psks=(psk, psk))), "§12.2")
    with pytest.raises(CannotOpen, match="isn't known here"):
        Group.join(liar.welcome(secrets=altered(liar.secrets, psks=(psk,))), liar.bundle, now=NOW)


def test_a_welcome_is_for_one_key_package(liar: Liar) -> None:
    with pytest.raises(CannotOpen, match="other key packages"):
        Group.join(liar.welcome(), bundle("dora"), now=NOW)
    with pytest.raises(CannotOpen):
        Group.join(liar.welcome(), replace(liar.bundle, init_private=FAST.hpke.kem.generate()[0]), now=NOW)
    with pytest.raises(Invalid, match="private key"):
        Group.join(liar.welcome(), replace(liar.bundle, encryption_private=FAST.hpke.kem.generate()[0]), now=NOW)


def test_our_own_key_package_must_be_alive(liar: Liar) -> None:
    for now in (NOW - 7200, NOW + 29 * 86400):
        with pytest.raises(Invalid, match="lifetime"):
            Group.join(liar.welcome(), liar.bundle, now=now)


def test_every_flipped_bit_is_refused(liar: Liar) -> None:
    welcome = liar.welcome()
    for at in range(0, len(welcome), len(welcome) // 100):
        flipped = bytearray(welcome)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(SecurechanError):
            Group.join(bytes(flipped), liar.bundle, now=NOW)


def test_the_leaves_are_checked_by_whoever_the_caller_names() -> None:
    """All of them, each once, and what fails elsewhere fails here."""
    liar, seen = Liar(), list[int]()

    def backwards(act: Callable[[T], None], items: Sequence[T], /) -> Iterable[None]:
        seen.append(len(items))
        return [act(item) for item in reversed(items)]

    (welcome,) = liar.step.welcomes
    joined = Group.join(welcome, liar.bundle, now=NOW, suite=FAST, each=backwards)
    agree([liar.step.next, joined])
    assert seen == [1]

    tree = liar.tree()
    wrong = altered(tree.leaf(LeafIndex(1)), signature=bytes(FAST.signature.signature_length))
    blank = [(NodeIndex(at), None) for at in range(1, len(tree.nodes), 2)]
    forged = tree.with_nodes([*blank, (node_of(LeafIndex(1)), wrong)])
    with pytest.raises(BadSignature):
        check_tree(forged, altered(liar.info.group_context, tree_hash=forged.tree_hash), each=backwards)


def test_who_comes_from_outside_may_show_that_it_was_there() -> None:
    """§12.4.3.2: a resync that mixes in the resumption key of an epoch that both sides went through."""
    alice, bob = found("alice", "bob")
    keys_of_then = bob.resumption_keys()
    then = EpochId(bob.group_id, bob.epoch)
    options: dict[str, Any] = {"replacing": bob.own_leaf, "psk_ids": [then, b"named"]}
    with pytest.raises(Misuse, match="not handed in"):
        Group.join_from_outside(FAST, alice.group_info(), keys("bob"), **options, psks=keys_of_then)
    named = {b"named": b"from outside"}
    back, commit = Group.join_from_outside(
        FAST, alice.group_info(), keys("bob"), **options, psks={**keys_of_then, **named}
    )
    outcome = alice.receive(commit, psks=named)
    assert isinstance(outcome, Committed)
    assert outcome.effects is not None
    assert [psk.name for psk in outcome.effects.applied.psks] == [then, b"named"]
    agree([outcome.group, back])
    assert isinstance(alice.receive(commit), CannotFollow)


def test_resumption_keys_go_from_group_to_group() -> None:
    """§8.4, §8.6: of this group's epochs, and of another's."""
    alice, bob = found("alice", "bob")
    first = EpochId(alice.group_id, alice.epoch)
    step = alice.commit()
    alice, bob = follow(step, [bob])
    alice, bob = follow(alice.commit(psk_ids=[first]), [bob])
    agree([alice, bob])
    other = Group.create(FAST, b"another group", keys("alice"), now=NOW)
    new = bundle("bob")
    made = other.commit(adds=[new.key_package], psk_ids=[first], psks=alice.resumption_keys())
    with pytest.raises(CannotOpen, match="isn't known here"):
        Group.join(made.welcomes[0], new, now=NOW)
    agree([made.next, Group.join(made.welcomes[0], new, now=NOW, psks=bob.resumption_keys())])
