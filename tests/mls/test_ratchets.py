"""§9: the official secret trees; keys come in any order, once each, and their number is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Malformed, Misuse
from securechan.mls.protection import sender_data_key
from securechan.mls.ratchets import MAX_GENERATION, MAX_JUMP, MAX_SKIPPED, Ratchet, Ratchets, RatchetsState
from securechan.mls.registry import ContentType
from securechan.mls.treemath import LeafIndex
from tests.support.mls import FAST, RFC_SUITES, of_suite, unhex

ZERO = LeafIndex(0)


def fresh(leaves: int = 4) -> Ratchets:
    return Ratchets.start(leaves, Secret(bytes(FAST.hash_length)))


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_vectors(number: int) -> None:
    for suite, case in of_suite("secret-tree", number):
        data = case["sender_data"]
        key, nonce = sender_data_key(suite, unhex(data["sender_data_secret"]), unhex(data["ciphertext"]))
        assert (key, nonce) == (unhex(data["key"]), unhex(data["nonce"]))
        ratchets = Ratchets.start(len(case["leaves"]), Secret(unhex(case["encryption_secret"])))
        for index, generations in enumerate(case["leaves"]):
            leaf = LeafIndex(index)
            for wanted in generations:
                for content_type, kind in ((ContentType.APPLICATION, "application"), (ContentType.COMMIT, "handshake")):
                    ratchets, got = ratchets.take(suite, leaf, content_type, wanted["generation"])
                    assert got.key == unhex(wanted[f"{kind}_key"])
                    assert got.nonce == unhex(wanted[f"{kind}_nonce"])


@given(st.permutations(range(12)), st.lists(st.sampled_from([0, 1, 2, 3]), min_size=12, max_size=12))
@settings(max_examples=30)
def test_keys_come_in_any_order_and_once_each(order: list[int], leaves: list[int]) -> None:
    """Whoever takes generations in order gets the same keys as one who takes them in any other."""
    straight, shuffled = fresh(), fresh()
    expected = {}
    for generation in range(12):
        for leaf in range(4):
            straight, expected[leaf, generation] = straight.take(
                FAST, LeafIndex(leaf), ContentType.APPLICATION, generation
            )
    for generation in order:
        leaf = LeafIndex(leaves[generation])
        before = shuffled
        shuffled, key = shuffled.take(FAST, leaf, ContentType.APPLICATION, generation)
        assert key == expected[leaf, generation]
        with pytest.raises(CannotOpen):
            shuffled.take(FAST, leaf, ContentType.APPLICATION, generation)
        assert before.take(FAST, leaf, ContentType.APPLICATION, generation)[1] == key  # a value doesn't change
    assert Ratchets.decode(shuffled.encode()) == shuffled


def test_no_secret_remains_from_which_a_spent_key_follows() -> None:
    ratchets, _ = fresh().take(FAST, LeafIndex(2), ContentType.APPLICATION, 0)
    assert set(ratchets.secrets) == {1, 6}  # the root (3) and the nodes above leaf 2 (5, 4) are gone
    assert ratchets.ratchets[2, 1].generation == 1


def test_proposals_and_commits_share_the_handshake_ratchet() -> None:
    ratchets, first = fresh().take(FAST, ZERO, ContentType.PROPOSAL, 0)
    with pytest.raises(CannotOpen):
        ratchets.take(FAST, ZERO, ContentType.COMMIT, 0)
    assert ratchets.next_generation(ZERO, ContentType.COMMIT) == 1
    assert ratchets.take(FAST, ZERO, ContentType.APPLICATION, 0)[1] != first


def test_a_jump_is_bounded_and_so_is_what_it_leaves_behind() -> None:
    with pytest.raises(CannotOpen, match="too far ahead"):
        fresh().take(FAST, ZERO, ContentType.APPLICATION, MAX_JUMP + 1)
    ratchets, _ = fresh().take(FAST, ZERO, ContentType.APPLICATION, MAX_JUMP)
    assert len(ratchets.ratchets[0, 1].skipped) == MAX_SKIPPED
    ratchets, _ = ratchets.take(FAST, ZERO, ContentType.APPLICATION, MAX_JUMP + 5)
    assert len(ratchets.ratchets[0, 1].skipped) == MAX_SKIPPED
    oldest = ratchets.ratchets[0, 1].skipped[0].generation
    with pytest.raises(CannotOpen, match="used up"):
        ratchets.take(FAST, ZERO, ContentType.APPLICATION, oldest - 1)
    ratchets, _ = ratchets.take(FAST, ZERO, ContentType.APPLICATION, oldest)


def test_who_will_keep_less_from_now_on_keeps_less_at_the_next_key() -> None:
    ratchets, _ = fresh().take(FAST, ZERO, ContentType.APPLICATION, 5)
    for generation, keep, kept in ((6, 3, [2, 3, 4]), (8, 2, [4, 7]), (9, 0, [])):
        ratchets, _ = ratchets.take(FAST, ZERO, ContentType.APPLICATION, generation, keep)
        assert [key.generation for key in ratchets.ratchets[0, 1].skipped] == kept


def test_there_is_a_last_generation_and_no_leaf_beyond_the_tree() -> None:
    worn = Ratchet(0, 1, MAX_GENERATION, Secret(bytes(48)), ())
    with pytest.raises(CannotOpen, match="last generation"):
        worn.key_at(FAST, MAX_GENERATION)
    with pytest.raises(CannotOpen, match="no leaf 4"):
        fresh().take(FAST, LeafIndex(4), ContentType.APPLICATION, 0)


def test_a_secret_tree_without_secrets_is_our_fault() -> None:
    with pytest.raises(Misuse):
        Ratchets(4, {}, {}).take(FAST, ZERO, ContentType.APPLICATION, 0)


def test_a_state_of_an_impossible_tree_is_refused() -> None:
    for leaves in (0, 3):
        with pytest.raises(Malformed):
            Ratchets.decode(RatchetsState(leaves, (), ()).encode())
