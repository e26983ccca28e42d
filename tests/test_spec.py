"""SPEC.md is held to the code: its tables are the code's own numbers and names, its examples recompute.

Three kinds of check. Tables of code points, codes and limits are compared in both directions, so that neither side can
gain or lose a row alone. Every label that the code uses stands in §16.2, and nothing else does. Every block marked
``example`` has a function here that computes the same lines from the code.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast, get_type_hints

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from clients.federation import Address
from clients.keyfile import Use
from clients.locked import _MAX_ITERATIONS, _MAX_MEMORY, COST, Cost, Locked
from relay import access, limits
from relay.bounds import DAY, Bounds
from relay.heads import _PERIOD
from relay.limits import BURST, Quotas
from relay.store.base import SPENT_FOR
from securechan.agent import (
    agent,
    blobs,
    commits,
    consents,
    forwards,
    founding,
    inbox,
    joining,
    letters,
    look,
    membership,
    packages,
    policy,
    receipts,
    reconcile,
    recovery,
    rosters,
    sending,
    state,
    succession,
)
from securechan.agent.claims import Claim
from securechan.agent.founding import FOUNDING
from securechan.bulletin import bulletin, consent, document, payload, strict_json, tlp
from securechan.bulletin.payload import BlobRef, Payload, Text
from securechan.bulletin.tlp import Tlp
from securechan.codec import (
    DEFAULT_BOUND,
    Codec,
    EnumCodec,
    FixedCodec,
    OpaqueCodec,
    OptionalCodec,
    SelectCodec,
    Struct,
    StructCodec,
    TextCodec,
    UintCodec,
    VectorCodec,
    _codec_of,
    write_varint,
)
from securechan.crypto import contexts
from securechan.crypto.aead import AES256GCM
from securechan.crypto.root import ROOT
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.crypto.suite import PROFILES, SUITES
from securechan.mls import keypackage, ratchets
from securechan.trust import (
    cards,
    enrolment,
    evidence,
    freshness,
    names,
    pending,
    publisher,
    records,
    strict,
    view,
    words,
    workflow,
)
from securechan.trust import contents as trust_contents
from securechan.trust import document as trust_document
from securechan.trust.enrolment import Invite
from securechan.trust.keys import Kind as KeyKind
from securechan.wire import chain, frames, handshake_formats, heads, padding, session
from securechan.wire.chain import Position
from securechan.wire.frames import Answer, Appended, Bye, Done, Frame, Ping, Reason, RecordBody, Request, Then

ROOT_FOLDER: Final = Path(__file__).resolve().parents[1]
SPEC: Final = (ROOT_FOLDER / "SPEC.md").read_text()

Table = list[dict[str, str]]


# ---------------------------------------------------------------------------------------------------- reading SPEC.md


def section(number: str) -> str:
    """The text of ``11`` or of ``11.3``."""
    if "." in number:
        start = SPEC.index(f"\n**{number} ") if f"\n**{number} " in SPEC else SPEC.index(f"\n**{number}**")
        ends = re.compile(r"^(?:\*\*\d+\.\d+|## )", re.MULTILINE)
    else:
        start = SPEC.index(f"\n## {number}. ")
        ends = re.compile(r"^## ", re.MULTILINE)
    end = ends.search(SPEC, start + 4)
    return SPEC[start : end.start() if end else len(SPEC)]


def prose(number: str) -> str:
    """A section without its line breaks."""
    return " ".join(section(number).split())


def tables(number: str) -> list[Table]:
    """Every table of a section, rows by the names of their columns."""
    found: list[Table] = []
    header: list[str] = []
    for line in section(number).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = cells
            found.append([])
        elif not set(cells) <= {"---", ""} or not any(cells):
            found[-1].append(dict(zip(header, cells, strict=True)))
    return found


def table(number: str, column: str) -> Table:
    """The table of a section that begins with this column."""
    return next(rows for rows in tables(number) if rows and next(iter(rows[0])) == column)


def named(number: str, column: str, name: str = "name") -> dict[int, str]:
    """Number → name of a table of code points."""
    return {int(row[column], 0): row[name] for row in table(number, column)}


def bare(cell: str) -> str:
    return cell.strip("`")


def of(kinds: type[Enum]) -> dict[int, str]:
    return {int(each.value): each.name for each in kinds}


# ------------------------------------------------------------------------------------------------------- code points


def test_suites() -> None:
    rows = table("2.1", "suite")
    assert [bare(row["suite"]) for row in rows] == ["hybrid", "cnsa", "standard"]
    for row in rows:
        suite = SUITES[bare(row["suite"])]
        assert int(row["number"], 16) == suite.number
        assert int(re.findall(r"0x[0-9A-F]{4}", row["KEM"])[0], 16) == suite.hpke.kem.id
        assert row["KDF, hash"].replace("-", "").upper().endswith(suite.hash_name.upper())
        assert row["AEAD"] == {1: "AES-128-GCM", 2: "AES-256-GCM", 3: "ChaCha20-Poly1305"}[suite.aead.id]
        assert row["signature"].startswith(suite.signature.name.replace("+", " + "))
        assert (row["offered"] == "yes") is (suite in PROFILES)


def test_contexts() -> None:
    told = {bare(row["context"]) for row in table("2.6", "context")} - {"(empty)"}
    coded = {value.decode() for name, value in vars(contexts).items() if name.isupper() and value}
    assert told == coded


@pytest.mark.parametrize(
    ("where", "column", "kinds"),
    [
        ("3.2", "why", handshake_formats.Why),
        ("3.4", "denial", handshake_formats.Denial),
        ("5.1", "answer", frames.AnswerKind),
        ("5.3", "code", frames.Code),
        ("5.4", "entry kind", frames.EntryKind),
        ("5.4", "halt", frames.Halt),
        ("5.5", "reason", frames.Reason),
        ("11.3", "kind", policy.Kind),
        ("12.1", "kind", letters.LetterKind),
        ("13.1", "kind", payload.PayloadKind),
        ("13.2", "control", payload.ControlKind),
        ("13.5", "label", tlp.Tlp),
    ],
)
def test_code_points(where: str, column: str, kinds: type[Enum]) -> None:
    assert named(where, column) == of(kinds)


def test_requests() -> None:
    told = {int(row["kind"]): row["request"] for row in table("5.2", "kind")}
    assert told == {kind.value: body.__name__ for kind, body in frames.REQUESTS.items()}


@pytest.mark.parametrize(
    ("where", "text", "kinds"),
    [
        ("5.1", "1: Request; 2: Answer; 3: Entries; 4: Heads; 5: Bye", frames.FrameKind),
        ("3.4", "1: DeviceProof; 2: GuestProof; 3: OfficeProof", handshake_formats.ProofKind),
        ("13.1", "0 FOUNDING, 1 DECLARED, 2 READDED", payload.Entered),
        ("13.3", "1 ACTIVE, 2 WITHDRAWN", bulletin.Status),
        ("13.6", "1 DELIVERED, 2 ACKNOWLEDGED", bulletin.ReceiptKind),
        ("10.6", "1: Approval; 2: Denial", enrolment.Decision),
    ],
)
def test_code_points_in_the_text(where: str, text: str, kinds: type[Enum]) -> None:
    assert text in prose(where)
    assert [int(n) for n in re.findall(r"\d+", text)] == list(of(kinds))
    said = [re.sub(r"(Proof|al)$", "", word).upper() for word in re.findall(r"[A-Za-z]+", text)]
    assert [word[:4] for word in said] == [name.replace("_", "")[:4] for name in of(kinds).values()]


def test_extensions() -> None:
    told = {row["name"]: int(row["type"], 16) for row in table("11.2", "type")}
    assert told == {
        "POLICY": policy.POLICY,
        "OFFICER": policy.OFFICER,
        "FOUNDING": FOUNDING,
        "last_resort": keypackage.LAST_RESORT,
    }


def test_trust_keys() -> None:
    told = {bare(row["keytype"]): bare(row["scheme"]) for row in table("9.2", "keytype")}
    assert told == {kind.value: kind.scheme.name for kind in KeyKind}
    assert {use.value for use in Use} == set(re.findall(r"`(root|targets|authority|roster)`", prose("14.2")))


def test_refusals_of_publications() -> None:
    """The table, the list at the head of the workflow, and what is raised, are one set."""
    told = {bare(row["code"]): row["refused because"] for row in table("9.5", "code")}
    listed = dict(
        re.findall(r"^    ([a-z-]+) {2,}(\S.*)$", (workflow.__doc__ or "").partition("code  ")[2], flags=re.MULTILINE)
    )
    assert told == listed
    raised = {
        code
        for module in (workflow, trust_contents, trust_document)
        for code in re.findall(r'code="([a-z-]+)"', Path(str(module.__file__)).read_text())
    }
    assert raised - {"not-started"} == set(told)


def test_other_refusals_of_trust() -> None:
    told = {bare(row["code"]) for number in ("9.5", "9.12") for row in table(number, "code")}
    raised = set()
    for path in (ROOT_FOLDER / "securechan/trust").glob("*.py"):
        raised |= set(re.findall(r'code="([a-z-]+)"', path.read_text()))
    raised |= set(re.findall(r'"(grace|frozen|expired)"', Path(str(freshness.__file__)).read_text()))
    assert told == raised


def test_records_have_the_fields_that_are_told() -> None:
    told: dict[str, list[str]] = {}
    name = ""
    for row in table("9.4", "record"):
        name = row["record"] or name
        told.setdefault(name, []).extend(re.findall(r"`([a-z_]+)`", row["field"]))
    coded: dict[str, type[records.Record]] = {
        "Policy": records.Policy,
        "Agency": records.AgencyRecord,
        "Relay": records.RelayRecord,
        "Community": records.CommunityBinding,
        "Device": records.DeviceRecord,
        "Tombstone": records.Tombstone,
        "Card": records.SealedCard,
    }
    assert {name: sorted(fields) for name, fields in told.items()} == {
        name: sorted(record.model_fields) for name, record in coded.items()
    }


def test_defaults_of_the_policy() -> None:
    told = {bare(row["field"]): row["value (default)"] for row in table("9.4", "record")[:6]}
    fresh = records.Policy()
    assert f"`{json.dumps(list(fresh.profiles))}`" in told["profiles"]
    for role, days in (
        ("timestamp", 1),
        ("snapshot", 7),
        ("roster", 30),
        ("agency", 90),
        ("targets", 90),
        ("root", 365),
    ):
        assert getattr(fresh.lifetimes, role) == days * DAY
        assert re.search(rf"`{role}` [^,`]*\({days} d\)", told["lifetimes"])
    assert f"({fresh.devices_per_agency})" in told["devices_per_agency"]
    assert f"({fresh.agencies})" in told["agencies"]
    assert f"({fresh.grace // DAY} d)" in told["grace"]


def test_names_that_are_reserved() -> None:
    told = {row["name"]: row["form"] for row in table("1.4", "name")}["agency"]
    assert set(re.findall(r"`([a-z]+)`", told)) == names.RESERVED
    assert f"`{names.AGENCY.replace('(?:', '(')}`" in told


def test_sizes_of_keys_and_signatures() -> None:
    assert (COMPOSITE.private_length, COMPOSITE.public_length, COMPOSITE.signature_length) == (64, 1984, 3373)
    assert (ROOT.private_length, ROOT.public_length, ROOT.signature_length) == (128, 80, 16288)
    for size in ("1,984", "3,373"):
        assert size in prose("2.4")
    for size in ("80 bytes", "128", "16,288"):
        assert size in prose("2.5")


def test_media_types() -> None:
    row = next(row for row in table("13.3", "field") if row["field"] == "`media_type`")
    assert tuple(re.findall(r"`([^`]+)`", row["rule"])) == document.MEDIA_TYPES


# ----------------------------------------------------------------------------------------------------------- formats

STRUCTS: Final[dict[tuple[str, str], type[Struct]]] = {
    **{
        ("3.2", each.__name__): each
        for each in (
            handshake_formats.H1,
            handshake_formats.Hello,
            handshake_formats.Reply,
            handshake_formats.H2,
            handshake_formats.Retry,
            handshake_formats.Turned,
        )
    },
    **{
        ("3.4", each.__name__): each
        for each in (
            session.Limits,
            handshake_formats.Proof,
            handshake_formats.DeviceProof,
            handshake_formats.GuestProof,
            handshake_formats.OfficeProof,
            handshake_formats.Verdict,
        )
    },
    ("4.2", "RecordBody"): frames.RecordBody,
    ("5.1", "Frame"): frames.Frame,
    ("5.2", "CommitClaim"): frames.CommitClaim,
    ("5.2", "TrustDocument"): frames.TrustDocument,
    ("5.3", "Error"): frames.Error,
    ("5.4", "Entry"): frames.Entry,
    ("5.4", "Entries"): frames.Entries,
    ("5.5", "Bye"): frames.Bye,
    ("8.1", "Position"): chain.Position,
    ("8.4", "HeadLeaf"): frames.HeadLeaf,
    ("8.4", "Heads"): frames.Heads,
    ("9.6", "Publication"): frames.Publication,
    ("9.8", "SavedDocument"): view.SavedDocument,
    ("9.10", "Address"): Address,
    ("10.2", "Invite"): enrolment.Invite,
    ("10.4", "Proposal"): enrolment.Proposal,
    ("10.4", "SuiteKey"): enrolment.SuiteKey,
    ("10.4", "EnrolRequest"): enrolment.EnrolRequest,
    ("10.4", "SealedRequest"): enrolment._SealedRequest,
    ("10.6", "Verdict"): enrolment.Verdict,
    ("10.6", "Approval"): enrolment.Approval,
    ("10.6", "Denial"): enrolment.Denial,
    ("10.6", "SealedVerdict"): enrolment._SealedVerdict,
    ("10.7", "PendingRoster"): pending.PendingRoster,
    ("10.9", "DirectoryKey"): cards.DirectoryKey,
    ("10.9", "KeyShare"): cards.KeyShare,
    ("10.9", "Envelope"): cards._Envelope,
    ("11.3", "Policy"): policy.Policy,
    ("11.3", "AgencyScope"): policy.AgencyScope,
    ("11.4", "Act"): founding.Act,
    ("11.4", "Founding"): founding.Founding,
    ("11.17", "Succession"): founding.Succession,
    ("12.1", "Letter"): letters.Letter,
    ("12.1", "SignedLetter"): letters.SignedLetter,
    ("12.1", "SealedLetter"): letters.SealedLetter,
    ("13.1", "Payload"): payload.Payload,
    ("13.1", "BlobRef"): payload.BlobRef,
    ("13.3", "BulletinHeader"): bulletin.BulletinHeader,
    ("13.6", "Receipt"): bulletin.Receipt,
    ("13.8", "Consent"): consent.Consent,
    ("13.8", "SignedConsent"): consent.SignedConsent,
    ("13.7", "SignedBulletin"): bulletin.SignedBulletin,
    ("14.1", "Cost"): Cost,
    ("14.1", "Locked"): Locked,
}
_UNTYPED: Final = {("5.1", "Request"), ("5.1", "Answer")}  # their bodies are the tables of §5


def _cut(text: str, at: str) -> list[str]:
    """Split at a separator that stands in no brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "({[") - (c in ")}]")
        if c == at and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts if part.strip()]


