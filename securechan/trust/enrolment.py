"""How a device comes in: an invite by hand, a request through the relay, six words by telephone, a verdict.

    administrator                        relay                        new device
      Invite ─────────────────────── by hand, one line ─────────────►  keys are made here and stay here
      opens a box (id, MAC key)  ──►  box  ◄── guest, proves the code ── seal_request
      open_request  ◄──────────────────────────────────────────────────
      six_words  ◄═══════════════ compared by telephone ══════════════►  six_words
      roster with the device ────► trust topic
      seal_verdict ──────────────► ─────────────────────────────────►  open_verdict, verify

The code (160 bits, good once and for 72 hours) opens the box and nothing else: box id, MAC key and seal key follow from
it and from every other word of the invite, so an altered invite meets no box. Who steals the invite can send a request
of its own; the words show it. The six words are taken over the whole proposal, so that not a single field can differ.

A request proves possession of its signature keys; that the device holds its inbox key shows when it opens the verdict.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, get_args

from securechan.codec import U32, U64, Enum8, Opaque, Struct, fixed, opaque, select, text, vec
from securechan.crypto import contexts, kdf
from securechan.crypto.aead import AES256GCM
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.crypto.suite import HYBRID, SUITES
from securechan.errors import CannotOpen, Denied, Invalid, Malformed, Untrusted
from securechan.trust import names, words
from securechan.trust.cards import DirectoryKey
from securechan.trust.records import SUITE, DeviceRecord, Role, key_hash, made

if TYPE_CHECKING:
    from securechan.trust.view import View  # costs python-tuf at run time, which a new device doesn't need yet

LIFETIME: Final = 72 * 3600  # seconds
CODE_SIZE: Final = 20
PREFIX: Final = "securechan1:"
WORDS: Final = 6
MAX_REQUEST: Final = 1 << 15  # bytes, sealed

_INVITE: Final = b"securechan/1 invite"
_REQUEST: Final = b"securechan/1 enrol request"
_VERDICT: Final = b"securechan/1 enrol verdict"
_URL: Final = re.compile(r"wss?://[A-Za-z0-9.:\[\]-]{1,200}(/[A-Za-z0-9._~/-]{0,100})?")

DeviceName = Annotated[str, text(160)]
Roles = Annotated[tuple[Annotated[str, text(16)], ...], vec(64)]
Hash = Annotated[bytes, fixed(48)]


@dataclass(frozen=True, slots=True)
class Box:
    """What the code of an invite opens: the relay knows id and MAC key, and not the seal key."""

    id: bytes
    mac_key: Secret
    seal_key: Secret


class Invite(Struct):
    """An invite. ``kem_hash`` is the SHA-384 of the relay's handshake key, ``root_id`` that of the first root document,
    ``not_after`` Unix seconds. ``officer`` may be empty: then the new device proposes one."""

    url: Annotated[str, text(320)]
    relay: Annotated[str, text(64)]
    kem_hash: Hash
    root_id: Hash
    agency: Annotated[str, text(40)]
    officer: Annotated[str, text(64)]
    roles: Roles
    not_after: U64
    code: Annotated[bytes, fixed(CODE_SIZE)]

    @classmethod
    def new(
        cls,
        *,
        url: str,
        relay: str,
        kem_hash: bytes,
        root_id: bytes,
        agency: str,
        now: int,
        officer: str = "",
        roles: Iterable[str] = ("liaison",),
        lifetime: int = LIFETIME,
    ) -> Invite:
        """A fresh invite. Raises Invalid for names, roles or an address that can't be."""
        code = Secret.random(CODE_SIZE)
        made_invite = cls(url, relay, kem_hash, root_id, agency, officer, tuple(sorted(roles)), now + lifetime, code)
        made_invite.check_fields()
        return made_invite

    def check_fields(self) -> None:
        """Returns if every field is what it may be. Raises Invalid."""
        names.check_agency(self.agency)
        names.check_handle(self.relay, "relay")
        if self.officer:
            names.check_handle(self.officer)
        check_roles(self.roles)
        if not _URL.fullmatch(self.url):
            raise Invalid(f"{self.url[:80]!a} is no relay's address", hint="write wss://host or ws://127.0.0.1:port")

    def line(self) -> str:
        """The one line that is handed over: ``securechan1:…``."""
        body = self.encode()
        return PREFIX + base64.urlsafe_b64encode(body + _check(body)).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, line: str) -> Invite:
        """Raises Malformed for what is no invite or not whole, Invalid for what it may not say."""
        packed = "".join(line.split())
        if not packed.startswith(PREFIX) or len(packed) > 4096:
            raise Malformed("this is no invite", hint=f"an invite is one line that begins with {PREFIX}")
        packed = packed.removeprefix(PREFIX)
        try:
            whole = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise Malformed("the invite has characters that don't belong", hint="copy the whole line again") from None
        body, check = whole[:-4], whole[-4:]
        if _check(body) != check:
            raise Malformed("the invite is not whole", hint="copy the whole line again")
        invite = cls.decode(body)
        invite.check_fields()
        return invite

    def check(self, now: int) -> None:
        """Returns while the invite is good. Raises Untrusted ``invite-expired``."""
        if now >= self.not_after:
            raise Untrusted(
                "the invite has expired", code="invite-expired", hint="ask your administrator for a new one"
            )

    @property
    def box(self) -> Box:
        """What the code opens; each key follows from all of the invite."""
        rest = Invite(
            self.url,
            self.relay,
            self.kem_hash,
            self.root_id,
            self.agency,
            self.officer,
            self.roles,
            self.not_after,
            bytes(CODE_SIZE),
        )
        root = kdf.SHA384.extract(_INVITE + hashlib.sha384(rest.encode()).digest(), self.code)
        keys = (kdf.SHA384.expand(root, _INVITE + purpose, 32) for purpose in (b" box", b" mac", b" seal"))
        box, mac_key, seal_key = keys
        return Box(bytes(box), mac_key, seal_key)

    def __repr__(self) -> str:
        return f"Invite({self.agency}, {self.officer or 'any officer'}, until {self.not_after})"


