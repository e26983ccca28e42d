"""mls-rs behind a pipe: the driver protocol, spoken by the Python bindings ``agentvault-mls-rs-uniffi``.

What these bindings do their own way, and what is done about it here:

- Suite 1 alone; handshakes are PublicMessages and can't be made private; key packages live for a year.
- They show neither epoch authenticator nor tree hash: members compare exported secrets and the tree itself.
- They show no epoch: it is read from the envelopes of commits, and left out of an answer before the first one.
- A member to be removed is named by an opaque ``SigningIdentity``, which only comes out of a message of that member's:
  of those outside this process, only they can be removed who have sent a proposal or commit in the open.
- A commit of one's own is adopted by processing it; there is no call to drop it, but another's commit drops it.
- ``cpu`` is that of mls-rs itself in ``commit``, ``join`` and ``process``, without the look at the tree.
- No call for: external joins (either way), PSKs, Update proposals, authenticated data, group infos.
"""

from __future__ import annotations

import time
from typing import Any

import lines
import mls_rs_uniffi as rs
import tree
from lines import Answer, Held, NotFound, Request, Unsupported

SUITE = 1


class Client:
    """A signature key and the group that its holder is in (a client here is in one)."""

    def __init__(self, name: str) -> None:
        self.name = name
        pair = rs.generate_signature_keypair(rs.CipherSuite.CURVE25519_AES128)
        self.client = rs.Client(id=name.encode(), signature_keypair=pair, client_config=rs.client_config_default())
        self.group: Any = None
        self.epoch: int | None = None
        self.pending: Any = None

    def leaves(self) -> list[tree.Leaf]:
        return list(tree.leaves(self.group.export_tree().bytes))

    def view(self) -> Answer:
        mine = [leaf.index for leaf in self.leaves() if leaf.identity == self.name.encode()]
        shown: Answer = {"leaf": mine[0]} if mine else {}
        return shown if self.epoch is None else {**shown, "epoch": self.epoch}


held = Held()  # clients, as those who offered a key package and as those who are in a group
known: dict[bytes, Any] = {}
"""SigningIdentities by name: of our own clients, and of those who were heard in the open."""


def client(request: Request) -> Client:
    if request.get("signature_priv") is not None:
        raise Unsupported("unsupported: a given signature key")
    new = Client(str(request.get("identity", "mls-rs")))
    known[new.name.encode()] = new.client.signing_identity()
    return new


def seat(request: Request) -> Client:
    found = held.seat(request)
    if not isinstance(found, Client):
        raise TypeError("not a group")
    return found


def suited(request: Request) -> None:
    if request["suite"] != SUITE:
        raise NotFound(f"no suite 0x{request['suite']:04x} here")


def message(text: str) -> Any:
    return rs.Message.from_bytes(bytes.fromhex(text))


def seated(who: Client) -> Answer:
    return {"group": held.sit(who), **who.view()}


def hello(request: Request) -> Answer:
    note = "handshakes in the open; no epoch authenticator: compare the exporter"
    return {"name": "mls-rs", "version": "0.1.1", "suites": [SUITE], "commands": sorted(COMMANDS), "note": note}


def create_key_package(request: Request) -> Answer:
    suited(request)
    new = client(request)
    return {"kp": held.offer(new), "key_package": new.client.generate_key_package_message().to_bytes().hex()}


def create_group(request: Request) -> Answer:
    suited(request)
    new = client(request)
    group_id = request.get("group_id")
    new.group = new.client.create_group(None if group_id is None else bytes.fromhex(group_id))
    new.epoch = 0
    return seated(new)


def join(request: Request) -> Answer:
    who = held.package(request)
    beside = request.get("ratchet_tree")
    given = None if beside is None else rs.RatchetTree(bytes=bytes.fromhex(beside))
    start = time.process_time()
    who.group = who.client.join_group(given, message(request["welcome"])).group
    cpu = time.process_time() - start
    return {**seated(who), "cpu": cpu}


def propose_add(request: Request) -> Answer:
    (proposal,) = seat(request).group.propose_add_members([message(request["key_package"])])
    return {"proposal": proposal.to_bytes().hex()}


def identities(who: Client, places: list[int]) -> list[Any]:
    names = {leaf.index: leaf.identity for leaf in who.leaves()}
    unknown = [place for place in places if names[place] not in known]
    if unknown:
        raise Unsupported(f"unsupported: no SigningIdentity was heard of leaves {unknown}")
    return [known[names[place]] for place in places]


def propose_remove(request: Request) -> Answer:
    who = seat(request)
    (proposal,) = who.group.propose_remove_members(identities(who, [request["leaf"]]))
    return {"proposal": proposal.to_bytes().hex()}