def _size(bound: str | None) -> int:
    if bound is None:
        return DEFAULT_BOUND
    number, _, unit = bound.replace(",", "").partition(" ")
    return int(float(number) * {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}[unit])


_BOUND: Final = r"(?: ≤ ([\d.,]+(?: [KM]iB)?))?"


def told_field(text: str) -> str:
    """One field as SPEC.md writes it, in the words of `coded_field`."""
    if text.startswith("select") or text in ("body of §13.2", "body"):
        return "select"
    if text.startswith("optional "):
        return f"optional {told_field(text.removeprefix('optional '))}"
    if found := re.fullmatch(rf"\((.*)\) \w+<V>{_BOUND}", text):
        return f"({told_field(found[1])})<V> {_size(found[2])}"
    if found := re.fullmatch(r"(uint\d+)(?: \w+)?(?: = \d+)?", text):
        return found[1]
    if found := re.fullmatch(rf"string(?: \w+)?{_BOUND}", text):
        return f"string {_size(found[1])}"
    if found := re.fullmatch(rf"([A-Z]\w*) \w+<V>{_BOUND}", text):
        return f"({found[1]})<V> {_size(found[2])}"
    if found := re.fullmatch(r"(?:[\w ]+ )?\w+\[(\d+)\]", text):
        return f"[{found[1]}]"
    if found := re.fullmatch(rf"(?:opaque )?\w*<V>{_BOUND}", text):
        return f"<V> {_size(found[1])}"
    found = re.fullmatch(r"([A-Z]\w*)(?: \w+)?", text)
    assert found, f"no field: {text!r}"
    return found[1]


