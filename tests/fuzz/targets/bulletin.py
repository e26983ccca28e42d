"""Bulletins: any document whatever at the one door for content, and the signed things that carry it."""

from __future__ import annotations

import hashlib
import json
from random import Random

from securechan.bulletin.bulletin import (
    MAGIC,
    BulletinHeader,
    Export,
    SignedBulletin,
    check_content,
    digest,
    sign,
    succeeds,
)
from securechan.bulletin.document import CSAF, MAX_TITLE, MEDIA_TYPES, STIX, TEXT, inspect, media_type_of
from securechan.bulletin.strict_json import parse
from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, Invalid, Malformed, Unfit, Untrusted
from securechan.trust.evidence import evidence, verify_evidence
from tests.bulletin.advisories import sound
from tests.bulletin.files import DEMO
from tests.bulletin.test_bulletin import CONTENT, KEY, SIGNED, header
from tests.fuzz.mutation import after, damaged, of_json, of_struct
from tests.fuzz.target import Target, canonical, refused, target
from tests.fuzz.targets.trust import scene
from tests.support import corpus

LONGEST = 48_000  # bytes of a seed
MOST = 24  # seeds from each folder of the corpus


def found(*folders: str) -> tuple[bytes, ...]:
    """Small real documents, where the corpus is here."""
    root = corpus._root("SECURECHAN_DATA", "data")
    contents: list[bytes] = []
    for folder in folders:
        files = sorted((root / folder).rglob("*.json"), key=lambda path: (path.stat().st_size, path.name))
        contents += [
            path.read_bytes() for path in files[:: max(1, len(files) // MOST)] if path.stat().st_size < LONGEST
        ]
    return tuple(contents)


def demo(*suffixes: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(DEMO.iterdir()) if path.name.endswith(suffixes))


def judged(content: bytes, stated: str | None) -> None:
    """`Unfit` with findings, or a document that a listing can show."""
    try:
        document = inspect(content, stated)
    except Unfit as error:
        if not error.findings or any(not each.what for each in error.findings):
            raise AssertionError("a refusal without a reason") from error
        error.message.encode(), [each.where.encode() for each in error.findings]
        return
    if document.media_type not in MEDIA_TYPES or len(document.title.encode()) > MAX_TITLE:
        raise AssertionError(f"{document!r} can't be listed")
    json.dumps(document.facts_by_name, ensure_ascii=False).encode()
    if inspect(content, document.media_type) != document:
        raise AssertionError("a document that is another when its type is said")


@target("bulletin.stix")
def stix() -> Target:
    seeds = (*demo(".stix.json"), *found("stix21/oasis", "stix21/stix4doge", "stix21/mvt", "stix20-legacy"))
    return Target(lambda data: judged(data, STIX), seeds, of_json)


@target("bulletin.csaf")
def csaf() -> Target:
    built = tuple(json.dumps(sound(version)).encode() for version in ("2.0", "2.1"))
    seeds = (*built, *demo("2.0.json", "2.1.json"), *found("csaf/oasis", "csaf/bsi-wid", "csaf/cisa"))
    return Target(lambda data: judged(data, CSAF), seeds, of_json)


@target("bulletin.text")
def text() -> Target:
    seeds = (*demo(".txt"), "\u202etext [TLP:AMBER+STRICT]\n".encode(), b"\xef\xbb\xbfbom", "TLP：RED\n１".encode())
    return Target(lambda data: judged(data, TEXT), seeds, damaged)


@target("bulletin.unstated")
def unstated() -> Target:
    """Content whose kind nobody has said; first byte 1: what somebody states as a media type."""

    def run(data: bytes) -> None:
        if data[:1] == b"\1":
            with refused(Unfit):
                if media_type_of(data[1:].decode("utf-8", "replace")) not in MEDIA_TYPES:
                    raise AssertionError("a media type that isn't ours")
        else:
            judged(data[1:], None)
            with refused(Unfit):
                parse(data[1:])

    bodies = (*demo("json", "txt"), b"[TLP:RED] x", b"[[]]", b'{"type":"bundle"}', b"[" * 2000, b'{"a":1e999}')
    types = (STIX.encode(), b'text/plain; charset="utf-8"', b"application/csaf+json")
    seeds = (*(b"\0" + each for each in bodies), *(b"\1" + each for each in types))
    return Target(run, seeds, after(1, of_json))


@target("bulletin.signed")
def signed() -> Target:
    """A bulletin as it travels; first byte 1: the header is the fuzzer's, and signed with a listed device's key."""

    def run(data: bytes) -> None:
        if data[:1] == b"\1":
            name = data[1:]
            whole = SignedBulletin(name[:4096], COMPOSITE.sign(KEY, contexts.BULLETIN, name[:4096]), CONTENT)
        else:
            value = canonical(SignedBulletin, data[1:])
            if value is None:
                return
            whole = value
        with refused(Malformed, BadSignature, Invalid):
            verified = whole.verify(KEY.public)
            check_content(verified.header, verified.content)
            succeeds(SIGNED.header, verified.header)

    def form(data: bytes, random: Random) -> bytes:
        return data[:1] + of_struct(BulletinHeader if data[:1] == b"\1" else SignedBulletin)(data[1:], random)

    revised = header(revision=2, previous=digest(SIGNED.header), title="é" * 60, exercise=True)
    return Target(run, (b"\0" + SIGNED.encode(), b"\1" + SIGNED.header, b"\1" + revised.encode()), form)


@target("bulletin.export")
def export() -> Target:
    """A file that claims to prove a bulletin to a stranger: unpacked, its evidence asked, verified."""
    here = scene()
    world, device = here.world, here.admin
    claimed = header(device=device.name, signer=hashlib.sha384(device.key.public).digest())
    good = Export(sign(claimed, CONTENT, device.key), (evidence(world.view, "cert-hr"),))

    def run(data: bytes) -> None:
        with refused(Malformed, Invalid, Untrusted, BadSignature):
            packed = Export.unpack(data)
            if packed.pack() != data:
                raise AssertionError("an export with two forms")
            claim = packed.claim
            for each in packed.evidence:
                holding = verify_evidence(each, root_id=world.view.root_id, device=claim.device, key_hash=claim.signer)
                packed.verify(holding.public)

    def form(data: bytes, random: Random) -> bytes:
        return MAGIC + of_struct(Export)(data.removeprefix(MAGIC), random)

    return Target(run, (good.pack(),), form)
