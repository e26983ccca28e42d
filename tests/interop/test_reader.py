"""What the driver of mls-rs reads by itself: a tree's leaves, and what a message shows to all."""

from __future__ import annotations

import pytest

from tests.interop.peers.tree import Reader, envelope, leaves
from tests.interop.sides import Here


@pytest.fixture
def three() -> tuple[Here, list[str]]:
    """A group of ours with every kind of leaf and a filled parent, and its handles."""
    ours = Here()
    offers = [ours("create_key_package", suite=1, identity=name, grease=True) for name in ("one", "two")]
    founder = ours("create_group", suite=1, identity="founder", group_id="aa" * 100)["group"]
    done = ours("add", key_packages=[offer["key_package"] for offer in offers])
    seats = [founder] + [ours("join", welcome=done["welcome"], kp=offer["kp"])["group"] for offer in offers]
    proposal = ours("propose_update", group=seats[1])["proposal"]
    for other in (seats[0], seats[2]):
        ours("process", group=other, message=proposal)
    commit = ours("commit", group=seats[2])["commit"]
    for other in seats[:2]:
        ours("process", group=other, message=commit)
    return ours, seats


def test_leaves(three: tuple[Here, list[str]]) -> None:
    ours, seats = three
    removed = ours("remove", group=seats[0], leaves=[1])
    ours("process", group=seats[2], message=removed["commit"])
    for group in (seats[0], seats[2]):
        shown = ours("members", group=group)["members"]
        read = leaves(bytes.fromhex(ours("ratchet_tree", group=group)["ratchet_tree"]))
        assert [(leaf.index, leaf.identity.decode(), leaf.signature_key.hex()) for leaf in read] == [
            (member["leaf"], member["identity"], member["signature_key"]) for member in shown
        ]


def test_what_a_message_shows(three: tuple[Here, list[str]]) -> None:
    ours, seats = three
    epoch = ours("epoch_authenticator", group=seats[1])["epoch"]
    sealed = ours("encrypt", group=seats[1], plaintext="01", authenticated_data="ad0e")["message"]
    shown = envelope(bytes.fromhex(sealed))
    assert (shown.private, shown.group_id, shown.epoch) == (True, b"\xaa" * 100, epoch)
    assert (shown.sender, shown.authenticated_data) == (None, b"\xad\x0e")
    commit = ours("update", group=seats[1], public=True)["commit"]
    shown = envelope(bytes.fromhex(commit))
    assert (shown.private, shown.epoch, shown.sender, shown.authenticated_data) == (False, epoch, 1, b"")
    info = ours("group_info", group=seats[1])["group_info"]
    outside = envelope(bytes.fromhex(ours("external_join", suite=1, group_info=info)["commit"]))
    assert (outside.private, outside.epoch, outside.sender) == (False, epoch + 1, None)


def test_what_is_none() -> None:
    offer = Here()("create_key_package", suite=1)["key_package"]
    with pytest.raises(ValueError, match="not a message of a group"):
        envelope(bytes.fromhex(offer))
    with pytest.raises(ValueError, match="cut short"):
        Reader(b"\x05abc").vector()