def coded_field(kind: Codec) -> str:
    """One field as the code has it."""
    match kind:
        case UintCodec(size) | EnumCodec(_, size):
            return f"uint{8 * size}"
        case FixedCodec(size):
            return f"[{size}]"
        case OpaqueCodec(bound):
            return f"<V> {bound}"
        case TextCodec(bound):
            return f"string {bound}"
        case OptionalCodec(inner):
            return f"optional {coded_field(inner)}"
        case VectorCodec(inner, bound):
            return f"({coded_field(inner)})<V> {bound}"
        case StructCodec(struct):
            return struct.__name__.strip("_").replace("Place", "Position")
        case SelectCodec():
            return "select"
        case _:
            raise AssertionError(f"no word for {kind}")


def coded(struct: type[Struct]) -> list[str]:
    hints = get_type_hints(struct, include_extras=True)
    return [coded_field(_codec_of(hints[each.name])) for each in fields(cast("Any", struct))]


def told_structs() -> dict[tuple[str, str], list[str]]:
    """Every named struct of SPEC.md by its rule and name: its fields."""
    found: dict[tuple[str, str], list[str]] = {}
    for number in re.findall(r"^\*\*(\d+\.\d+)", SPEC, flags=re.MULTILINE):
        text = prose(number)
        for match in re.finditer(r"struct \{", text):
            end, depth = match.end(), 1
            while depth:
                depth += (text[end] == "{") - (text[end] == "}")
                end += 1
            name = re.match(r" (\w+)", text[end:])
            if name and text[match.start() - 2 : match.start()] != ": ":
                found[number, name[1]] = _cut(text[match.end() : end - 1], ";")
    return found


