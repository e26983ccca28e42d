"""clients/operations/key.py: epoch keys renewed at once, a signature key asked for."""

from __future__ import annotations

from tests.clients.conftest import Town


def test_epoch_keys_are_renewed_everywhere_or_in_one_conversation(town: Town) -> None:
    one, other = town.community(), town.community()
    before = {each["name"]: each["epoch"] for each in town.hr.json("key", "ls")["conversations"]}
    town.hr.json("key", "rotate", "--epochs", "--in", one)
    after = {each["name"]: each["epoch"] for each in town.hr.json("key", "ls")["conversations"]}
    assert after[one] == before[one] + 1
    assert after[other] == before[other]
    rotated = {each["name"] for each in town.hr.json("key", "rotate", "--epochs")["conversations"]}
    assert {one, other} <= rotated
    town.si.json("sync")
    assert town.si.json("conversation", "show", one)["epoch"] == town.hr.json("conversation", "show", one)["epoch"]


def test_a_new_signature_key_is_proposed_once(town: Town) -> None:
    proposed = town.hr2.json("key", "rotate", "--signature")["signature"]
    keys = town.hr2.json("key", "ls")["keys"]
    assert [each["state"] for each in keys] == ["current", "proposed"]
    assert keys[1]["key"] == proposed["key"]
    assert town.hr2.run("--json", "key", "rotate", "--signature").code == 12