def _check(body: bytes) -> bytes:
    return hashlib.sha384(_INVITE + b" check" + body).digest()[:4]


def check_roles(roles: Iterable[str]) -> frozenset[Role]:
    """The roles of an officer's device. Raises Invalid."""
    listed = list(roles)
    known: dict[str, Role] = {role: role for role in get_args(Role)}
    wrong = [role for role in listed if role not in known]
    if wrong:
        raise Invalid(f"there is no role {names.shown(wrong[0])}", hint=f"choose among {', '.join(sorted(known))}")
    if not listed or len(set(listed)) != len(listed):
        raise Invalid("no role, or one twice", hint=f"choose among {', '.join(sorted(known))}")
    return frozenset(known[role] for role in listed)


# ------------------------------------------------------------------------------------------------------------- request


class SuiteKey(Struct):
    """A signature public key for one suite."""

    suite: Annotated[str, text(32)]
    public: Annotated[bytes, opaque(8192)]


class Proposal(Struct):
    """What a new device asks to be, and the six words' subject. ``nonce`` makes every request another."""

    box: Annotated[bytes, fixed(32)]
    root_id: Hash
    agency: Annotated[str, text(40)]
    device: Annotated[str, text(64)]
    officer: Annotated[str, text(64)]
    roles: Roles
    keys: Annotated[tuple[SuiteKey, ...], vec(1 << 14)]
    inbox: Annotated[bytes, opaque(4096)]
    time: U64
    nonce: Annotated[bytes, fixed(32)]


