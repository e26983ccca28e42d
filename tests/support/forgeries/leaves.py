"""RFC 9420 §7.2, §7.3, broken: leaves that say too little, too much, or are not theirs who sign."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from securechan.mls.credentials import Presented, check_end_entity
from securechan.mls.group import Group
from securechan.mls.keypackage import LeafKeys
from securechan.mls.nodes import Credential, X509Credential
from securechan.mls.proposals import (
    Add,
    Update,
)
from securechan.mls.registry import (
    LeafNodeSource,
)
from securechan.mls.rules import Rule
from securechan.mls.terms import Terms
from securechan.mls.treekem import UpdatePath
from securechan.mls.treemath import NodeIndex
from tests.support.forgeries.base import (
    ABLE,
    ALICE,
    DORA,
    SUITE,
    UNKNOWN,
    Attempt,
    Heard,
    Tried,
    adds,
    bob,
    breaks,
    commits,
    demanding,
    dora,
    forger,
    inviter,
    joins,
    trio,
    updates,
)
from tests.support.mls import NOW, bundle, keys, taken
from tests.support.mls_forge import Forger, changed, releafed, resigned


def certificate(key: bytes) -> bytes:
    """Of somebody's own making, about this key."""
    signing = Ed25519PrivateKey.from_private_bytes(key)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "alice")])
    since = datetime.fromtimestamp(NOW, UTC)
    builder = x509.CertificateBuilder(name, name, signing.public_key(), 1, since, since + timedelta(days=28))
    return builder.sign(signing, None).public_bytes(Encoding.DER)


@breaks(Rule.END_ENTITY)
def a_certificate_of_another_key() -> Attempt:
    mine, other = SUITE.signature.generate(), SUITE.signature.generate()
    good = Presented(Credential.of(X509Credential((certificate(mine[0]),))), mine[1], ALICE)
    check_end_entity(good)
    return Tried(lambda: check_end_entity(replace(good, signature_key=other[1])))


@breaks(Rule.END_ENTITY)
def a_chain_of_nothing() -> Attempt:
    return Tried(lambda: check_end_entity(Presented(Credential.of(X509Credential(())), b"", None)))


@breaks(Rule.END_ENTITY)
def a_certificate_that_is_none() -> Attempt:
    return Tried(lambda: check_end_entity(Presented(Credential.of(X509Credential((b"der",))), b"", None)))


@breaks(Rule.LISTS_CREDENTIAL)
def a_leaf_that_does_not_list_its_credential() -> Attempt:
    return updates(capabilities=changed(ABLE, credentials=(2,)))


@breaks(Rule.TOTAL_LIFETIME)
def a_key_package_for_ever() -> Attempt:
    strict = replace(bob(), terms=Terms(max_lifetime=90 * 86400))
    return Heard(strict, forger().commit(Add(bundle("dora", SUITE, lifetime=91 * 86400).key_package)))


@breaks(Rule.TOTAL_LIFETIME)
def a_tree_with_a_leaf_for_ever() -> Attempt:
    return joins(inviter().welcome(), terms=Terms(max_lifetime=86400))


@breaks(Rule.LEAF_SIGNED)
def an_update_that_is_not_signed() -> Attempt:
    leaf = forger().leaf()
    return Heard(bob(), forger().proposal(Update(changed(leaf, signature=bytes(64)))))


@breaks(Rule.LEAF_SIGNED)
def a_key_package_with_a_leaf_that_is_not_signed() -> Attempt:
    leaf = changed(dora().key_package.leaf_node, signature=bytes(64))
    return adds(resigned(dora().key_package, SUITE, dora().signature_private, leaf_node=leaf))


@breaks(Rule.LEAF_SIGNED)
def a_path_with_a_leaf_of_another_group() -> Attempt:
    def elsewhere(path: UpdatePath) -> UpdatePath:
        leaf = path.leaf_node.signed(SUITE, trio()[0].state.signing, b"another group", ALICE)
        return UpdatePath(leaf, path.nodes)

    return commits(sealed=elsewhere)


@breaks(Rule.LEAF_SIGNED)
def a_tree_with_an_impostor() -> Attempt:
    leaf = inviter().tree.leaf(DORA)  # unmerged, so no parent hash covers it
    assert leaf is not None
    posing = changed(leaf, credential=Credential.of(keys("the minister", SUITE).credential))
    return joins(inviter().welcome(inviter().planted(inviter().tree.with_nodes([(NodeIndex(6), posing)]))))


def incapable(**values: Any) -> Attempt:
    alice, other = demanding()
    able = changed(ABLE, **values)
    return Heard(other, Forger(alice).commit(Add(bundle("dora", SUITE, capabilities=able).key_package)))