def test_every_struct_is_one_of_the_code() -> None:
    assert set(told_structs()) - _UNTYPED == set(STRUCTS)


@pytest.mark.parametrize(("rule", "name"), STRUCTS, ids=str)
def test_structs(rule: str, name: str) -> None:
    assert [told_field(each) for each in told_structs()[rule, name]] == coded(STRUCTS[rule, name])


@pytest.mark.parametrize(
    ("where", "column", "body", "cases"),
    [
        ("5.2", "kind", "body", frames.REQUESTS),
        ("5.1", "answer", "body", frames.ANSWERS),
        ("12.1", "kind", "body", letters.CASES),
        ("13.1", "kind", "body", payload.CASES),
        (
            "13.2",
            "control",
            "body",
            {
                payload.ControlKind.HEARTBEAT: payload.Heartbeat,
                payload.ControlKind.ROSTER: payload.RosterNotice,
                payload.ControlKind.CONFIRM: payload.DeviceConfirmation,
            },
        ),
    ],
)
def test_bodies(where: str, column: str, body: str, cases: Mapping[Any, type[Struct]]) -> None:
    for row in table(where, column):
        said = row[body].partition(";")[0]
        elsewhere = re.fullmatch(r"(\w+) \(§([\d.]+)\)", said)
        parts = told_structs()[elsewhere[2], elsewhere[1]] if elsewhere else _cut(said, ",")
        told = [] if said.startswith("(empty)") else [told_field(each) for each in parts]
        assert told == coded(cases[int(row[column])]), row


# ------------------------------------------------------------------------------------------------------------ limits