class EnrolRequest(Struct):
    """A proposal with one proof of possession for each of its signature keys."""

    proposal: Proposal
    proofs: Annotated[tuple[Annotated[bytes, opaque(8192)], ...], vec(1 << 15)]

    @classmethod
    def make(
        cls, invite: Invite, *, device: str, officer: str, signing: Mapping[str, SigningKey], inbox: bytes, now: int
    ) -> EnrolRequest:
        """A request for ``signing`` (suite → key, the product's suite among them). Raises Invalid, Untrusted."""
        invite.check(now)
        if invite.officer and officer != invite.officer:
            raise Invalid(f"the invite is for {invite.officer}", hint=f"enrol as {invite.officer}")
        if not signing.keys() <= SUITES.keys():
            raise Invalid("a key for an unknown suite", hint=f"make keys for {SUITE}")
        keys = tuple(SuiteKey(suite, key.public) for suite, key in sorted(signing.items()))
        proposal = Proposal(
            invite.box.id,
            invite.root_id,
            invite.agency,
            device,
            officer,
            invite.roles,
            keys,
            inbox,
            now,
            bytes(Secret.random(32)),
        )
        message = _REQUEST + proposal.encode()
        proofs = tuple(
            SUITES[suite].signature.sign(key, contexts.ENROL, message) for suite, key in sorted(signing.items())
        )
        request = cls(proposal, proofs)
        request.verify()
        return request

    def verify(self) -> None:
        """Returns if it could become a device's record and its keys were there. Raises Invalid, BadSignature."""
        self.record(since=self.proposal.time)
        if len(self.proofs) != len(self.proposal.keys):
            raise Invalid("a request proves each of its keys once", rule="SPEC enrolment")
        message = _REQUEST + self.proposal.encode()
        for key, proof in zip(self.proposal.keys, self.proofs, strict=True):
            scheme = SUITES[key.suite].signature
            if not scheme.has_context:
                raise Invalid(f"{key.suite} is no suite of ours", rule="SPEC enrolment")
            scheme.verify(key.public, contexts.ENROL, message, proof)

    def record(self, *, since: int, roles: Iterable[str] | None = None, not_after: int | None = None) -> DeviceRecord:
        """The record that approves it; the administrator may choose other roles. Raises Invalid."""
        proposal = self.proposal
        keys = {key.suite: (key.public,) for key in proposal.keys}
        if len(keys) != len(proposal.keys):
            raise Invalid("a request has one key a suite", rule="SPEC enrolment")
        return made(
            DeviceRecord,
            agency=proposal.agency,
            device=proposal.device,
            officer=proposal.officer,
            roles=check_roles(proposal.roles if roles is None else roles),
            keys=keys,
            inbox=proposal.inbox,
            since=since,
            not_after=not_after,
        )

    @property
    def name(self) -> str:
        """``"agency/device"``."""
        return names.device_name(self.proposal.agency, self.proposal.device)

    @property
    def digest(self) -> bytes:
        """SHA-384 of the proposal: what approvals name. 48 bytes."""
        return hashlib.sha384(_REQUEST + self.proposal.encode()).digest()


def six_words(request: EnrolRequest) -> tuple[str, ...]:
    """Six words (96 bits) over the whole proposal, to be compared by voice."""
    return words.words(hashlib.sha384(_REQUEST + b" words" + request.digest).digest(), WORDS)


def words_match(said: str, request: EnrolRequest) -> bool:
    """Whether what was said is this request's six words."""
    return words.same(said, six_words(request))


class _SealedRequest(Struct):
    nonce: Annotated[bytes, fixed(12)]
    ciphertext: Annotated[bytes, opaque(MAX_REQUEST)]


def seal_request(invite: Invite, request: EnrolRequest) -> bytes:
    """The body of the box's one entry."""
    box, nonce = invite.box, Secret.random(12)
    ciphertext = AES256GCM.seal(box.seal_key, nonce, _REQUEST + box.id, request.encode())
    return _SealedRequest(bytes(nonce), ciphertext).encode()


def open_request(invite: Invite, sealed: bytes) -> EnrolRequest:
    """The verified request in a box. Raises CannotOpen, BadSignature, Malformed, Invalid."""
    box, wire = invite.box, _SealedRequest.decode(sealed)
    request = EnrolRequest.decode(AES256GCM.open(box.seal_key, wire.nonce, _REQUEST + box.id, wire.ciphertext))
    proposal = request.proposal
    if (proposal.box, proposal.root_id, proposal.agency) != (box.id, invite.root_id, invite.agency):
        raise Invalid("the request answers another invite", rule="SPEC enrolment")
    if invite.officer and proposal.officer != invite.officer:
        raise Invalid(f"the request is for another officer than {invite.officer}", rule="SPEC enrolment")
    request.verify()
    return request