def commit(request: Request) -> Answer:
    who = seat(request)
    removes = identities(who, list(request.get("remove", ())))
    if request.get("psk") or (removes and request.get("add")):
        raise Unsupported("unsupported: a PSK, or members added and removed by value in one commit")
    start = time.process_time()
    adds = [message(each) for each in request.get("add", ())]
    if adds:
        output = who.group.add_members(adds)
    elif removes:
        output = who.group.remove_members(removes)
    else:
        output = who.group.commit()
    wire = output.commit_message.to_bytes()
    answer: Answer = {"commit": wire.hex(), "welcome": None}
    if output.welcome_message is not None:
        answer["welcome"] = output.welcome_message.to_bytes().hex()
        if output.ratchet_tree is not None:
            answer["ratchet_tree"] = output.ratchet_tree.bytes.hex()
    who.pending = output.commit_message
    who.epoch = tree.envelope(wire).epoch
    if request.get("merge", True):
        adopted(who)
    cpu = time.process_time() - start
    return {**answer, "cpu": cpu, **who.view()}


def adopted(who: Client) -> None:
    if who.pending is None:
        raise NotFound("no commit is pending")
    who.group.process_incoming_message(who.pending)
    who.pending = None
    who.epoch = None if who.epoch is None else who.epoch + 1


def merge(request: Request) -> Answer:
    who = seat(request)
    adopted(who)
    return who.view()


def process(request: Request) -> Answer:
    who = seat(request)
    wire = bytes.fromhex(request["message"])
    shown = tree.envelope(wire)
    sender = {leaf.index: leaf.identity for leaf in who.leaves()}.get(-1 if shown.sender is None else shown.sender)
    start = time.process_time()
    done = who.group.process_incoming_message(rs.Message.from_bytes(wire))
    cpu = time.process_time() - start
    if done.is_APPLICATION_MESSAGE():
        data = shown.authenticated_data.hex()
        return {"kind": "application", "plaintext": bytes(done.data).hex(), "authenticated_data": data, **who.view()}
    if done.is_RECEIVED_PROPOSAL():
        if sender is not None:
            known[sender] = done.sender
        return {"kind": "proposal", **who.view()}
    if not done.is_COMMIT():
        raise TypeError("neither application message, proposal nor commit")
    if sender is not None:
        known[sender] = done.committer
    who.pending = None
    who.epoch = shown.epoch + 1
    if done.effect.is_REMOVED():
        return {"kind": "removed"}
    return {"kind": "commit", "cpu": cpu, **who.view()}


def encrypt(request: Request) -> Answer:
    if request.get("authenticated_data"):
        raise Unsupported("unsupported: authenticated data")
    sealed = seat(request).group.encrypt_application_message(bytes.fromhex(request["plaintext"]))
    return {"message": sealed.to_bytes().hex()}


def encrypt_all(request: Request) -> Answer:
    """Many at once, for a bench: ``cpu`` is that of all."""
    group, plaintexts = seat(request).group, [bytes.fromhex(each) for each in request["plaintexts"]]
    start = time.process_time()
    messages = [group.encrypt_application_message(plaintext).to_bytes() for plaintext in plaintexts]
    return {"cpu": time.process_time() - start, "messages": [message.hex() for message in messages]}


def decrypt_all(request: Request) -> Answer:
    """Many application messages at once, for a bench."""
    group, messages = seat(request).group, [bytes.fromhex(each) for each in request["messages"]]
    start = time.process_time()
    found = [group.process_incoming_message(rs.Message.from_bytes(message)) for message in messages]
    cpu = time.process_time() - start
    return {"cpu": cpu, "plaintexts": [bytes(each.data).hex() for each in found]}


def export_secret(request: Request) -> Answer:
    context = bytes.fromhex(request.get("context") or "")
    return {"secret": seat(request).group.export_secret(request["label"].encode(), context, request["length"]).hex()}


def members(request: Request) -> Answer:
    return {
        "members": [
            {
                "leaf": leaf.index,
                "identity": leaf.identity.decode(errors="replace"),
                "signature_key": leaf.signature_key.hex(),
            }
            for leaf in seat(request).leaves()
        ]
    }


COMMANDS: dict[str, lines.Command] = {
    "hello": hello,
    "create_key_package": create_key_package,
    "create_group": create_group,
    "join": join,
    "propose_add": propose_add,
    "propose_remove": propose_remove,
    "commit": commit,
    "merge": merge,
    "add": lambda request: commit({**request, "add": request["key_packages"]}),
    "remove": lambda request: commit({**request, "remove": request["leaves"]}),
    "update": commit,
    "process": process,
    "encrypt": encrypt,
    "decrypt": process,
    "encrypt_all": encrypt_all,
    "decrypt_all": decrypt_all,
    "export_secret": export_secret,
    "epoch": lambda request: seat(request).view(),
    "ratchet_tree": lambda request: {"ratchet_tree": seat(request).group.export_tree().bytes.hex()},
    "members": members,
    "free": held.free,
}

if __name__ == "__main__":
    lines.serve(COMMANDS)