MIB: Final = 1 << 20
_BOUNDS: Final = Bounds()
_QUOTAS: Final = Quotas()
FIXED: Final = "fixed"
LIMITS: Final[dict[str, tuple[int | str, str]]] = {
    "vector without a bound of its own": (1 << 24, FIXED),
    "body of an entry": (frames.MAX_ENTRY, FIXED),
    "bytes of the frames of a record": (frames.MAX_FRAMES, FIXED),
    "frames of a record": (frames.MOST_FRAMES, FIXED),
    "key packages of a request": (frames.MOST_PACKAGES, FIXED),
    "record": (session.MAX_RECORD, FIXED),
    "piece of a blob": (frames.MAX_CHUNK, FIXED),
    "blob": (frames.MAX_BLOB, FIXED),
    "proof in box3, padded": (handshake_formats.PROOF_SIZE, FIXED),
    "verdict in box4, padded": (handshake_formats.VERDICT_SIZE, FIXED),
    "records under one key": (session.RECORDS_PER_KEY, FIXED),
    "time under one key": (session.SECONDS_PER_KEY, FIXED),
    "life of a session": (session.SESSION_LIFETIME, FIXED),
    "life of a cookie": (handshake_formats.COOKIE_LIFETIME, ""),
    "path of a head, hashes": (heads._MAX_PATH, FIXED),
    "time between signatures of heads": (int(_PERIOD), ""),
    "time between unasked heads of a topic": (int(_BOUNDS.head_every), ""),
    "time between a client's comparisons of heads": (agent.HEADS_EVERY, ""),
    "live access claims of a topic": (access.LIVE_MAX, FIXED),
    "unconfirmed commits of a device": (access.RATE_MAX, FIXED),
    "… in": (access.RATE_SPAN, FIXED),
    "access secrets a client keeps, with the current": (state.ACCESSES + 1, FIXED),
    "chain values a client keeps, per conversation": (state.HISTORY, ""),
    "payloads a client knows again, per conversation": (state.SEEN, ""),
    "letters a client knows again": (state.LETTERS_KEPT, ""),
    "entries of an inbox": (_BOUNDS.inbox_entries, ""),
    "entries of a box": (_BOUNDS.box_entries, ""),
    "life of a box": (_BOUNDS.box_lifetime, ""),
    "key packages of a device and suite": (_BOUNDS.packages, ""),
    "time for which a used key package is remembered": (SPENT_FOR, ""),
    "life of a blob": (_BOUNDS.blob_lifetime, ""),
    "life of an unfinished upload": (_BOUNDS.upload_lifetime, ""),
    "retention of GROUP and INBOX entries": (_BOUNDS.retention, ""),
    "stored in the retention, per agency": (_BOUNDS.stored_per_agency, ""),
    "topics of a session": (_BOUNDS.topics_per_session, ""),
    "requests of a session before OVERLOADED": (_BOUNDS.requests_in_flight, ""),
    "run of entries in one frame": (_BOUNDS.run, ""),
    "part of the disk that is kept": (f"{_BOUNDS.reserve:.0%}", ""),
    "requests without an answer (in_flight)": (_QUOTAS.in_flight, ""),
    "entries a minute, device": (_QUOTAS.appends_per_minute, ""),
    "entries a minute, agency": (_QUOTAS.agency_appends_per_minute, ""),
    "bytes a second, device": (_QUOTAS.bandwidth, ""),
    "bytes a second, agency": (_QUOTAS.agency_bandwidth, ""),
    "bytes a day that are stored, agency": (_QUOTAS.agency_bytes_per_day, ""),
    "requests a second, device": (_QUOTAS.requests_per_second, ""),
    "silence before bye IDLE": (_QUOTAS.idle, ""),
    "no reading before bye SLOW": (_QUOTAS.stall, ""),
    "buffer of a slow reader": (_QUOTAS.buffer, ""),
    "sessions": (_QUOTAS.sessions, ""),
    "handshakes under way": (_QUOTAS.half_open, ""),
    "handshakes under way, one address": (_QUOTAS.half_open_per_address, ""),
    "handshakes a minute, one address": (_QUOTAS.handshakes_per_minute, ""),
    "time for a handshake": (int(_QUOTAS.handshake_timeout), ""),
    "documents of a publication": (frames.MOST_DOCUMENTS, FIXED),
    "publication": (workflow.MAX_PUBLICATION, FIXED),
    "trust document": (strict.MAX_DOCUMENT, FIXED),
    "containers inside containers of a trust document": (strict.MAX_DEPTH, FIXED),
    "keys of a role": (trust_contents.MAX_KEYS, FIXED),
    "signatures of a document": (trust_document.MAX_SIGNATURES, FIXED),
    "tombstones of an agency": (trust_contents.MAX_TOMBSTONES, FIXED),
    "life of a document beyond policy's": (publisher.SLACK, ""),
    "evidence": (evidence.MAX_EVIDENCE, FIXED),
    "warnings ahead of expiry, days": (", ".join(map(str, freshness.STAGES)), ""),
    "life of an invite": (enrolment.LIFETIME, ""),
    "code of an invite": (enrolment.CODE_SIZE, FIXED),
    "sealed request": (enrolment.MAX_REQUEST, FIXED),
    "padding of a contact card": (cards._PAD, FIXED),
    "members of a conversation": (policy.MAX_MEMBERS, FIXED),
    "time between turns": (membership.TURN, FIXED),
    "adds, and removes, of one commit": (membership.MOST_AT_ONCE, ""),
    "renewal of epoch keys, by default": (policy.RENEWAL, ""),
    "silence before a sign of life": (reconcile.QUIET, ""),
    "silence before stale since": (look.STALE, ""),
    "generations that a message may lie ahead of its sender's next": (ratchets.MAX_JUMP, FIXED),
    "message keys kept of those skipped, per ratchet": (ratchets.MAX_SKIPPED, FIXED),
    "key package asked for again after": (reconcile.ABSENT, ""),
    "… doubling to": (reconcile.ABSENT_MOST, ""),
    "life of a key package": (keypackage.DEFAULT_LIFETIME, ""),
    "clock skew of a key package": (keypackage.CLOCK_SKEW, ""),
    "key packages in stock": (packages.STOCK, ""),
    "ratchet tree inside a letter": (commits.TREE_INLINE, ""),
    "payloads of a conversation offered at a time": (sending.WINDOW, ""),
    "padding step of payloads": (sending.BUCKET, ""),
    "payloads that wait": (sending.MOST_QUEUED, ""),
    "conversations of a device": (joining.MOST_CONVERSATIONS, ""),
    "offers that wait": (joining.MOST_OFFERS, ""),
    "… of one agency": (joining.MOST_OFFERS_OF_ONE, ""),
    "silence after which a newcomer is added anew": (reconcile.UNWELCOMED, ""),
    "members asked to re-add, at a time": (recovery.ASKED, ""),
    "… others after": (recovery.AGAIN, ""),
    "re-adds of one device, apart": (commits.BETWEEN_READDS, ""),
    "rosters told inside a conversation": (rosters.LARGEST, ""),
    "receipts of a letter": (letters.MOST_RECEIPTS, FIXED),
    "letters that wait": (letters.MOST_LETTERS, ""),
    "time for which a letter is offered": (letters.FOR, ""),
    "wait of a letter for trust": (inbox.PATIENCE, ""),
    "devices of a desk that get a receipt": (receipts.DESKS, ""),
    "… at first hand": (receipts.FIRST_HAND, ""),
    "… collecting before it is passed on": (receipts.PASS_ON, ""),
    "collecting of deliveries": (receipts.BATCH_FOR, ""),
    "text": (payload.TEXT_MAX, FIXED),
    "bulletin content inside a payload": (payload.INLINE_MAX, FIXED),
    "bulletin or attachment": (payload.CONTENT_MAX, FIXED),
    "levels of JSON in a bulletin": (strict_json.MAX_DEPTH, FIXED),
    "title of a bulletin": (document.MAX_TITLE, FIXED),
    "memory of Argon2id, KiB": (COST.memory, ""),
    "… at most": (_MAX_MEMORY, FIXED),
    "passes of Argon2id at most": (_MAX_ITERATIONS, FIXED),
}


def test_limits() -> None:
    told = {row["limit"]: (row["value"].replace(",", ""), row[""].strip("*")) for row in table("15", "limit")}
    assert told == {name: (str(value).replace(",", ""), kind) for name, (value, kind) in LIMITS.items()}
    assert BURST == 60
    assert workflow.MAX_DOCUMENTS == frames.MOST_DOCUMENTS
    assert limits.DAY == DAY


