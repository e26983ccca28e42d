"""Enrolment: the line, the box, the words, the verdict, and everyone who would like to be somebody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto import contexts
from securechan.crypto.kem import MLKEM768_X25519, KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, ED25519, MLDSA87, SigningKey
from securechan.errors import BadSignature, CannotOpen, Denied, Invalid, Malformed, SecurechanError, Untrusted
from securechan.trust import authority
from securechan.trust.cards import DirectoryKey
from securechan.trust.enrolment import (
    Approval,
    Denial,
    EnrolRequest,
    Invite,
    Proposal,
    SuiteKey,
    Verdict,
    admitted,
    check_roles,
    open_request,
    open_verdict,
    seal_request,
    seal_verdict,
    six_words,
    words_match,
)
from tests.support.federation import NOW, Device, World

HOUR = 3600


def invite_to(root_id: bytes, **changes: Any) -> Invite:
    fields: dict[str, Any] = {
        "url": "wss://relay.example.int",
        "relay": "relay-1",
        "kem_hash": bytes(48),
        "root_id": root_id,
        "agency": "cert-hr",
        "officer": "liaison-2",
        "roles": ("liaison", "desk"),
        "now": NOW,
    }
    return Invite.new(**(fields | changes))


def altered(struct: Any, **changes: Any) -> Any:
    """A copy of a struct with other field values."""
    return type(struct)(**({**struct.__dict__} | changes))


@dataclass
class Newcomer:
    """A new device: its keys, its request."""

    key: SigningKey
    inbox: KemKey
    request: EnrolRequest


def newcomer(invite: Invite, **changes: Any) -> Newcomer:
    key = COMPOSITE.load(Secret.random(64))
    inbox = MLKEM768_X25519.load(MLKEM768_X25519.generate()[0])
    fields: dict[str, Any] = {"device": "l2-laptop", "officer": "liaison-2", "signing": {"hybrid": key}}
    request = EnrolRequest.make(invite, inbox=inbox.public, now=NOW, **(fields | changes))
    return Newcomer(key, inbox, request)


@pytest.fixture(scope="module")
def office() -> tuple[World, Device]:
    """cert-hr with an administrator. Left as it is."""
    world = World()
    return world, world.enrol("cert-hr", "l1-laptop", "liaison-1", "liaison", "admin")


@pytest.fixture
def invite(office: tuple[World, Device]) -> Invite:
    return invite_to(office[0].view.root_id)


# ---------------------------------------------------------------------------------------------------------- the whole


def test_a_device_is_enrolled() -> None:
    world = World()
    admin = world.enrol("cert-hr", "l1-laptop", "liaison-1", "liaison", "admin")
    invite = Invite.parse(invite_to(world.view.root_id).line())
    new = newcomer(invite)
    box_entry = seal_request(invite, new.request)

    request = open_request(invite, box_entry)
    assert words_match(" ".join(six_words(new.request)), request)
    with pytest.raises(Untrusted) as caught:
        admitted(world.view, new.request)
    assert caught.value.code == "unknown-device"
    world.publish(world.roster("cert-hr", add=[request.record(since=NOW, roles=["liaison"])]))
    directory = DirectoryKey.new("cert-hr")
    verdict = Verdict.make(request, Approval(2, (directory,)), approver=admin.name, key=admin.key, now=NOW)
    letter = seal_verdict(verdict, request)

    received = open_verdict(letter, new.inbox.private, new.request)
    assert received.verify(world.view) == admin.record
    assert isinstance(received.body, Approval)
    assert received.body.directory_keys == (directory,)
    record = admitted(world.view, new.request)
    assert record.roles == {"liaison"}  # as the administrator chose
    assert record.signature_key == new.key.public


def test_a_denial_is_told_to_the_device_alone(office: tuple[World, Device], invite: Invite) -> None:
    world, admin = office
    new = newcomer(invite)
    verdict = Verdict.make(new.request, Denial("the words differ"), approver=admin.name, key=admin.key, now=NOW)
    received = open_verdict(seal_verdict(verdict, new.request), new.inbox, new.request)
    received.verify(world.view)
    assert received.body == Denial("the words differ")
    with pytest.raises(CannotOpen):
        open_verdict(seal_verdict(verdict, new.request), newcomer(invite).inbox, new.request)


# ------------------------------------------------------------------------------------------------------------- invite


def test_an_invite_is_one_line(invite: Invite) -> None:
    line = invite.line()
    assert line.startswith("securechan1:")
    assert len(line.split()) == 1
    assert Invite.parse(line) == invite
    broken_by_mail = line[:70] + "\n  " + line[70:] + "\r\n"
    assert Invite.parse(broken_by_mail) == invite


def test_an_invite_hides_its_code(invite: Invite) -> None:
    assert invite.code.hex() not in repr(invite)
    assert repr(bytes(invite.code))[2:-1] not in repr(invite)
    assert len(invite.code) * 8 >= 128


def test_an_invite_is_good_for_72_hours(invite: Invite) -> None:
    invite.check(NOW + 72 * HOUR - 1)
    with pytest.raises(Untrusted) as caught:
        invite.check(NOW + 72 * HOUR)
    assert caught.value.code == "invite-expired"
    with pytest.raises(Untrusted):
        EnrolRequest.make(invite, device="d", officer="liaison-2", signing={}, inbox=b"", now=NOW + 73 * HOUR)


@settings(max_examples=60)
@given(st.data())
def test_a_mistyped_invite_says_so(office: tuple[World, Device], data: st.DataObject) -> None:
    line = invite_to(office[0].view.root_id).line()
    at = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.sampled_from("Aa0-_=x?é"))
    wrong = line[:at] + other + line[at + 1 :]
    if wrong == line:
        return
    with pytest.raises(Malformed) as caught:
        Invite.parse(wrong)
    assert caught.value.hint


@pytest.mark.parametrize("line", ["", "securechan1:", "securechan2:AAAA", "hello", "securechan1:" + "A" * 5000])
def test_what_is_no_invite(line: str) -> None:
    with pytest.raises(Malformed):
        Invite.parse(line)


@pytest.mark.parametrize(
    "change",
    [{"url": "http://x"}, {"agency": "Cert"}, {"officer": "X"}, {"roles": ()}, {"roles": ("root",)}, {"relay": "R 1"}],
)
def test_invites_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        invite_to(bytes(48), **change)


def test_every_word_of_an_invite_counts(invite: Invite) -> None:
    boxes = {invite.box.id}
    for change in (
        {"url": "wss://evil.example"},
        {"relay": "relay-2"},
        {"kem_hash": b"x" * 48},
        {"root_id": b"x" * 48},
        {"agency": "cert-lt"},
        {"officer": ""},
        {"roles": ("admin",)},
        {"not_after": invite.not_after + 1},
        {"code": bytes(20)},
    ):
        boxes.add(altered(invite, **change).box.id)
    assert len(boxes) == 10
    assert len({bytes(invite.box.id), bytes(invite.box.mac_key), bytes(invite.box.seal_key)}) == 3


# ------------------------------------------------------------------------------------------------------------ request


def test_six_words_change_with_every_field(invite: Invite) -> None:
    request = newcomer(invite).request
    words = six_words(request)
    assert len(words) == 6
    seen = {words}
    for change in (
        {"device": "l2-phone"},
        {"officer": "liaison-3"},
        {"roles": ("admin",)},
        {"keys": ()},
        {"inbox": b"x"},
        {"time": 5},
        {"nonce": bytes(32)},
        {"agency": "cert-lt"},
        {"root_id": bytes(48)},
        {"box": bytes(32)},
    ):
        seen.add(six_words(EnrolRequest(altered(request.proposal, **change), request.proofs)))
    assert len(seen) == 11
    assert not words_match("lusab babad", request)


def test_who_has_the_code_cannot_put_its_own_keys_under_another_s_words(invite: Invite) -> None:
    honest, thief = newcomer(invite), newcomer(invite)
    assert six_words(honest.request) != six_words(thief.request)


CHANGES: list[tuple[str, Callable[[Proposal], dict[str, Any]]]] = [
    ("an unknown suite", lambda p: {"keys": (altered(p.keys[0], suite="none"),)}),
    ("no keys", lambda p: {"keys": ()}),
    ("a key twice", lambda p: {"keys": p.keys * 2}),
    ("a short key", lambda p: {"keys": (altered(p.keys[0], public=b"x"),)}),
    ("a short inbox key", lambda p: {"inbox": b"x"}),
    ("a device name that is none", lambda p: {"device": "../x"}),
    ("no roles", lambda p: {"roles": ()}),
    ("roles that are none", lambda p: {"roles": ("root",)}),
    ("another agency", lambda p: {"agency": "cert-lt"}),
    ("another federation", lambda p: {"root_id": bytes(48)}),
    ("another box", lambda p: {"box": bytes(32)}),
    ("another officer", lambda p: {"officer": "liaison-9"}),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_requests_that_are_refused(invite: Invite, change: Callable[[Proposal], dict[str, Any]]) -> None:
    new = newcomer(invite)
    proposal = altered(new.request.proposal, **change(new.request.proposal))
    message = b"securechan/1 enrol request" + proposal.encode()
    proof = COMPOSITE.sign(new.key, contexts.ENROL, message)
    request = EnrolRequest(proposal, (proof,) * max(1, len(proposal.keys)))
    with pytest.raises((Invalid, Malformed)):
        open_request(invite, seal_request(invite, request))


def test_possession_of_the_key_is_proved(invite: Invite) -> None:
    new, other = newcomer(invite), newcomer(invite)
    stolen = EnrolRequest(new.request.proposal, other.request.proofs)
    with pytest.raises(BadSignature):
        open_request(invite, seal_request(invite, stolen))
    message = b"securechan/1 enrol request" + new.request.proposal.encode()
    elsewhere = EnrolRequest(new.request.proposal, (COMPOSITE.sign(new.key, contexts.REQUEST, message),))
    with pytest.raises(BadSignature):
        elsewhere.verify()
    for proofs in ((), new.request.proofs * 2):
        with pytest.raises(Invalid):
            EnrolRequest(new.request.proposal, proofs).verify()


def test_every_suite_s_key_is_proved(invite: Invite) -> None:
    key = MLDSA87.load(MLDSA87.generate()[0])
    request = newcomer(invite, signing={"cnsa": key, "hybrid": COMPOSITE.load(Secret.random(64))}).request
    assert [entry.suite for entry in request.proposal.keys] == ["cnsa", "hybrid"]
    request.verify()
    with pytest.raises(Invalid):
        newcomer(invite, signing={"none": key})
    swapped = EnrolRequest(request.proposal, request.proofs[::-1])
    with pytest.raises(BadSignature):
        swapped.verify()


def test_suites_without_contexts_enrol_nobody(invite: Invite) -> None:
    private, public = ED25519.generate()
    new = newcomer(invite)
    old = SuiteKey("XWING_AES256GCM_SHA512_Ed25519", public)
    proposal = altered(new.request.proposal, keys=(old, *new.request.proposal.keys))
    message = b"securechan/1 enrol request" + proposal.encode()
    proofs = (ED25519.sign(private, b"", message), COMPOSITE.sign(new.key, contexts.ENROL, message))
    with pytest.raises(Invalid, match="no suite of ours"):
        EnrolRequest(proposal, proofs).verify()


def test_the_box_opens_with_the_code_only(invite: Invite) -> None:
    sealed = seal_request(invite, newcomer(invite).request)
    with pytest.raises(CannotOpen):
        open_request(altered(invite, code=bytes(20)), sealed)
    with pytest.raises(CannotOpen):
        open_request(invite, sealed[:-1] + bytes([sealed[-1] ^ 1]))


@given(st.binary(max_size=200))
def test_any_bytes_in_a_box(data: bytes) -> None:
    with pytest.raises(SecurechanError):
        open_request(invite_to(bytes(48)), data)
    with pytest.raises(SecurechanError):
        EnrolRequest.decode(data).verify()


def test_an_invite_for_one_officer_enrols_no_other(invite: Invite) -> None:
    with pytest.raises(Invalid, match="liaison-2"):
        newcomer(invite, officer="liaison-1")
    anybody = altered(invite, officer="")
    assert newcomer(anybody, officer="desk-7").request.record(since=NOW).officer == "desk-7"


# ------------------------------------------------------------------------------------------------------------ verdict


def test_a_verdict_is_an_administrator_s(office: tuple[World, Device], invite: Invite) -> None:
    world, admin = office
    request = newcomer(invite).request
    good = Verdict.make(request, Approval(2, ()), approver=admin.name, key=admin.key, now=NOW)
    assert good.verify(world.view) == admin.record
    for change in ({"time": 1}, {"device": "cert-hr/x"}, {"request": bytes(48)}, {"signature": b""}):
        with pytest.raises(BadSignature):
            altered(good, **change).verify(world.view)
    with pytest.raises(BadSignature):
        altered(good, body=Approval(3, ())).verify(world.view)
    with pytest.raises(Untrusted):
        altered(good, approver="cert-hr/nobody").verify(world.view)
    stranger = COMPOSITE.load(Secret.random(64))
    with pytest.raises(Untrusted):
        Verdict.make(request, Approval(2, ()), approver=admin.name, key=stranger, now=NOW).verify(world.view)


def test_officers_and_other_agencies_approve_nobody(invite: Invite) -> None:
    world = World()
    plain = world.enrol("cert-hr", "d1", "liaison-1", "liaison")
    abroad = world.enrol("cert-lt", "d1", "boss", "admin")
    request = newcomer(invite).request
    for device in (plain, abroad):
        verdict = Verdict.make(request, Approval(2, ()), approver=device.name, key=device.key, now=NOW)
        with pytest.raises(Denied):
            verdict.verify(world.view)


def test_a_verdict_belongs_to_its_request(office: tuple[World, Device], invite: Invite) -> None:
    _, admin = office
    new = newcomer(invite)
    other = EnrolRequest(altered(new.request.proposal, nonce=bytes(32)), new.request.proofs)
    verdict = Verdict.make(other, Approval(2, ()), approver=admin.name, key=admin.key, now=NOW)
    with pytest.raises(CannotOpen):
        open_verdict(seal_verdict(verdict, other), new.inbox, new.request)
    with pytest.raises(CannotOpen, match="another request"):
        open_verdict(seal_verdict(verdict, new.request), new.inbox, new.request)
    for data in (b"", b"\0", bytes(2000)):
        with pytest.raises(SecurechanError):
            open_verdict(data, new.inbox, new.request)


def test_a_roster_that_lists_other_keys_is_noticed(invite: Invite) -> None:
    world = World()
    new, thief = newcomer(invite), newcomer(invite)
    world.publish(world.roster("cert-hr", add=[thief.request.record(since=NOW)]))
    with pytest.raises(Untrusted) as caught:
        admitted(world.view, new.request)
    assert caught.value.code == "identity-changed"
    world = World()
    record = authority.add_key(new.request.record(since=NOW), "hybrid", thief.key.public)
    world.publish(world.roster("cert-hr", add=[record]))
    with pytest.raises(Untrusted) as caught:  # ours, and another beside it
        admitted(world.view, new.request)
    assert caught.value.code == "identity-changed"
    world = World()
    record = authority.changed(new.request.record(since=NOW), inbox=thief.inbox.public)
    world.publish(world.roster("cert-hr", add=[record]))
    with pytest.raises(Untrusted) as caught:
        admitted(world.view, new.request)
    assert caught.value.code == "identity-changed"


def test_a_role_that_there_is_not_is_named() -> None:
    with pytest.raises(Invalid, match="there is no role 'liason'") as e:
        check_roles(["desk", "liason"])
    assert "liaison" in e.value.hint