@breaks(Rule.REQUIRED_EXTENSION)
def a_newcomer_without_a_required_extension() -> Attempt:
    return incapable(extensions=())


@breaks(Rule.REQUIRED_EXTENSION)
def a_path_whose_leaf_gives_up_a_required_extension() -> Attempt:
    alice, other = demanding()
    return Heard(other, Forger(alice).commit(leaf={"capabilities": changed(ABLE, extensions=())}))


@breaks(Rule.REQUIRED_PROPOSAL)
def a_newcomer_without_a_required_proposal() -> Attempt:
    return incapable(proposals=())


@breaks(Rule.REQUIRED_CREDENTIAL)
def a_newcomer_without_a_required_credential() -> Attempt:
    return incapable(credentials=(1,))


@breaks(Rule.CREDENTIAL_FOR_ALL)
def a_credential_that_not_all_support() -> Attempt:
    chain = Credential.of(X509Credential((b"certificate",)))
    return commits(leaf={"credential": chain, "capabilities": ABLE})


@breaks(Rule.CREDENTIAL_FOR_ALL)
def a_newcomer_who_cannot_read_the_credentials_in_use() -> Attempt:
    chain = Credential.of(X509Credential((b"certificate",)))
    able = changed(ABLE, credentials=(2,))
    return adds(releafed(dora(), SUITE, credential=chain, capabilities=able))


@breaks(Rule.LIFETIME)
def a_key_package_that_is_over() -> Attempt:
    old = bundle("dora", SUITE, lifetime=10)
    return Heard(bob(), forger().commit(Add(old.key_package)), {"now": NOW + 11})


@breaks(Rule.LIFETIME)
def a_key_package_that_is_over_before_it_is_sent() -> Attempt:
    old = bundle("dora", SUITE, lifetime=10)
    return Tried(lambda: trio()[0].commit(adds=[old.key_package], now=NOW + 11), (trio()[0],))


@breaks(Rule.LIFETIME)
def a_welcome_to_a_key_package_that_is_over() -> Attempt:
    return Tried(lambda: Group.join(inviter().welcome(), dora(), now=NOW + 29 * 86400))


@breaks(Rule.LISTS_EXTENSIONS)
def a_leaf_that_does_not_list_its_extension() -> Attempt:
    return updates(extensions=(UNKNOWN,))


@breaks(Rule.SOURCE_KEY_PACKAGE)
def a_key_package_around_an_update() -> Attempt:
    return adds(releafed(dora(), SUITE, source=LeafNodeSource.UPDATE, origin=None))


@breaks(Rule.SOURCE_UPDATE)
def an_update_that_says_to_be_of_a_path() -> Attempt:
    return updates(source=LeafNodeSource.COMMIT, origin=b"")


@breaks(Rule.FRESH_KEY)
def an_update_that_renews_nothing() -> Attempt:
    return updates(encryption_key=trio()[0].state.own_leaf_node.encryption_key)


@breaks(Rule.SOURCE_COMMIT)
def a_path_whose_leaf_says_to_be_an_update() -> Attempt:
    return commits(leaf={"source": LeafNodeSource.UPDATE, "origin": None})


@breaks(Rule.SIGNATURE_KEYS)
def a_member_with_the_signature_key_of_another() -> Attempt:
    _, member, carol = trio()
    twin = carol.state.own_leaf_node
    leaf = forger().leaf(key=carol.state.signing, signature_key=twin.signature_key)
    message = forger().proposal(Update(leaf))
    carol, member = taken(carol.receive(message)), taken(member.receive(message))
    return Heard(member, Forger(carol).commit(refs=[carol.pending[0].ref]))


@breaks(Rule.SIGNATURE_KEYS)
def a_way_in_with_the_signature_key_of_a_member() -> Attempt:
    """Without `replacing`, which would take the old leaf away."""
    again = LeafKeys(bob().state.signing, keys("bob", SUITE).credential)
    return Tried(lambda: Group.join_from_outside(SUITE, trio()[0].group_info(), again))


@breaks(Rule.ENCRYPTION_KEYS)
def a_newcomer_with_the_encryption_key_of_a_member() -> Attempt:
    return adds(releafed(dora(), SUITE, encryption_key=bob().state.own_leaf_node.encryption_key))


@breaks(Rule.LISTS_VERSION)
def a_leaf_of_another_version() -> Attempt:
    return updates(capabilities=changed(ABLE, versions=(2,)))


@breaks(Rule.LISTS_SUITE)
def a_leaf_of_other_suites() -> Attempt:
    return updates(capabilities=changed(ABLE, cipher_suites=(2, 3)))
