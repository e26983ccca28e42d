"""What clients read outside the channel: files and lines from people, a relay's card, other processes, the disk.

Files are written into a folder in memory where the system has one; each input replaces the one before.
"""

from __future__ import annotations

import atexit
import base64
import json
import shutil
import tempfile
from pathlib import Path
from random import Random

from clients import control, federation, keyfile, vaultfile
from clients.errand import parse_card
from clients.federation import Address
from clients.locked import Cost
from clients.operations.plan import Plan, add_relay
from clients.operations.wishes import Wish
from clients.passphrase import Passphrases
from clients.vault import Put, Vault
from securechan.errors import (
    CannotOpen,
    Conflict,
    Finding,
    Invalid,
    Malformed,
    NotReady,
    Refused,
    SecurechanError,
    Unfit,
    Untrusted,
)
from tests.fuzz.mutation import damaged, of_json, of_struct
from tests.fuzz.papers import sorted_json
from tests.fuzz.target import Target, refused, target
from tests.fuzz.targets.trust import scene
from tests.support.federation import root_signer

CHEAP = Cost(64, 1, 1)  # what Argon2id costs elsewhere is not what is tried here
PHRASE = "a long enough phrase"


def folder() -> Path:
    memory = Path("/dev/shm")
    found = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return found


# ------------------------------------------------------------------------------------------------------ control socket


@target("clients.errand")
def errand() -> Target:
    """A line that another process of the same user sends to the one that holds the profile."""

    def run(data: bytes) -> None:
        with refused(Malformed):
            op, params = control._parse(data)
            if not isinstance(op, str) or not isinstance(params, dict):
                raise AssertionError("an errand of another form")

    asked = (
        b'{"v":1,"op":"status.show","params":{}}',
        json.dumps({"v": 1, "op": "message.send", "params": {"to": "x", "text": "Ž" * 9, "wait": None}}).encode(),
    )
    return Target(run, asked, of_json)


@target("clients.answer")
def answer() -> Target:
    """A line that the holder's process answers: an error comes out as one that can be shown and passed on."""

    def run(data: bytes) -> None:
        with refused(Malformed):
            said = control._said(data)
            if "error" in said:
                error = control.error_from_json(said["error"])
                if control.error_from_json(control.error_to_json(error)).args != error.args:
                    raise AssertionError("an error that changes on its way")
                json.dumps(control.error_to_json(error)).encode()

    errors: list[SecurechanError] = [NotReady("locked", hint="unlock it"), Invalid("no", rule="RFC 9420 §7.3")]
    errors += [Refused("later", retry_after=2.5), Unfit("no", findings=(Finding("/a", "b"),))]
    lines = [json.dumps({"error": control.error_to_json(each)}).encode() for each in errors]
    return Target(run, (*lines, b'{"item":{"event":"x"}}', b'{"data":null}'), of_json)


# ------------------------------------------------------------------------------------------------------ files of people


@target("clients.key_file")
def key_file() -> Target:
    """A private key as a file that somebody brings; opened with the right passphrase where its cost is what it was."""
    path = folder() / "root.key"
    cost, keyfile.COST = keyfile.COST, CHEAP
    try:
        keyfile.KeyFile.make(path, keyfile.Use.TARGETS, "targets-1", PHRASE)
    finally:
        keyfile.COST = cost
    passphrases = Passphrases.of(PHRASE)

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with refused(Malformed, Invalid, NotReady, CannotOpen, Untrusted):
            found = keyfile.KeyFile.load(path)
            if found.locked.cost.memory <= CHEAP.memory and found.locked.cost.iterations <= 2:
                found.unlock(passphrases)

    return Target(run, (path.read_bytes(),), sorted_json)


@target("clients.public_key")
def public_key() -> Target:
    path = folder() / "root.pub"
    path.write_bytes(keyfile.PublicKey(keyfile.Use.ROOT, "root-1", root_signer(0).public).encode())

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with refused(Malformed, Invalid, Untrusted):
            found = keyfile.PublicKey.load(path, keyfile.Use.ROOT)
            f"{found.name} {found.keyid}".encode()

    return Target(run, (path.read_bytes(),), sorted_json)