@pytest.mark.parametrize(
    ("where", "phrase"),
    [
        ("3.5", f"expires in {handshake_formats.COOKIE_LIFETIME} s"),
        ("4.2", f"record 2^{session.RECORDS_PER_KEY.bit_length() - 1} or after one hour"),
        ("5.1", f"at most {frames.MOST_FRAMES:,}."),
        ("5.2", f"At most {frames.MOST_DOCUMENTS} documents in a Publish, {frames.MOST_PACKAGES} packages"),
        ("6.7", f"at most {_BOUNDS.inbox_entries:,} entries"),
        ("6.8", f"now + {_BOUNDS.box_lifetime // DAY} days"),
        ("6.8", f"up to {_BOUNDS.box_entries} entries"),
        ("6.10", f"for {SPENT_FOR // DAY} days"),
        ("7.5", f"At most {access.RATE_MAX} unconfirmed commits"),
        ("7.5", f"at most {access.LIVE_MAX} live claims"),
        ("7.6", f"last {state.ACCESSES + 1} epochs"),
        ("8.2", f"({state.HISTORY} at least)"),
        ("8.4", f"at most every {_BOUNDS.head_every:.0f} s"),
        ("9.2", f"At most {trust_contents.MAX_KEYS} keys a role, {trust_document.MAX_SIGNATURES} signatures"),
        ("9.3", f"at most {strict.MAX_DEPTH} containers deep and {strict.MAX_DOCUMENT / (1 << 20)} MiB"),
        ("9.5", f"At most {workflow.MAX_DOCUMENTS} documents and {workflow.MAX_PUBLICATION >> 20} MiB"),
        ("9.7", ", ".join(map(str, freshness.STAGES[:-1])) + f" and {freshness.STAGES[-1]} days"),
        ("10.2", f"for {enrolment.LIFETIME // 3600} h"),
        ("11.1", f"until {keypackage.DEFAULT_LIFETIME // DAY} days after"),
        ("11.6", f"a multiple of {sending.BUCKET} bytes"),
        ("11.6", f"At most {sending.WINDOW} of one conversation"),
        ("11.7", f"At most {membership.MOST_AT_ONCE} adds and {membership.MOST_AT_ONCE} removes"),
        ("11.8", f"waits k × {membership.TURN} s"),
        ("11.8", f"again after {reconcile.ABSENT} s, doubling to {reconcile.ABSENT_MOST} s"),
        ("11.10", f"more than {policy.MAX_MEMBERS:,} members"),
        ("11.10", f"({state.SEEN:,} of a conversation)"),
        ("11.12", f"up to {commits.TREE_INLINE >> 10} KiB"),
        ("11.13", f"after {recovery.AGAIN} s to three"),
        ("11.17", f"once in {succession.DAY} s"),
        ("11.13", f"died with the Welcome. {reconcile.UNWELCOMED} s"),
        ("11.13", f"the last {state.LETTERS_KEPT}"),
        ("11.15", f"In {reconcile.QUIET // 3600} hours of silence"),
        ("11.15", f"`stale since` after {look.STALE // 3600}"),
        ("11.16", f"at most {rosters.LARGEST >> 10} KiB"),
        ("12.1", f"at most {letters.MOST_RECEIPTS} in a letter"),
        ("12.2", f"up to {inbox.PATIENCE} s"),
        ("12.3", f"for {letters.FOR // DAY} days"),
        ("13.3", f"at most {strict_json.MAX_DEPTH} levels"),
        ("13.6", f"first {receipts.FIRST_HAND} get"),
        ("13.8", f"first {receipts.FIRST_HAND} devices"),
        ("13.8", f"do it {forwards.STAND_IN} s later"),
        ("13.8", f"at most {consents.MOST_WAITING} questions"),
        ("13.6", f"no more than {receipts.DESKS}"),
        ("13.6", f"for {receipts.PASS_ON} s before"),
        ("14.1", f"{COST.memory}, {COST.iterations}, {COST.lanes}"),
        ("15", f"they fill to {BURST:.0f} s worth"),
    ],
)
def test_numbers_in_the_text(where: str, phrase: str) -> None:
    assert phrase in prose(where)


# ------------------------------------------------------------------------------------------------------------ labels

_PARSED: Final = [
    *(ROOT_FOLDER / "securechan").rglob("*.py"),
    *(ROOT_FOLDER / "relay").rglob("*.py"),
    *(ROOT_FOLDER / "clients").rglob("*.py"),
]
_RFC: Final = (
    "securechan/mls/",
    "securechan/crypto/kem.py",
    "securechan/crypto/hpke.py",
    "securechan/crypto/signature.py",
)
_TEST_VALUES: Final = ("securechan/crypto/selftest.py", "clients/demo/")
_NO_LABELS: Final = {  # bytes of letters that are nobody's domain separator
    "relay/admission.py": {b"device ", b"guest "},
    "relay/store/jetstream.py": {b'{"error"', b"Nats-Subject:", b"Nats-Sequence:", b"Nats-Num-Pending:"},
    "relay/lanes.py": {b"put", b"publish", b"get", b"packages", b"heads"},
    "clients/vaultfile.py": {b"SQLite format 3\0"},
}
_FRAGMENTS: Final = {  # a label's beginning and its ends, joined where they are used
    "securechan/wire/chain.py": (b"securechan/1 chain", {b" start"}),
    "securechan/trust/enrolment.py": (b"securechan/1 invite", {b" box", b" mac", b" seal", b" check"}),
    "clients/sealing.py": (b"securechan/1 vault ", {b"names", b"records", b"sums", b"manifest"}),
    "clients/operations/founding.py": (b"securechan/1 administrator", {b" words"}),
}


