"""SPEC.md is held to the code: its tables are the code's own numbers and names, and every reference leads somewhere.

Tables of code points, codes and limits are compared in both directions, so that neither side can gain or lose a row
alone. Structs, labels and examples have files of their own beside this one (``test_spec_*.py``).
"""

from __future__ import annotations

import json
import re
from enum import Enum
from pathlib import Path
from typing import Final

import pytest

from clients.keyfile import Use
from clients.locked import _MAX_ITERATIONS, _MAX_MEMORY, COST
from relay import access, limits
from relay.bounds import DAY, Bounds
from relay.heads import _PERIOD
from relay.limits import BURST, Quotas
from relay.store.base import SPENT_FOR
from securechan.agent import (
    agent,
    commits,
    consents,
    forwards,
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
from securechan.agent.founding import FOUNDING
from securechan.bulletin import bulletin, document, payload, strict_json, tlp
from securechan.crypto import contexts
from securechan.crypto.root import ROOT
from securechan.crypto.signature import COMPOSITE
from securechan.crypto.suite import PROFILES, SUITES
from securechan.mls import keypackage, ratchets
from securechan.trust import (
    cards,
    enrolment,
    evidence,
    freshness,
    names,
    publisher,
    records,
    strict,
    workflow,
)
from securechan.trust import contents as trust_contents
from securechan.trust import document as trust_document
from securechan.trust.keys import Kind as KeyKind
from securechan.wire import frames, handshake_formats, heads, session
from tests.support.spec import ROOT_FOLDER, SPEC, bare, named, prose, table


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


# ---------------------------------------------------------------------------------------------------------- code points


def of(kinds: type[Enum]) -> dict[int, str]:
    return {int(each.value): each.name for each in kinds}


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


# --------------------------------------------------------------------------------------------------------------- limits

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
    "named officers among whom messages are receipted": (receipts.OFFICERS, ""),
    "messages said to be read at a time": (receipts.READ, ""),
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
        ("13.6", f"lists officers, and no more than {receipts.OFFICERS}"),
        ("13.6", f"for {receipts.PASS_ON} s before"),
        ("14.1", f"{COST.memory}, {COST.iterations}, {COST.lanes}"),
        ("15", f"they fill to {BURST:.0f} s worth"),
    ],
)
def test_numbers_in_the_text(where: str, phrase: str) -> None:
    assert phrase in prose(where)
