"""Bulletins outside the channel: exported with the evidence of who signed them, and verified by anyone, years later.

Whoever knows the federation's root id needs the file and nothing else. What a file can't know is what came after it.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from clients.operations import lookup
from clients.operations.documents import judge
from clients.operations.engine import Operation, Params, Work
from clients.operations.shelf import content_of, find, newest
from securechan.bulletin.bulletin import Export, SignedBulletin, VerifiedBulletin, digest
from securechan.errors import CannotOpen, Invalid, Malformed, NotReady, Untrusted

if TYPE_CHECKING:
    from securechan.trust.evidence import Holding


async def export(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """A file (base64 in ``export``) with which anyone who knows the federation's root id can verify the bulletin."""
    from securechan.trust.evidence import evidence

    params = Params(said)
    found = find(work, params.text("bulletin"))
    event = content_of(work, found, params.number("revision", 0))
    signed = SignedBulletin(*(base64.b64decode(event[part]) for part in ("header", "signature", "content")))
    packed = Export(signed, (evidence(work.agent.view, found.issuer),)).pack()
    return {
        "bulletin": found.bulletin,
        "revision": signed.claim.revision,
        "newest": newest(work, found),
        "root_id": work.agent.view.root_id.hex(),
        "size": len(packed),
        "export": base64.b64encode(packed).decode(),
    }


def verify(packed: bytes, root_id: bytes, now: int = 0) -> dict[str, Any]:
    """What an exported bulletin says, once header, content and evidence have been verified against a root id (48
    bytes); ``now`` (Unix seconds) tells whether its time is over. Raises Malformed where the file is no export,
    CannotOpen (``damaged``) or BadSignature where it was altered, and Untrusted where the evidence doesn't hold."""
    with _whole():
        verified, holdings = _proved(packed, root_id)
        header = verified.header
    stone = next((holding.tombstone for holding in holdings if holding.tombstone is not None), None)
    return {
        "bulletin": header.id,
        "revision": header.revision,
        "status": header.status.name.lower(),
        "issuer": header.issuer,
        "device": header.device,
        "officer": holdings[0].officer,
        "title": header.title,
        "tlp": header.tlp.word,
        "media_type": header.media_type,
        "exercise": bool(header.exercise),
        "time": lookup.moment(header.time),
        "valid_until": lookup.moment(header.valid_until),
        "lapsed": bool(header.valid_until) and header.valid_until <= now,
        "signer": header.signer.hex(),
        "root_id": root_id.hex(),
        "roster_version": holdings[0].roster_version,
        "signed_roster_version": header.roster_version,
        "fresh_when_signed": holdings[0].fresh(header.time),
        "revoked": None if stone is None else lookup.moment(stone.at),
        "content": base64.b64encode(verified.content).decode(),
        "document": judge(verified.content, header.media_type),
    }


def _proved(packed: bytes, root_id: bytes) -> tuple[VerifiedBulletin, list[Holding]]:
    from securechan.trust.evidence import verify_evidence

    export_ = Export.unpack(packed)
    claim = export_.claim
    if not export_.evidence:
        raise Untrusted("this export brings no evidence of who signed it", code="no-evidence", hint="ask for another")
    holdings = [
        verify_evidence(each, root_id=root_id, device=claim.device, key_hash=claim.signer) for each in export_.evidence
    ]
    return export_.verify(holdings[0].public), holdings


def claimed(packed: bytes) -> dict[str, Any]:
    """Of which revision of which bulletin a file says to be: nothing of it is verified. Raises as `verify`."""
    with _whole():
        export_ = Export.unpack(packed)
        claim = export_.claim
    return {"bulletin": claim.id, "revision": claim.revision, "digest": digest(export_.bulletin.header).hex()}


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """What isn't as it was written, of a file that begins as an export: damaged."""
    try:
        yield
    except (Malformed, Invalid) as e:
        if e.hint:  # it is another file altogether
            raise
        raise CannotOpen(
            f"this export is damaged, cut or altered: {e.message}",
            hint="fetch it again from who exported it, and verify that",
            code="damaged",
        ) from e


async def root(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """The federation's root id, for `verify`, and what this device knows of the ``bulletin`` (its whole id): what
    stands of it now, and whether its ``revision`` reads here as in the file, by its ``digest`` (null where that
    revision isn't here)."""
    params = Params(said)
    wanted, number = params.text("bulletin", ""), params.number("revision", 0)
    known: dict[str, Any] | None = None
    if any(each.bulletin == wanted for each in work.agent.bulletins()):
        found = find(work, wanted)
        try:
            header = base64.b64decode(content_of(work, found, number)["header"])
            same: bool | None = digest(header).hex() == params.text("digest", "")
        except NotReady:  # a reader that came later never got it
            same = None
        known = {"name": found.name, "newest": newest(work, found), "same": same}
    return {"root_id": work.agent.view.root_id.hex(), "known": known}


OPERATIONS: Final[dict[str, Operation]] = {"export": export, "root": root}
