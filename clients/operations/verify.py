"""Comparing keys in person or by telephone, and vouching for devices that wait to be let in.

Two officers who read the same words to each other hold the same keys for each other: the words are taken over every
device of both, names and key hashes, so that they differ as soon as either side sees one more device, one less, or
another key. What was compared is remembered; when it changes later, that is said before anything else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any, Final

from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work
from clients.vault import Put
from securechan.agent.inputs import ConfirmDevice
from securechan.errors import Malformed, NotFound, Untrusted
from securechan.trust.names import split_officer
from securechan.trust.words import check, same, words

TABLE: Final = "verified"
COUNT: Final = 8  # words: 128 bits, as nobody's word protects them against a search
CODE: Final = "SECURECHAN-VERIFY1:"  # of what a camera reads: signs that QR codes have a short form for


def _digest(work: Work, officer: str) -> bytes:
    """What both officers compute alike, whoever asks."""
    lines = []
    for each in sorted({work.agent.officer, officer}):
        records = sorted(work.agent.view.devices_of(each), key=lambda record: record.name)
        if not records:
            raise Untrusted(
                f"{each} has no device in this federation",
                hint="check the address (securechan contact ls); somebody new is known after: securechan sync",
                code="unknown-officer",
            )
        lines += [f"{each} {record.name} {key.hex()}" for record in records for key in record.hashes(None)]
    return hashlib.sha384(b"securechan/1 verify\n" + "\n".join(lines).encode()).digest()


def code(digest: bytes) -> str:
    """What the words are taken from, whole, for a camera: the same on both sides. 96 characters."""
    return CODE + base64.b32encode(digest).decode().rstrip("=")


def _scanned(text: str) -> str:
    """A code as it was read. Raises Malformed for anything else."""
    found = "".join(text.split()).upper()
    if not re.fullmatch(rf"{CODE}[A-Z2-7]{{77}}", found):
        raise Malformed(
            "that is no code to compare keys by",
            hint=f"it begins with {CODE}; the other side shows it with: securechan verify show OFFICER --qr",
            code="code-form",
        )
    return found


async def show(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """The words to compare with an ``officer``; without one, whom there is to compare with and what waits."""
    officer = Params(said).text("officer", "")
    if not officer:
        return {"officers": [_state(work, each) for each in _met(work)], "waiting": _waiting(work)}
    split_officer(officer)
    return _state(work, officer) | {
        "words": list(words(_digest(work, officer), COUNT)),
        "code": code(_digest(work, officer)),
        "own": work.agent.officer,
        "devices": [
            {"device": record.name, "keys": [key.hex() for key in record.hashes()]}
            for record in work.agent.view.devices_of(officer)
        ],
    }


def _met(work: Work) -> list[str]:
    """Officers with whom a conversation is shared."""
    found = {seat.officer for each in work.agent.conversations() for seat in each.members}
    return sorted(each for each in found - {work.agent.officer} if each and work.agent.view.devices_of(each))


def _state(work: Work, officer: str) -> dict[str, Any]:
    kept = work.vault.get(TABLE, officer)
    then = None if kept is None else json.loads(kept)
    now = _digest(work, officer).hex()
    state = "unverified" if then is None else "verified" if then["digest"] == now else "changed"
    return {"officer": officer, "state": state, "since": None if then is None else lookup.moment(then["at"])}


def _waiting(work: Work) -> list[dict[str, Any]]:
    found = []
    for each in work.agent.conversations():
        for device in each.waiting:
            record = work.agent.view.find(device)
            found.append(
                {
                    "device": device,
                    "officer": "" if record is None else record.address,
                    "keys": [] if record is None else [key.hex() for key in record.hashes()],
                    "conversation": each.topic.hex(),
                    "name": each.name,
                }
            )
    return found


async def confirm(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """A person says that the keys are right: of an ``officer``, whose ``words`` were compared or whose code was
    ``scanned``, or of a ``device`` that waits to be let into conversations. Raises Untrusted where they are others."""
    params = Params(said)
    officer, device = params.text("officer", ""), params.text("device", "")
    if bool(officer) == bool(device):
        raise Malformed("name an officer or a device", code="usage")
    if device:
        return await _confirm_device(work, device)
    split_officer(officer)
    digest, others = _digest(work, officer), ""
    if "words" in said:  # though they be empty
        heard = params.text("words")
        check(heard, COUNT)
        others = "" if same(heard, words(digest, COUNT)) else "these are not the words"
    if "scanned" in said and not hmac.compare_digest(_scanned(params.text("scanned")), code(digest)):
        others = "this is not the code"
    if others:
        raise Untrusted(
            f"{others} for {officer}: one of you sees other keys",
            hint="don't use the conversation; ask both agencies' administrators which devices are listed",
            code="identity-changed",
        )
    work.vault.adopt((Put(TABLE, officer, json.dumps({"digest": digest.hex(), "at": work.now}).encode()),))
    return _state(work, officer)


async def _confirm_device(work: Work, device: str) -> dict[str, Any]:
    waiting = [each for each in _waiting(work) if each["device"] == device]
    if not waiting:
        raise NotFound(f"{device} waits for nobody's word", hint="securechan verify show")
    await work.runtime.do(ConfirmDevice(device, None))
    await work.online()
    await work.at_rest(60.0)
    return {"device": device, "conversations": sorted({each["conversation"] for each in waiting})}


OPERATIONS: Final[dict[str, Operation]] = {"show": show, "confirm": confirm}
