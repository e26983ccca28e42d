"""Whole lives of a member, as other implementations lived them: join, follow every kind of commit, decrypt, export.

The official files cover RFC 9420's suites; those in ``tests/vectors/pq`` the post-quantum ones, with application
messages that come late, twice or never.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any, Final

import pytest

from securechan.crypto.secret import Secret
from securechan.crypto.suite import by_number
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackageBundle
from securechan.mls.outcomes import Application, Committed, Proposed, Void
from securechan.mls.rules import Rule
from tests.support.mls import RFC_SUITES, cases, kem_private, key_package_of, of_suite, taken, unhex

PQ: Final = Path(__file__).parents[1] / "vectors" / "pq"
WRONG: Final = {("passive-client-handling-commit.0x0001", 3)}  # see tests/vectors/README.md


def joined(case: dict[str, Any]) -> tuple[Group, dict[bytes, bytes]]:
    suite = by_number(case["cipher_suite"])
    bundle = KeyPackageBundle(
        key_package_of(unhex(case["key_package"])),
        kem_private(suite, case["init_priv"]),
        kem_private(suite, case["encryption_priv"]),
        Secret(unhex(case["signature_priv"]).rjust(suite.signature.private_length, b"\0")),
    )
    psks = {unhex(psk["psk_id"]): unhex(psk["psk"]) for psk in case["external_psks"]}
    tree = case["ratchet_tree"]
    group = Group.join(
        unhex(case["welcome"]), bundle, now=None, ratchet_tree=None if tree is None else unhex(tree), psks=psks
    )
    assert group.epoch_authenticator == unhex(case["initial_epoch_authenticator"])
    return group, psks


def heard(group: Group, messages: list[dict[str, Any]]) -> Group:
    for message in messages:
        outcome = group.receive(unhex(message["private_message"]))
        assert isinstance(outcome, Application), outcome
        assert outcome.sender == message["sender_leaf"]
        assert outcome.plaintext == unhex(message["plaintext"])
        assert outcome.authenticated_data == unhex(message["authenticated_data"])
        group = outcome.group
        assert isinstance(group.receive(unhex(message["private_message"])), Void)  # its key is spent
    return group


def lived(case: dict[str, Any]) -> None:
    group, psks = joined(case)
    group = heard(group, case.get("initial_application_messages", []))
    for epoch in case["epochs"]:
        for proposal in epoch["proposals"]:
            outcome = group.receive(unhex(proposal), psks=psks)
            assert isinstance(outcome, Proposed), (epoch.get("op"), outcome)
            group = outcome.group
        outcome = group.receive(unhex(epoch["commit"]), psks=psks)
        assert isinstance(outcome, Committed), (epoch.get("op"), outcome)
        group = outcome.group
        assert group.epoch_authenticator == unhex(epoch["epoch_authenticator"])
        if "tree_hash" in epoch:
            assert group.tree_hash == unhex(epoch["tree_hash"])
        if "exporter" in epoch:
            asked = epoch["exporter"]
            secret = group.export(asked["label"], unhex(asked["context"]), asked["length"])
            assert secret == unhex(asked["secret"])
        group = heard(group, epoch.get("application_messages", []))
        group = Group.decode(group.encode_epoch(), group.encode_ratchets())  # and life goes on from the vault


@pytest.mark.parametrize("number", RFC_SUITES)
@pytest.mark.parametrize("name", ["passive-client-welcome", "passive-client-handling-commit"])
def test_official_clients(name: str, number: int) -> None:
    for _, case in of_suite(name, number):
        lived(case)


def test_official_random_clients() -> None:
    for case in cases("passive-client-random"):
        lived(case)


FILES: Final = sorted(path.name.removesuffix(".json.xz") for path in PQ.glob("*.json.xz"))


def test_the_files_are_here() -> None:
    assert len(FILES) == 32


@pytest.mark.parametrize("name", FILES)
def test_post_quantum_clients(name: str) -> None:
    for index, case in enumerate(json.loads(lzma.decompress((PQ / f"{name}.json.xz").read_bytes()))):
        if (name, index) not in WRONG:
            lived(case)


@pytest.mark.parametrize(("name", "index"), sorted(WRONG))
def test_a_vector_against_the_rfc_is_void(name: str, index: int) -> None:
    case = json.loads(lzma.decompress((PQ / f"{name}.json.xz").read_bytes()))[index]
    group, _ = joined(case)
    group = heard(group, case.get("initial_application_messages", []))
    for proposal in case["epochs"][0]["proposals"]:
        group = taken(group.receive(unhex(proposal)))
    outcome = group.receive(unhex(case["epochs"][0]["commit"]))
    assert isinstance(outcome, Void)
    assert outcome.rule == Rule.CONFIRMED
    assert "confirmation tag" in outcome.reason
