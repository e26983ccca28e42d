"""Trust: documents that a publisher or a relay hands on, files that people pass to each other, lines, letters.

Documents that must be signed to be read at all are signed, by whoever should; the fuzzer has what they say.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from random import Random
from types import SimpleNamespace
from typing import Any

from securesystemslib.exceptions import FormatError

from clients.operations.founding import Administrator, _signed
from securechan.crypto import contexts
from securechan.crypto.aead import AES256GCM
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.crypto.suite import HYBRID
from securechan.errors import BadSignature, CannotOpen, Conflict, Denied, Invalid, Malformed, NotFound, Stale, Untrusted
from securechan.trust import authority, cards, document, enrolment, strict
from securechan.trust.bundle import Bundle, Ceremony
from securechan.trust.cards import ContactCard, DirectoryKey, KeyShare, open_card, open_share, seal_card, seal_share
from securechan.trust.enrolment import (
    Approval,
    Denial,
    EnrolRequest,
    Invite,
    Verdict,
    open_request,
    open_verdict,
    six_words,
)
from securechan.trust.evidence import _Evidence, evidence, verify_evidence
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.parcels import b64
from securechan.trust.pending import PendingRoster
from securechan.trust.records import DeviceRecord, made
from securechan.trust.view import View, _Saved
from tests.fuzz.mutation import after, damaged, of_json, of_struct
from tests.fuzz.papers import PAPER, of_saved, sorted_json
from tests.fuzz.target import Target, canonical, refused, target
from tests.support.federation import NOW, World, signed
from tests.trust.test_enrolment import invite_to, newcomer

DOCUMENT = (Untrusted, Malformed, Invalid)
ROLES = ("root", "timestamp", "snapshot", "targets", "cert-hr", "cert-hr-roster")


@cache
def scene() -> SimpleNamespace:
    """A federation in which every kind of record stands, and papers of every kind."""
    world = World()
    admin = world.enrol("cert-hr", "l1-laptop", "liaison-1", "liaison", "admin")
    world.enrol("cert-hr", "d2", "desk-1", "desk")
    world.revoke("cert-hr/d2")
    directory = DirectoryKey.new("cert-hr")
    card = made(ContactCard, officer="liaison-1", name="Željka Čović", duty="24/7 desk", phone="+385 1 234")
    world.publish(world.roster("cert-hr", cards={"liaison-1": seal_card(directory, card)}))
    invite = invite_to(world.view.root_id)
    new = newcomer(invite)
    return SimpleNamespace(world=world, admin=admin, directory=directory, card=card, invite=invite, new=new)


def held(role: str) -> bytes:
    found = scene().world.view.document(role)
    assert found is not None
    return bytes(found.content)


@target("trust.document")
def documents() -> Target:
    """The first byte chooses the role."""

    def run(data: bytes) -> None:
        role = ROLES[(data[0] if data else 0) % len(ROLES)]
        with refused(*DOCUMENT):
            parsed = document.parse(role, data[1:])
            if parsed.content != data[1:] or parsed.role != role or strict.dump(strict.load(data[1:])) != data[1:]:
                raise AssertionError("a document that isn't its bytes")

    return Target(run, tuple(bytes([n]) + held(role) for n, role in enumerate(ROLES)), after(1, sorted_json))


@target("trust.publication")
def publication() -> Target:
    """A document under the right signature, published by a relay that checks nothing; the input is what it says."""
    world = scene().world
    roles = ROLES[1:]

    def run(data: bytes) -> None:
        role = roles[(data[0] if data else 0) % len(roles)]
        try:
            content = signed(json.loads(data[1:]), *filter(None, [signer_of(role)]))
        except (ValueError, RecursionError, FormatError, TypeError, AttributeError):
            return  # nothing that could be signed at all
        try:
            publication = world.seal({role: content})
        except (KeyError, TypeError, ValueError, AttributeError):
            publication = ((role, content),)  # a document that no snapshot can name
        with refused(*DOCUMENT):
            view = world.view.apply(publication, position=world.place())
            for record in view.devices():
                view.may_send(NOW, record.name)
            view.check_fresh(NOW)
            if View.decode(view.encode()) != view:
                raise AssertionError("a view that was loaded isn't the one that was saved")

    def next_version(role: str) -> bytes:
        body = json.loads(held(role))["signed"]
        return strict.dump(body | {"version": body["version"] + 1})

    return Target(run, tuple(bytes([n]) + next_version(role) for n, role in enumerate(roles)), after(1, of_json))


@target("trust.view")
def view() -> Target:
    """What the vault gives back, or a ceremony's file holds."""

    def run(data: bytes) -> None:
        with refused(*DOCUMENT):
            if View.decode(data).encode() != data:
                raise AssertionError("a view with two forms")

    return Target(run, (scene().world.view.encode(),), of_saved(_Saved, signer_of))