@target("clients.address")
def address() -> Target:
    """A federation's address, one line; first byte 1: its content, checksum made good."""
    good = Address("wss://relay.example.int", "relay-1", bytes(48), bytes(48))

    def run(data: bytes) -> None:
        line = data[1:].decode("utf-8", "replace")
        if data[:1] == b"\1":
            body = data[1:]
            line = federation.PREFIX + base64.urlsafe_b64encode(body + federation._check(body)).decode().rstrip("=")
        with refused(Malformed, Invalid):
            found = Address.parse(line)
            if Address.parse(found.line()) != found:
                raise AssertionError("an address that doesn't read as it was written")

    def form(data: bytes, random: Random) -> bytes:
        return data[:1] + (of_struct(Address) if data[:1] == b"\1" else damaged)(data[1:], random)

    return Target(run, (b"\0" + good.line().encode(), b"\1" + good.encode()), form)


@target("clients.card")
def card() -> Target:
    """What a relay, or whoever answers in its place, says of itself by HTTP."""
    good = {"v": 1, "name": "relay-1", "kem": base64.b64encode(bytes(1216)).decode(), "online": "AAAA"}

    def run(data: bytes) -> None:
        with refused(Malformed):
            parse_card(data, "wss://relay.example.int").name.encode()

    return Target(run, (json.dumps(good).encode(),), of_json)


@target("clients.relay_card")
def relay_card() -> Target:
    """A relay's card as its operator hands it to the federation's administrators, taken up into a plan."""
    world = scene().world
    good = {
        "v": 1,
        "name": "relay-2",
        "url": "wss://relay-2.example.int",
        "kem": base64.b64encode(world.relay_kem).decode(),
        "online": base64.b64encode(world.online.public).decode(),
    }

    def run(data: bytes) -> None:
        with refused(Malformed, Invalid, Conflict):
            plan = add_relay(data, ())(Plan(), world.view)
            plan.relays[0].custom()

    return Target(run, (json.dumps(good).encode(),), of_json)


@target("clients.wish")
def wish() -> Target:
    """A letter by which a device asks its administrator for another key."""
    record = scene().admin.record
    key = record.signature_key.hex()
    good = ({"device": record.name, "add": key, "drop": ""}, {"device": record.name, "add": "", "drop": key})

    def run(data: bytes) -> None:
        with refused(Malformed):
            found = Wish.decode(data)
            found.ident.encode()
            found.fulfilled(record)
            json.dumps(found.json(record), ensure_ascii=False).encode()
            with refused(Conflict, Invalid):
                found.grant(record)

    return Target(run, tuple(json.dumps(each).encode() for each in good), of_json)


# ------------------------------------------------------------------------------------------------------------- the disk


@target("clients.vault")
def lid() -> Target:
    """The vault's header, first byte 1 with its checksum made good; 2: any bytes where the whole file should be."""
    path = folder() / "vault"
    made = Vault.create(path, PHRASE, writes=(Put("settings", "a", b"value" * 50),), cost=CHEAP)
    made.close()
    whole = path.read_bytes()
    at = whole.index(made._header.encode())
    header = made._header.encode()

    def run(data: bytes) -> None:
        body = data[1:]
        if data[:1] != b"\2":
            stored = vaultfile.checked(body) if data[:1] == b"\1" else body
            with refused(CannotOpen):
                vaultfile.parse_header(path, stored)
            return
        for left in path.parent.iterdir():
            left.unlink()
        path.write_bytes(body)
        path.chmod(0o600)
        if body[at : at + len(header)] != header:
            return  # another cost would be another test
        with refused(CannotOpen, NotReady, Conflict):
            opened = Vault.open(path, PHRASE)
            try:
                with refused(CannotOpen):
                    opened.check()
            finally:
                opened.close()

    def form(data: bytes, random: Random) -> bytes:
        if data[:1] != b"\2":
            return data[:1] + of_struct(vaultfile.Header)(data[1:], random)
        found = bytearray(data)
        if len(found) < 120:
            return damaged(data, random)
        for _ in range(random.randint(1, 4)):
            where = random.randrange(1, len(found)) if random.random() < 0.7 else random.randrange(1, 120)
            found[where % len(found)] ^= 1 << random.randrange(8)
        return bytes(found)

    return Target(run, (b"\0" + vaultfile.checked(header), b"\1" + header, b"\2" + whole), form)
