"""Who may be here, as trust says: the key that must prove a claim, and whether a session is still admitted."""

from __future__ import annotations

import hashlib
from typing import assert_never

from relay.people import Device, Guest, Identified, Office, Who
from relay.store.base import Store
from securechan.errors import Refused, Untrusted
from securechan.trust.view import View
from securechan.wire.door import Claim, DeviceClaim, GuestClaim, OfficeClaim


async def identify(view: View | None, store: Store, claim: Claim, now: int) -> Identified:
    """Who a claim would be, and the key that must prove it. ``now`` in Unix seconds. Raises `Refused` or `Untrusted`:
    ``untrusted``, ``unknown-device``, ``revoked``, ``expired``, ``not-found``, ``closed``."""
    if view is None:
        raise Refused("this relay serves no federation yet", code="closed", retry_after=5.0)
    match claim:
        case DeviceClaim():
            record = view.device(claim.device)
            key_hash = hashlib.sha384(claim.public).digest()
            if key_hash not in record.hashes():
                raise Untrusted("the device's record has another key", code="untrusted")
            if record.not_after is not None and record.not_after <= now:
                raise Untrusted("the device's admission has expired", code="expired")
            who: Who = Device(record.name, record.agency, frozenset(record.roles), key_hash, record.not_after)
            return Identified(claim.public, who)
        case GuestClaim():
            box = await store.box(claim.box)
            if box is None:
                raise Refused("no such box", code="not-found", hint="ask for a new invite")
            if box.not_after <= now:
                raise Refused("the invite has expired", code="expired", hint="ask for a new invite")
            return Identified(box.mac_key, Guest(claim.box, box.agency, box.not_after))
        case OfficeClaim():
            return Identified(view.office(claim.role, claim.key_id), Office(claim.role, claim.key_id))
        case _:
            assert_never(claim)


def still_admitted(view: View | None, who: Who, now: int) -> bool:
    """Whether a session of ``who`` may go on."""
    if view is None:
        return False
    match who:
        case Device():
            record = view.find(who.name)
            fits = record is not None and who.key_hash in record.hashes()
            return fits and (who.not_after is None or who.not_after > now)
        case Guest():
            return who.not_after > now
        case Office():
            try:
                view.office(who.role, who.key_id)
            except Untrusted:
                return False
            return True
        case _:
            assert_never(who)


def name_of(who: Who) -> bytes:
    """What stands for those of whom there is one session at a time; empty for an office."""
    match who:
        case Device():
            return b"device " + who.name.encode()
        case Guest():
            return b"guest " + who.box
        case Office():
            return b""
        case _:
            assert_never(who)