def signer_of(role: str) -> TrustSigner | None:
    """Who signs for a role; not for the root, whose signature takes half a second."""
    world = scene().world
    signers = {"timestamp": world.online, "snapshot": world.online, "targets": world.targets}
    for agency, held_by in world.keys.items():
        signers |= {agency: held_by.authority, f"{agency}-roster": held_by.roster[0]}
    return signers.get(role)


@target("trust.evidence")
def proof() -> Target:
    here = scene()
    world, admin = here.world, here.admin
    key_hash = admin.record.hashes()[0]

    def run(data: bytes) -> None:
        with refused(*DOCUMENT):
            holding = verify_evidence(data, root_id=world.view.root_id, device=admin.name, key_hash=key_hash)
            holding.fresh(NOW)

    return Target(run, (evidence(world.view, "cert-hr"),), of_saved(_Evidence, signer_of))


# ------------------------------------------------------------------------------------------- files that people pass on


@target("trust.bundle")
def bundle() -> Target:
    def run(data: bytes) -> None:
        with refused(*DOCUMENT):
            if Bundle.decode(data).encode() != data:
                raise AssertionError("a bundle with two forms")

    documents = tuple((role, held(role)) for role in ("root", "targets", "cert-hr", "cert-hr-roster"))
    return Target(run, (Bundle(documents).encode(),), PAPER)


@target("trust.ceremony")
def ceremony() -> Target:
    """A file that a key holder is asked to sign: read, described, its state told, merged with the true one."""
    world = scene().world
    draft = authority.federation(world.view, now=NOW)
    new = authority.root_init(
        root_keys=[world.root_key.public],
        root_threshold=1,
        targets_keys=[world.targets.public],
        targets_threshold=1,
        online=[world.online.public],
        now=NOW,
    )
    good = Ceremony(world.view, (draft,))

    def run(data: bytes) -> None:
        with refused(*DOCUMENT, Stale, Conflict):
            found = Ceremony.decode(data)
            found.status(), found.describe()
            if found.encode() != data:
                raise AssertionError("a ceremony with two forms")
            with refused(Conflict):
                good.merge(found)

    papers = world.apply_for("cert-si")
    found = Ceremony(None, (new, authority.federation(None, now=NOW, admit=[papers]), *papers.documents))
    return Target(run, (good.encode(), found.encode()), PAPER)


@target("trust.application")
def application() -> Target:
    papers = scene().world.apply_for("cert-si")

    def run(data: bytes) -> None:
        with refused(*DOCUMENT):
            found = authority.Application.decode(data)
            authority.alone(found)
            if found.encode() != data:
                raise AssertionError("an application with two forms")

    return Target(run, (papers.encode(),), PAPER)