def literals(path: Path) -> Iterator[bytes]:
    """Bytes with a letter in them, anywhere in a file, and texts that begin as labels do."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bytes) and re.search(rb"[A-Za-z]", node.value):
                yield node.value
            elif isinstance(node.value, str) and re.fullmatch(r"securechan(/1 [a-z ]+| access)", node.value):
                yield node.value.encode()


def labels() -> set[str]:
    """Every label of the code, as it is hashed or signed."""
    found: set[bytes] = set()
    for path in _PARSED:
        name = str(path.relative_to(ROOT_FOLDER))
        if name.startswith((*_RFC, *_TEST_VALUES)):
            continue
        mine = set(literals(path)) - _NO_LABELS.get(name, set())
        if name in _FRAGMENTS:
            start, ends = _FRAGMENTS[name]
            assert {start, *ends} <= mine, f"{name}: a fragment of a label is gone"
            mine = {*(mine - ends), *(start + end for end in ends)}
            if start.endswith(b" "):
                mine.discard(start)
        if name == "securechan/trust/enrolment.py":
            mine = {*(mine - {b" words"}), b"securechan/1 enrol request words"}
        found |= mine
    return {label.decode().replace("\n", "") for label in found}


def test_labels() -> None:
    told = [bare(row["label"]) for row in table("16", "label")]
    assert len(set(told)) == len(told)
    assert sorted(told) == sorted({label.strip() for label in labels()})


def test_every_label_is_explained() -> None:
    """Each stands in the section that the table names."""
    for row in table("16", "label"):
        text = prose(row["used in"].removeprefix("§"))
        assert re.search(rf"[\"`]{re.escape(bare(row['label']))}[ \"`]", text), row


def test_markers() -> None:
    told = {bare(row["marker"]) for row in table("16", "marker")}
    coded = set()
    for path in _PARSED:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"securechan(-federation)?1:|securechan-(composite|root-pair)", node.value):
                    coded.add(node.value)
                if re.fullmatch(r"securechan (federation|signing|agency|private|public) [a-z]+( [a-z]+)?", node.value):
                    coded.add(node.value)
                if node.value == "securechan administrator":
                    coded.add(node.value)
    assert told == coded


# ----------------------------------------------------------------------------------------------------------- vectors


def test_fields_of_the_vectors() -> None:
    cases: list[dict[str, Any]] = json.loads((ROOT_FOLDER / "tests/vectors/handshake.json").read_bytes())
    assert [case["given"]["credential"]["kind"] for case in cases] == ["device", "guest", "office"]
    for part, column in (("given", "given"), ("values", "value")):
        told = [field for row in table("19", column) for field in re.findall(r"`(\w+)`", row[column])]
        for case in cases:
            assert sorted(told) == sorted(case[part])


# ---------------------------------------------------------------------------------------------------------- examples

Lines = Mapping[str, str | int]
DEVICE: Final = "cert-hr/liaison-1-laptop"
TOPIC: Final = b"\x22" * 32


def _vectors() -> Lines:
    def varint(n: int) -> str:
        out = bytearray()
        write_varint(out, n)
        return out.hex()

    return {"5 zero bytes as opaque<V>": varint(5) + "00" * 5} | {
        f"length {n}": varint(n) for n in (63, 64, 16383, 16384)
    }


def _buckets() -> Lines:
    return {str(n): padding.bucket(n) for n in (1, 257, 4096, 4097, 70000, 1000000)}


def _frames() -> Lines:
    ping = Frame.of(Request.of(7, Ping()))
    return {
        "Request 7, Ping": ping.encode().hex(),
        "Answer 7, Done": Frame.of(Answer.of(7, Done())).encode().hex(),
        "Answer 8, Appended 258": Frame.of(Answer.of(8, Appended(258))).encode().hex(),
        "Bye, REVOKED": Frame.of(Bye(Reason.REVOKED)).encode().hex(),
        "record plaintext of a ping, before padding": RecordBody(Then.STAY, (ping,)).encode().hex(),
    }


def _topics() -> Lines:
    return {"trust topic": frames.TRUST_TOPIC.hex(), f"inbox topic of {DEVICE}": frames.inbox_topic(DEVICE).hex()}


def _access() -> Lines:
    secret = bytes(range(32))
    return {
        "access secret": secret.hex(),
        "claim": access.claim_of(secret).hex(),
        f"committer tag of {DEVICE} in topic 32 x 22": access.device_tag(TOPIC, DEVICE).hex(),
    }


def _chain() -> Lines:
    zero = chain.start(TOPIC)
    one = chain.advance(zero, 1, b"\x33" * 32, 1, b"hello")
    two = chain.advance(one, 0, b"\x44" * 32, 5, b"")
    return {
        "topic": "32 x 22",
        "H(0)": zero.chain.hex(),
        'H(1) after kind 1, id 32 x 33, sequence 1, body "hello"': one.chain.hex(),
        "H(2) after kind 0, id 32 x 44, sequence 5, empty body": two.chain.hex(),
    }


def _heads() -> Lines:
    tree = heads.Tree([heads.leaf_hash(bytes([n]) * 32, Position(n, bytes([n]) * 48)) for n in (1, 2, 3)])
    return {
        "leaf n": "topic 32 x n, sequence n, chain 48 x n, for n = 1, 2, 3",
        "root": tree.root.hex(),
        "path of leaf 3": " ".join(each.hex() for each in tree.path(2)),
    }


def _record() -> Lines:
    body = strict.dump(records.Policy().custom())
    return {
        "policy of a new federation": body.decode(),
        "length": len(body),
        "sha384": hashlib.sha384(body).hexdigest(),
        "look-alike of cert-1t": names.look_alike("cert-1t"),
        "look-alike of cert-lt": names.look_alike("cert-lt"),
    }


def _address() -> Lines:
    address = Address("wss://relay.example.int", "relay-1", b"\x01" * 48, b"\x02" * 48)
    assert Address.parse(address.line()) == address
    return {
        "url": address.url,
        "relay": address.relay,
        "kem_hash": "48 x 01",
        "root_id": "48 x 02",
        "line": address.line(),
    }


def _invite() -> Lines:
    invite = Invite(
        "wss://relay.example.int",
        "relay-1",
        b"\x01" * 48,
        b"\x02" * 48,
        "cert-hr",
        "liaison-1",
        ("liaison",),
        1_800_000_000,
        b"\x03" * 20,
    )
    assert Invite.parse(invite.line()) == invite
    return {
        "url": invite.url,
        "relay": invite.relay,
        "kem_hash": "48 x 01",
        "root_id": "48 x 02",
        "agency": invite.agency,
        "officer": invite.officer,
        "roles": ", ".join(invite.roles),
        "not_after": invite.not_after,
        "code": "20 x 03",
        "line": invite.line(),
        "box id": invite.box.id.hex(),
        "mac key": bytes(invite.box.mac_key).hex(),
        "seal key": bytes(invite.box.seal_key).hex(),
    }


def _words() -> Lines:
    request: Any = SimpleNamespace(digest=bytes(48))
    return {
        "digest": "48 x 00",
        "six words": " ".join(enrolment.six_words(request)),
        "127.0.0.1 as two words": " ".join(words.words(bytes([127, 0, 0, 1]), 2)),
    }


def _directory() -> Lines:
    return {"agency": "cert-hr", "key": "32 x 05", "id": cards.DirectoryKey("cert-hr", b"\x05" * 32).id.hex()}


def _policy() -> Lines:
    scopes = (policy.AgencyScope("cert-hr", ("desk",)), policy.AgencyScope("cert-lt", ()))
    stewards = ("ana@cert-hr", "jonas@cert-lt")
    made = policy.Policy("incidents", policy.Kind.COMMUNITY, scopes, (), stewards, Tlp.AMBER_STRICT, policy.RENEWAL)
    made.check()
    return {
        "name": made.name,
        "kind": int(made.kind.value),
        "agencies": "cert-hr with role desk, cert-lt with all",
        "stewards": ", ".join(stewards),
        "ceiling": int(made.ceiling.value),
        "renewal": made.renewal,
        "encoded": made.extension().data.hex(),
        "officer extension of ana@cert-hr": policy.Officer("ana@cert-hr").extension().data.hex(),
    }


def _turns() -> Lines:
    there = {leaf: policy.Seat(leaf, f"cert-hr/d{leaf}", "ana@cert-hr", b"") for leaf in range(4)}
    difference = membership.Difference(removes=(2,))
    change = difference.change()
    waits = {leaf: membership.wait(there, leaf, difference.removes, 7, change) for leaf in there}
    return {
        "leaves": ", ".join(map(str, there)),
        "epoch": 7,
        "change": "remove leaf 2",
        "order": ", ".join(map(str, membership.order(there, difference.removes, 7, change))),
        "waits": ", ".join(f"leaf {leaf} {seconds} s" for leaf, seconds in waits.items() if seconds is not None),
    }


def _payload() -> Lines:
    made = Payload.of(b"\x07" * 16, 1_800_000_000_000, Text(Tlp.AMBER, "hello"))
    return {"id": "16 x 07", "time": made.time, "text, amber": "hello", "encoded": made.encode().hex()}


def _bulletin() -> Lines:
    header = bulletin.describe(
        b"hello",
        issuer="cert-hr",
        id="SC-2026-0117-k3vq7a",
        tlp=Tlp.GREEN,
        media_type="text/plain",
        audience=TOPIC,
        time=1_795_000_000,
        device="cert-hr/desk-1",
        signer=b"\x0b" * 48,
        roster_version=3,
        roster_hash=b"\x0c" * 48,
        title="A test",
    ).encode()
    return {
        "issuer": "cert-hr, device cert-hr/desk-1, signer 48 x 0b, roster version 3, hash 48 x 0c",
        "revision": "1, ACTIVE, GREEN, text/plain, audience 32 x 22, time 1795000000, no other time, no exercise",
        "title": "A test",
        "content": "hello",
        "header of SC-2026-0117-k3vq7a": header.hex(),
        "digest": bulletin.digest(header).hex(),
    }


def _blob() -> Lines:
    key = b"\x06" * 32
    sealed = AES256GCM.seal(Secret(key), bytes(12), blobs.FOR, b"hello")
    assert BlobRef(hashlib.sha256(sealed).digest(), key, 5).encode()[64:] == b"\0\0\0\5"
    return {
        "key": "32 x 06",
        "plaintext": "hello",
        "ciphertext": sealed.hex(),
        "blob": hashlib.sha256(sealed).hexdigest(),
    }


def _locked() -> Lines:
    """The sealing is written a second time here, since `Locked.lock` draws its own salt."""
    cost, salt, nonce, secret = Cost(64, 1, 1), b"\x08" * 16, b"\x09" * 12, b"\x0a" * 32
    key = Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=64).derive(b"correct horse")
    sealed = AESGCM(key).encrypt(nonce, secret, b"securechan/1 locked" + b"\0\5vault" + cost.encode() + salt)
    locked = Locked(cost, salt, nonce, sealed)
    assert bytes(locked.unlock("correct horse", purpose=b"vault")) == secret
    return {
        "passphrase": "correct horse",
        "purpose": "vault",
        "cost": "64 KiB, 1 pass, 1 lane",
        "salt": "16 x 08",
        "nonce": "12 x 09",
        "secret": "32 x 0a",
        "sealed": sealed.hex(),
    }


EXAMPLES: Final[dict[str, Callable[[], Lines]]] = {
    "vectors": _vectors,
    "buckets": _buckets,
    "frames": _frames,
    "topics": _topics,
    "access": _access,
    "chain": _chain,
    "heads": _heads,
    "record": _record,
    "address": _address,
    "invite": _invite,
    "words": _words,
    "directory": _directory,
    "policy": _policy,
    "turns": _turns,
    "payload": _payload,
    "bulletin": _bulletin,
    "blob": _blob,
    "locked": _locked,
}


def examples() -> dict[str, dict[str, str]]:
    """The examples as they stand; a line that begins with blanks goes on with the one before."""
    found: dict[str, dict[str, str]] = {}
    for name, body in re.findall(r"^```example (\w+)\n(.*?)^```$", SPEC, flags=re.MULTILINE | re.DOTALL):
        lines = re.sub(r"\n +", "", body).splitlines()
        found[name] = dict(line.split(" = ", 1) for line in lines)
    return found


def test_every_example_is_computed_and_every_computation_shown() -> None:
    assert list(examples()) == list(EXAMPLES)
    assert SPEC.count("```example") == len(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str) -> None:
    assert examples()[name] == {key: str(value) for key, value in EXAMPLES[name]().items()}


def test_the_authenticated_data_is_as_long_as_is_told() -> None:
    zero = Position(0, bytes(48))
    assert len(Claim(zero, zero).encode()) == 112
    assert "112 bytes" in prose("8.2")


def test_sections_are_numbered_without_gaps() -> None:
    chapters = [int(n) for n in re.findall(r"^## (\d+)\. ", SPEC, flags=re.MULTILINE)]
    assert chapters == list(range(1, 21))
    for chapter in chapters:
        rules = [int(n) for n in re.findall(rf"^\*\*{chapter}\.(\d+)", SPEC, flags=re.MULTILINE)]
        assert rules == list(range(1, len(rules) + 1)), chapter


def test_every_reference_leads_somewhere() -> None:
    numbers = set(re.findall(r"^(?:## |\*\*)(\d+(?:\.\d+)?)", SPEC, flags=re.MULTILINE))
    ours = re.sub(r"RFC \d+\s+§[\d.]+", "", SPEC)
    assert set(re.findall(r"§(\d+(?:\.\d+)*)", ours)) <= numbers