# ------------------------------------------------------------------------------------------------------------- verdict


class Decision(Enum8):
    """What the administrator decided."""

    APPROVED = 1
    DENIED = 2


class Approval(Struct):
    """The device stands in the roster of this version, or will when the second administrator has signed. Directory
    keys are those that the approver holds."""

    roster_version: U32
    directory_keys: Annotated[tuple[DirectoryKey, ...], vec(1 << 17)]


class Denial(Struct):
    """Why not, in the administrator's words."""

    reason: Annotated[str, text(400)]


class Verdict(Struct):
    """What an administrator's device decided on a request, signed by it."""

    request: Hash
    device: DeviceName
    approver: DeviceName
    approver_key: Hash
    time: U64
    decision: Decision
    body: Annotated[Approval | Denial, select("decision", {Decision.APPROVED: Approval, Decision.DENIED: Denial})]
    signature: Annotated[bytes, opaque(8192)]

    @classmethod
    def make(
        cls, request: EnrolRequest, body: Approval | Denial, *, approver: str, key: SigningKey, now: int
    ) -> Verdict:
        """Signed by ``approver`` ("agency/device") with its product-suite signature key."""
        decision = Decision.APPROVED if isinstance(body, Approval) else Decision.DENIED
        fields = (request.digest, request.name, approver, key_hash(key.public), now, decision, body)
        return cls(*fields, COMPOSITE.sign(key, contexts.ENROL, _VERDICT + cls(*fields, b"").encode()))

    def verify(self, view: View) -> DeviceRecord:
        """The approver's record. Raises Untrusted, Denied, BadSignature."""
        approver = view.device(self.approver)
        if "admin" not in approver.roles or approver.agency != names.split_device(self.device)[0]:
            raise Denied(f"{self.approver} is no administrator of the agency of {self.device}")
        if self.approver_key not in approver.hashes(SUITE):
            raise Untrusted(f"{self.approver} has no such key", code="unknown-key", hint="sync, then try again")
        plain = (self.request, self.device, self.approver, self.approver_key, self.time, self.decision, self.body)
        message = _VERDICT + Verdict(*plain, b"").encode()
        COMPOSITE.verify(approver.public(self.approver_key), contexts.ENROL, message, self.signature)
        return approver


class _SealedVerdict(Struct):
    enc: Annotated[bytes, opaque(4096)]
    ciphertext: Opaque


def seal_verdict(verdict: Verdict, request: EnrolRequest) -> bytes:
    """For the requesting device alone: HPKE to its inbox key, bound to its request."""
    enc, ciphertext = HYBRID.hpke.seal(request.proposal.inbox, _VERDICT + request.digest, b"", verdict.encode())
    return _SealedVerdict(enc, ciphertext).encode()


def open_verdict(sealed: bytes, inbox_private: bytes, request: EnrolRequest) -> Verdict:
    """The verdict on ``request``; then `Verdict.verify`. Raises CannotOpen, Malformed, Invalid."""
    wire = _SealedVerdict.decode(sealed)
    verdict = Verdict.decode(HYBRID.hpke.open(inbox_private, wire.enc, _VERDICT + request.digest, b"", wire.ciphertext))
    if verdict.request != request.digest or verdict.device != request.name:
        raise CannotOpen("this verdict is on another request")
    return verdict


def admitted(view: View, request: EnrolRequest) -> DeviceRecord:
    """The record that a roster has for the requesting device. Raises Untrusted: not yet, revoked, or with other keys
    than the request's (``identity-changed``)."""
    record = view.device(request.name)
    if dict(record.keys) != {key.suite: (key.public,) for key in request.proposal.keys}:  # not one more than ours
        raise Untrusted(
            f"the roster lists {request.name} with a key that this device did not make",
            code="identity-changed",
            hint="tell your administrator at once: somebody else's request was approved",
        )
    if record.inbox != request.proposal.inbox or record.officer != request.proposal.officer:
        raise Untrusted(
            f"the roster lists {request.name} differently from what was requested",
            code="identity-changed",
            hint="tell your administrator at once",
        )
    return record
