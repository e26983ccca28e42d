"""Every struct that SPEC.md shows is one of the code, field by field, and the bodies of requests and answers too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast, get_type_hints

import pytest

from clients.federation import Address
from clients.locked import Cost, Locked
from securechan.agent import (
    founding,
    letters,
    policy,
)
from securechan.bulletin import bulletin, consent, payload
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
)
from securechan.trust import (
    cards,
    enrolment,
    pending,
    view,
)
from securechan.wire import chain, frames, handshake_formats, plaintext, session
from tests.support.spec import SPEC, prose, table

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
    ("4.2", "RecordBody"): plaintext.RecordBody,
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
