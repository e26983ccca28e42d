"""The driver as others run it: two processes, one group, every command of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.process import OURS, Process


@pytest.fixture
def processes() -> Iterator[tuple[Process, Process]]:
    pair = Process(OURS), Process(OURS)
    yield pair
    for process in pair:
        process.close()


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (one["epoch"], one["epoch_authenticator"]) == (other["epoch"], other["epoch_authenticator"])


@pytest.mark.parametrize("suite", [1, 0x004F, 0xF5C1])
def test_two_processes_share_a_group(processes: tuple[Process, Process], suite: int) -> None:
    alice, bob = processes
    hello = alice("hello")
    assert suite in hello["suites"]
    assert {"create_group", "external_join", "process", "free"} <= set(hello["commands"])
    alice("create_group", suite=suite, identity="alice", group_id="00aa", padding=64)
    package = bob("create_key_package", suite=suite, identity="bob", lifetime_days=7, grease=True)
    assert len(bytes.fromhex(package["signature_priv"])) in (32, 64)
    added = alice("add", key_packages=[package["key_package"]], ratchet_tree_in_welcome=False, public=True)
    assert added["cpu"] > 0
    same(added, bob("join", welcome=added["welcome"], ratchet_tree=added["ratchet_tree"]))

    sealed = bob("encrypt", plaintext="c0ffee", authenticated_data="ad")["message"]
    read = alice("decrypt", message=sealed)
    assert (read["kind"], read["plaintext"], read["authenticated_data"]) == ("application", "c0ffee", "ad")
    again = alice.ask("decrypt", message=sealed)
    assert (again["ok"], again["type"]) == (False, "Invalid")
    assert bob.ask("decrypt", message=sealed)["error"].startswith("Own")

    burst = alice("encrypt_all", plaintexts=["00", "", "ff" * 1024])
    assert bob("decrypt_all", messages=burst["messages"])["plaintexts"] == ["00", "", "ff" * 1024]
    assert bob.ask("decrypt_all", messages=[added["commit"]])["type"] == "Invalid"

    # proposals by reference, of every kind, from both sides
    carol = bob("create_key_package", suite=suite, identity="carol")
    for process in processes:
        process("add_psk", psk_id="1d", psk="5ec7e7")
    for asked in (
        bob("propose_add", key_package=carol["key_package"]),
        bob("propose_update", public=True),
        bob("propose_psk", psk_id="1d"),
    ):
        assert alice("process", message=asked["proposal"])["kind"] == "proposal"
    dora = bob("create_key_package", suite=suite, identity="dora")
    info = bob("group_info")["group_info"]
    proposal = bob("external_propose_add", kp=dora["kp"], group_info=info)["proposal"]
    for process in processes:
        assert process("process", message=proposal)["kind"] == "proposal"
    committed = alice("commit", merge=False)
    assert committed["epoch"] == 1
    first = bob("process", message=committed["commit"])
    assert first["kind"] == "commit"
    same(alice("merge"), first)
    third = bob("join", welcome=committed["welcome"], kp=carol["kp"])
    fourth = bob("join", welcome=committed["welcome"])
    same(third, first)
    assert alice("members")["members"][0]["identity"] == "alice"
    assert [member["identity"] for member in bob("members", group=fourth["group"])["members"]] == [
        "alice",
        "bob",
        "carol",
        "dora",
    ]
    assert alice("tree_hash")["tree_hash"] == bob("tree_hash")["tree_hash"]
    assert alice("ratchet_tree")["ratchet_tree"] == bob("ratchet_tree")["ratchet_tree"]
    secret = alice("export_secret", label="label", context="01", length=20)["secret"]
    assert secret == bob("export_secret", label="label", context="01", length=20)["secret"]
    same(alice("epoch_authenticator"), first)

    # from outside, and again in place of the old leaf
    info = alice("group_info", with_tree=False)["group_info"]
    tree = alice("ratchet_tree")["ratchet_tree"]
    eve = bob("external_join", suite=suite, group_info=info, ratchet_tree=tree, identity="eve")
    same(alice("process", message=eve["commit"]), eve)
    back = bob("external_join", suite=suite, group_info=alice("group_info")["group_info"], identity="eve", resync=True)
    same(alice("process", message=back["commit"]), back)
    assert bob("process", group=eve["group"], message=back["commit"])["kind"] == "removed"

    # a commit that loses, a removal by value, an update
    lost = alice("update", merge=False)
    won = bob("update", group=back["group"])
    same(alice("process", message=won["commit"]), won)
    assert alice.ask("merge")["type"] == "NotFound"
    alice("update", merge=False)
    alice("clear_pending")
    removed = alice("remove", leaves=[2])
    same(bob("process", message=removed["commit"], group=back["group"]), removed)
    assert bob.ask("process", message=lost["commit"], group=back["group"])["error"].startswith("Past")
    asked = bob("propose_remove", leaf=3, group=back["group"])
    assert alice("process", message=asked["proposal"])["kind"] == "proposal"
    same(bob("process", message=alice("commit")["commit"], group=back["group"]), alice("epoch_authenticator"))
    bob("free", group=back["group"], kp=dora["kp"])
    assert bob.ask("epoch_authenticator", group=back["group"])["type"] == "NotFound"


def test_what_is_no_request_gets_an_answer_too(processes: tuple[Process, Process]) -> None:
    alice, _ = processes
    assert alice.ask("fly") == {"id": 1, "ok": False, "error": "unsupported: fly", "type": "Unsupported"}
    assert alice.line("no json")["ok"] is False
    assert alice.line("[]")["type"] == "TypeError"
    for cmd, fields, kind in (
        ("create_group", {}, "KeyError"),
        ("create_group", {"suite": 999}, "NotFound"),
        ("encrypt", {"plaintext": ""}, "NotFound"),
        ("join", {"welcome": "zz"}, "ValueError"),
        ("join", {"welcome": "00"}, "Malformed"),
        ("create_key_package", {"suite": "one"}, "ValueError"),
    ):
        assert alice.ask(cmd, **fields)["type"] == kind, cmd