@target("trust.administrator")
def administrator() -> Target:
    """An enrolment list's line: a first administrator's device, signed anew where it can be."""
    here = scene()
    roster_key = TrustSigner.generate(Kind.COMPOSITE).public

    def run(data: bytes) -> None:
        try:
            value = strict.load(data)
            record = document_record(value.get("record"))
            signature = COMPOSITE.sign(here.admin.key, contexts.ENROL, _signed(record, b64(value.get("roster_key"))))
            data = strict.dump({**value, "signature": base64.b64encode(signature).decode()})
        except DOCUMENT:
            pass
        with refused(Malformed, Invalid, BadSignature, Untrusted):
            len(Administrator.decode(data).words)

    good = Administrator(here.admin.record, roster_key, b"")
    return Target(run, (good.encode(),), sorted_json)


def document_record(value: Any) -> Any:
    return DeviceRecord.read(value, "record")


# ----------------------------------------------------------------------------------------------------------- enrolment


@target("trust.invite")
def invite() -> Target:
    """The line; first byte 1: its content, checksum made good."""
    good = scene().invite

    def run(data: bytes) -> None:
        line = data[1:].decode("utf-8", "replace")
        if data[:1] == b"\1":
            body = data[1:]
            packed = base64.urlsafe_b64encode(body + enrolment._check(body)).decode().rstrip("=")
            line = enrolment.PREFIX + packed
        with refused(Malformed, Invalid):
            found = Invite.parse(line)
            if Invite.parse(found.line()) != found:
                raise AssertionError("an invite that doesn't read as it was written")
            with refused(Untrusted):
                found.check(NOW)
            _ = found.box

    def form(data: bytes, random: Random) -> bytes:
        return data[:1] + (of_struct(Invite) if data[:1] == b"\1" else damaged)(data[1:], random)

    return Target(run, (b"\0" + good.line().encode(), b"\1" + good.encode()), form)


@target("trust.request")
def request() -> Target:
    """What lies in an enrolment box, put there by whoever stole the invite. First byte 1: signed anew with its keys."""
    here = scene()
    invite, new = here.invite, here.new
    nonce = bytes(12)

    def run(data: bytes) -> None:
        body = data[1:]
        if data[:1] == b"\1":
            with refused(Malformed):
                asked = EnrolRequest.decode(body)
                proof = COMPOSITE.sign(new.key, contexts.ENROL, enrolment._REQUEST + asked.proposal.encode())
                body = EnrolRequest(asked.proposal, (proof,) * min(4, len(asked.proofs))).encode()
        if data[:1] != b"\2":
            body = body[: enrolment.MAX_REQUEST - 100]  # more wouldn't go into the envelope
            box = invite.box
            sealed = AES256GCM.seal(box.seal_key, nonce, enrolment._REQUEST + box.id, body)
            body = enrolment._SealedRequest(nonce, sealed).encode()
        with refused(CannotOpen, BadSignature, Malformed, Invalid):
            found = open_request(invite, body)
            six_words(found), found.record(since=NOW)
            with refused(Untrusted):
                enrolment.admitted(here.world.view, found)

    def form(data: bytes, random: Random) -> bytes:
        return data[:1] + (damaged if data[:1] == b"\2" else of_struct(EnrolRequest))(data[1:], random)

    seeds = (
        b"\0" + new.request.encode(),
        b"\1" + new.request.encode(),
        b"\2" + enrolment.seal_request(invite, new.request),
    )
    return Target(run, seeds, form)


@target("trust.verdict")
def verdict() -> Target:
    """What the administrator answers, or somebody in that place. First byte 1: signed as an administrator does."""
    here = scene()
    new, admin, world = here.new, here.admin, here.world
    info = enrolment._VERDICT + new.request.digest
    good = [
        Verdict.make(new.request, body, approver=admin.name, key=admin.key, now=NOW)
        for body in (Approval(2, (here.directory,)), Denial("the words differ"))
    ]

    def run(data: bytes) -> None:
        body = data[1:]
        if data[:1] == b"\1":
            with refused(Malformed):
                said = Verdict.decode(body)
                fields = {**said.__dict__, "signature": b""}
                message = enrolment._VERDICT + Verdict(**fields).encode()
                fields["signature"] = COMPOSITE.sign(admin.key, contexts.ENROL, message)
                body = Verdict(**fields).encode()
        sealed = enrolment._SealedVerdict(*HYBRID.hpke.seal(new.inbox.public, info, b"", body)).encode()
        with refused(CannotOpen, Malformed, Invalid):
            found = open_verdict(sealed, new.inbox.private, new.request)
            with refused(Untrusted, Denied, BadSignature, Invalid):
                found.verify(world.view)

    return Target(run, tuple(bytes([n]) + each.encode() for each in good for n in (0, 1)), after(1, of_struct(Verdict)))


