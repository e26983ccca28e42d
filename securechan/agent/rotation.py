"""Keys that are renewed: epoch keys by a commit, and this device's signature key through its agency's roster.

    rotate ─► PROPOSED ─(roster lists both)─► ADOPTING ─(every leaf updated)─► old RETIRING ─(roster drops it)─► gone

While both are listed either verifies, so nothing stops: leaves are updated conversation by conversation, key packages
are made anew, the handshake speaks with the new key from the next session on. The old private key is erased when the
roster no longer lists it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from securechan.agent import letters, packages, reconcile, sending
from securechan.agent.events import RotationStep
from securechan.agent.letters import OpaqueLetter
from securechan.agent.policy import agency_of
from securechan.agent.state import KEYS, Confirmed, DeviceKey, KeyState, Standing
from securechan.agent.turn import Turn
from securechan.bulletin.payload import Control, ControlKind, DeviceConfirmation
from securechan.errors import Conflict, Denied, NotFound, NotReady
from securechan.trust.records import key_hash

KEY_REQUEST: Final = "key-rotation"
"""The kind of the opaque letter by which a device asks its administrators to list a new key: JSON with ``device``,
``add`` and ``drop`` (public keys, hexadecimal; either may be empty)."""


# ------------------------------------------------------------------------------------------------------------ epochs


def epochs(turn: Turn, topic: bytes | None) -> tuple[bytes, ...]:
    """Renew our leaf in one conversation or in all, by a commit made at once. Raises `NotFound`, `Denied`."""
    if topic is not None and (standing := turn.conversation(topic).standing) is not Standing.MEMBER:
        if standing is Standing.FOUNDING:
            raise NotReady("this conversation is not made yet", hint="connect to the relay, then try again")
        raise Denied("you are no member of this conversation")
    chosen = [
        each.topic
        for each in turn.conversations()
        if each.standing is Standing.MEMBER and (topic is None or each.topic == topic)
    ]
    for each in chosen:
        turn.change(each, rotate=1)
    return tuple(chosen)


# --------------------------------------------------------------------------------------------------- the signature key


def signature(turn: Turn) -> bytes:
    """Make a new signature key and ask for it to be listed. Raises `Conflict` while one is under way."""
    if turn.key(KeyState.PROPOSED, KeyState.ADOPTING) is not None:
        raise Conflict("a new key is under way already", hint="see: securechan key ls")
    if turn.key(KeyState.RETIRING) is not None:
        raise Conflict("the key before the last one is still listed", hint="ask an administrator to drop it first")
    private, public = turn.suite.signature.generate()
    digest = key_hash(public)
    turn.rows.put(KEYS, digest.hex(), DeviceKey(private, public, KeyState.PROPOSED, turn.now))
    _ask(turn, add=public, drop=b"")
    turn.emit(RotationStep("proposed", digest, 0))
    return public


def _ask(turn: Turn, *, add: bytes, drop: bytes) -> None:
    """A letter to every administrator of our agency (ourselves too, if we are one: the user level answers it)."""
    content = json.dumps({"device": turn.me.device, "add": add.hex(), "drop": drop.hex()}).encode()
    for record in turn.view.devices(turn.agency):
        if "admin" in record.roles:
            letters.write(turn, (record,), OpaqueLetter(KEY_REQUEST, content))


def on_trust(turn: Turn) -> None:
    """What our own record says now decides which key speaks."""
    record = turn.view.find(turn.me.device)
    if record is None:
        return
    listed = set(record.hashes(turn.suite.name))
    proposed = turn.key(KeyState.PROPOSED)
    if proposed is not None and key_hash(proposed.public) in listed:
        _set(turn, proposed, KeyState.ADOPTING)
        packages.renew_all(turn)
        turn.emit(RotationStep("adopting", key_hash(proposed.public), reconcile.left_to_rotate(turn)))
        turn.reconnect("a new signature key speaks for this device")
    for _, key in turn.rows.items(KEYS):
        if key.state is KeyState.RETIRING and key_hash(key.public) not in listed:
            turn.rows.drop(KEYS, key_hash(key.public).hex())
            turn.emit(RotationStep("done", key_hash(turn.signing.public), 0))


def look(turn: Turn) -> None:
    """Once every leaf has the new key, it is the current one, and the old may be dropped from the roster."""
    adopting = turn.key(KeyState.ADOPTING)
    if adopting is None or turn.me.purge or reconcile.left_to_rotate(turn):
        return
    old = turn.key(KeyState.CURRENT)
    _set(turn, adopting, KeyState.CURRENT)
    if old is not None:
        _set(turn, old, KeyState.RETIRING)
        _ask(turn, add=b"", drop=old.public)
    turn.emit(RotationStep("adopted", key_hash(adopting.public), 0))


def _set(turn: Turn, key: DeviceKey, state: KeyState) -> None:
    turn.rows.put(KEYS, key_hash(key.public).hex(), replace(key, state=state))


# ---------------------------------------------------------------------------------------------------- vouching for


def confirm(turn: Turn, device: str, topic: bytes | None) -> tuple[bytes, ...]:
    """A person vouches for a device: said in every conversation that waits for it. Raises `NotFound`, `Denied`."""
    record = turn.view.device(device)
    entitled = record.address == turn.me.officer or agency_of(device) != turn.agency
    if not entitled:
        raise Denied(
            f"{device} is a colleague's: only {record.address} or an officer of another agency can vouch for it"
        )
    mark = Confirmed(device, key_hash(record.signature_key))
    chosen: list[bytes] = []
    for each in list(turn.conversations()):
        if each.standing is not Standing.MEMBER or (topic is not None and each.topic != topic):
            continue
        waits = device in reconcile.difference_of(turn, each.topic).waiting or device in each.intruders
        if waits and mark not in each.confirmed:
            sending.queue(turn, each.topic, Control(ControlKind.CONFIRM, DeviceConfirmation(device, mark.key_hash)))
            chosen.append(each.topic)
    if not chosen:
        raise NotFound(f"no conversation of yours waits for {device}", hint="sync, then look at the alarms again")
    return tuple(chosen)
