"""rine-mls behind a pipe: the driver protocol, spoken by the PyPI package ``rine-mls``.

What it does its own way, and what is done about it here:

- It makes one Welcome per joiner, the tree inside: an answer with several joiners has ``welcomes``, in their order.
- An identity is the raw Ed25519 key, so a name that is asked for can't be had: ``members`` shows the key in hex.
- An application message has one byte, 04, before the MLSMessage: it is taken off and put on here.
- It shows neither exporter, epoch authenticator nor tree: its group info shows tree hash, transcript hash and the
  confirmation tag, which proves the epoch's secrets.
- Adds and removals only, by value, one removal a commit, in the open; a commit of nothing can't be made. No proposals
  by reference, no PSKs, no authenticated data, no commit that waits for a verdict.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import lines
import rine_mls
from lines import Answer, Held, NotFound, Request, Unsupported

SUITES = (0xF057, 1)
STORE = tempfile.TemporaryDirectory(prefix="rine-")

held = Held()  # clients that offered a key package; groups


def client(request: Request) -> Any:
    if request["suite"] not in SUITES:
        raise NotFound(f"no suite 0x{request['suite']:04x} here")
    return rine_mls.MlsClient(f"{STORE.name}/{held.handle('c')}", os.urandom(32), request["suite"])


def view(group: Any) -> Answer:
    return {"epoch": group.epoch(), "leaf": group.current_member_index()}


def seated(group: Any) -> Answer:
    return {"group": held.sit(group), **view(group)}


def hello(request: Request) -> Answer:
    note = "one welcome for each who joins; compare the group info"
    return {"name": "rine-mls", "version": "0.1.1", "suites": SUITES, "commands": sorted(COMMANDS), "note": note}


def create_key_package(request: Request) -> Answer:
    new = client(request)
    return {"kp": held.offer(new), "key_package": new.generate_key_package().hex(), "identity": new.public_key().hex()}


def create_group(request: Request) -> Answer:
    new = client(request)
    group_id = bytes.fromhex(request["group_id"]) if "group_id" in request else os.urandom(32)
    return {**seated(new.create_group(group_id)), "identity": new.public_key().hex()}


def join(request: Request) -> Answer:
    if request.get("ratchet_tree") is not None:
        raise Unsupported("unsupported: a tree beside the welcome")
    who = held.package(request)
    return seated(who.join_from_welcome(bytes.fromhex(request["welcome"])))


def external_join(request: Request) -> Answer:
    if request.get("ratchet_tree") is not None:
        raise Unsupported("unsupported: a tree beside the group info")
    info = bytes.fromhex(request["group_info"])
    if request.get("resync"):
        who = held.package(request)
        group = who.resync_by_external_commit(info, request["leaf"])
    else:
        who = client(request)
        held.offer(who)
        group = who.join_by_external_commit(info)
    commit = group.last_commit().commit.hex()
    return {**seated(group), "commit": commit, "identity": who.public_key().hex(), "kp": list(held.packages)[-1]}


def commit(request: Request) -> Answer:
    group = held.seat(request)
    adds = [bytes.fromhex(each) for each in request.get("add", ())]
    removes = list(request.get("remove", ()))
    if request.get("psk") or not request.get("merge", True) or not request.get("ratchet_tree_in_welcome", True):
        raise Unsupported("unsupported: a PSK, a commit that waits, a welcome without its tree")
    if adds and not removes:
        bundle = group.add_members(adds)
    elif len(removes) == 1 and not adds:
        bundle = group.remove_member(removes[0])
    else:
        raise Unsupported("unsupported: commits are of Adds, or of one Remove")
    welcomes = [each.hex() for each in bundle.welcomes]
    answer: Answer = {"commit": bundle.commit.hex(), "welcome": welcomes[0] if len(welcomes) == 1 else None}
    if len(welcomes) > 1:
        answer["welcomes"] = welcomes
    return {**answer, **view(group)}


def process(request: Request) -> Answer:
    group = held.seat(request)
    wire = bytes.fromhex(request["message"])
    if int.from_bytes(wire[2:4], "big") == 2 and _is_application(wire):
        done = group.decrypt_application_message(bytes([rine_mls.APP_MESSAGE_TAG]) + wire)
        return {"kind": "application", "plaintext": done.envelope.hex(), **view(group)}
    group.apply_commit(wire)
    return {"kind": "commit", **view(group)} if group.is_active() else {"kind": "removed"}


def _is_application(wire: bytes) -> bool:
    """The content type of a PrivateMessage: after the group id (a vector) and the epoch."""
    return wire[5 + wire[4] + 8] == 1


def encrypt(request: Request) -> Answer:
    if request.get("authenticated_data"):
        raise Unsupported("unsupported: authenticated data")
    payload = held.seat(request).encrypt_application_message(bytes.fromhex(request["plaintext"]))
    if payload[0] != rine_mls.APP_MESSAGE_TAG:
        raise ValueError("an application message without its tag")
    return {"message": payload[1:].hex()}


def members(request: Request) -> Answer:
    return {
        "members": [
            {"leaf": member.index, "identity": member.identity.hex()}
            for member in held.seat(request).member_identities()
        ]
    }


COMMANDS: dict[str, lines.Command] = {
    "hello": hello,
    "create_key_package": create_key_package,
    "create_group": create_group,
    "join": join,
    "group_info": lambda request: {"group_info": held.seat(request).group_info().hex()},
    "external_join": external_join,
    "commit": commit,
    "add": lambda request: commit({**request, "add": request["key_packages"]}),
    "remove": lambda request: commit({**request, "remove": request["leaves"]}),
    "process": process,
    "decrypt": process,
    "encrypt": encrypt,
    "epoch": lambda request: view(held.seat(request)),
    "members": members,
    "free": held.free,
}

if __name__ == "__main__":
    lines.serve(COMMANDS)