@target("trust.pending")
def pending() -> Target:
    """A roster that one administrator puts before another, signed by the first."""
    here = scene()
    world, admin, new = here.world, here.admin, here.new
    draft = authority.roster(world.view, "cert-hr", now=NOW, add=(new.request.record(since=NOW),))
    good = PendingRoster.make(draft, (new.request,), proposer=admin.name, key=admin.key, now=NOW, note="new laptop")
    label = b"securechan/1 pending roster"

    def run(data: bytes) -> None:
        with refused(Malformed):
            said = PendingRoster.decode(data)
            fields = {**said.__dict__, "signature": b""}
            message = label + PendingRoster(**fields).encode()
            fields["signature"] = COMPOSITE.sign(admin.key, contexts.REQUEST, message)
            put = PendingRoster(**fields)
            with refused(Untrusted, Denied, Stale, BadSignature, Malformed, Invalid):
                put.verify(world.view)
                put.diff(world.view), put.words(), put.signing(world.view)

    def form(data: bytes, random: Random) -> bytes:
        try:
            said = PendingRoster.decode(data)
        except Malformed:
            return damaged(data, random)
        if random.random() < 0.5:
            return of_struct(PendingRoster)(data, random)
        return PendingRoster(**{**said.__dict__, "content": sorted_json(said.content, random)}).encode()

    return Target(run, (good.encode(),), form)


# ----------------------------------------------------------------------------------------------------------- directory


@target("trust.card")
def card() -> Target:
    """A contact card as its agency sealed it. First byte 0: the sealed bytes."""
    here = scene()
    good = seal_card(here.directory, here.card)

    def run(data: bytes) -> None:
        sealed = data[1:]
        if data[:1] == b"\1":
            nonce, bound = Secret(bytes(12)), cards._bound("cert-hr", "liaison-1", here.directory.id)
            body = AES256GCM.seal(here.directory.key, nonce, bound, data[1:3900])
            sealed = cards._Sealed(here.directory.id, bytes(nonce), body).encode()
        with refused(NotFound, CannotOpen, Malformed, Invalid):
            found = open_card([here.directory], "cert-hr", "liaison-1", sealed)
            json.dumps(found.custom(), ensure_ascii=False).encode()

    seeds = (b"\0" + good, b"\1" + strict.dump(here.card.custom()) + b"   ")
    return Target(run, seeds, lambda d, r: d[:1] + (damaged if d[:1] == b"\0" else sorted_json)(d[1:], r))


@target("trust.share")
def share() -> Target:
    """Directory keys that somebody sends; signed as an administrator does."""
    here = scene()
    admin, new, world = here.admin, here.new, here.world
    record = new.request.record(since=NOW)
    sealed = seal_share([here.directory], record, sender=admin.name, key=admin.key)
    good = open_share(sealed, new.inbox.private, record.name)
    info = cards._SHARE + record.name.encode()

    def run(data: bytes) -> None:
        said = canonical(KeyShare, data)
        body = data if said is None else said.signed_with(admin.key).encode()
        envelope = cards._Envelope(*HYBRID.hpke.seal(new.inbox.public, info, b"", body)).encode()
        with refused(CannotOpen, Malformed, Invalid):
            found = open_share(envelope, new.inbox.private, record.name)
            with refused(Untrusted, Denied, BadSignature, Invalid):
                for key in found.verify(world.view):
                    _ = key.id

    return Target(run, (good.encode(),), of_struct(KeyShare))
