"""The MLS engine behind a pipe, for groups mixed with other implementations: ``python -m tests.interop.driver``.

JSON lines: one request a line on stdin, exactly one answer a line on stdout, in order.

    {"id": 1, "cmd": "create_group", "suite": 1}
    {"id": 1, "ok": true, "group": "g1", "epoch": 0, "epoch_authenticator": "…", "leaf": 0}
    {"id": 2, "cmd": "fly"}
    {"id": 2, "ok": false, "error": "unsupported: fly", "type": "Unsupported"}

Byte strings are lower-case hex, messages whole ``MLSMessage``s, ``suite`` is the 16-bit number. A process holds any
number of key packages (handles ``k1``, …) and groups (``g1``, …); a handle left out means the newest. ``hello`` lists
the commands; ``quit`` or the end of input ends the process. ``cpu`` in an answer is what the command took, in CPU
seconds, without what only this protocol needs where that would show. Nothing here is fit for production: it hands out
private keys to whoever asks. README.md beside this file has the commands.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from securechan.crypto.secret import Secret
from securechan.crypto.suite import SUITES, Suite, by_number
from securechan.errors import Invalid
from securechan.mls.extensions import Extension
from securechan.mls.group import Group, Pending
from securechan.mls.join import trusted_tree
from securechan.mls.keypackage import DEFAULT_LIFETIME, LeafKeys, new_key_package
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.nodes import Capabilities
from securechan.mls.outcomes import Application, CannotFollow, Committed, Own, Proposed, Removed, Void
from securechan.mls.outside import propose_from_outside, propose_self
from securechan.mls.proposals import Add, Remove, Update
from securechan.mls.psk import EpochId, PskName
from securechan.mls.registry import GREASE, CredentialType, ProtocolVersion
from securechan.mls.send import Step, external_psk
from securechan.mls.treemath import LeafIndex
from securechan.mls.welcome import GroupInfo, Welcome
from tests.interop import lineage
from tests.interop.fields import able, group_info, key_package, keys_of, maybe, one_welcome, raw, view
from tests.interop.peers.lines import Answer, Command, Held, NotFound, Request, answer, serve


@dataclass
class Seat:
    """One group of the process."""

    group: Group
    padding: int = 0
    pending: Step | None = None


class Driver(Held):
    """All that the process holds."""

    def __init__(self) -> None:
        super().__init__()
        self.psks: dict[PskName, bytes] = {}
        self.commands: dict[str, Command] = {name: partial(act, self) for name, act in COMMANDS.items()}

    def answer(self, request: Request) -> Answer:
        """The answer to one request; never raises."""
        return answer(self.commands, request)

    def seat(self, request: Request) -> Seat:
        found = super().seat(request)
        if not isinstance(found, Seat):
            raise TypeError("not a group")
        return found

    def seated(self, group: Group, **more: Any) -> Answer:
        return {"group": self.sit(Seat(group, **more)), **view(group)}


# ------------------------------------------------------------------------------------------------------- commands


def hello(driver: Driver, request: Request) -> Answer:
    return {
        "name": "securechan",
        "version": "0.1.0",
        "suites": sorted(suite.number for suite in SUITES.values()),
        "commands": sorted(COMMANDS),
        "note": "one welcome for all who were added; times are the system's",
    }


def create_key_package(driver: Driver, request: Request) -> Answer:
    suite = by_number(request["suite"])
    extensions: tuple[Extension, ...] = ()
    capabilities = able(request, suite)
    if request.get("grease"):
        extensions = (Extension(GREASE[7], b"grease"),)
        capabilities = Capabilities(
            (ProtocolVersion.MLS10,),  # §13.5 reserves no versions, and ts-mls reads none but 1
            (suite.number, GREASE[1]),
            (GREASE[2],),
            (GREASE[3],),
            (CredentialType.BASIC, GREASE[4]),
        )
    days = request.get("lifetime_days")
    bundle = new_key_package(
        suite,
        keys_of(request, suite),
        now=int(time.time()),
        lifetime=DEFAULT_LIFETIME if days is None else days * 86400,
        extensions=extensions,
        capabilities=capabilities,
    )
    return {
        "kp": driver.offer(bundle),
        "key_package": encode_message(bundle.key_package).hex(),
        "init_priv": bundle.init_private.hex(),
        "encryption_priv": bundle.encryption_private.hex(),
        "signature_priv": bundle.signature_private.hex(),
    }


def create_group(driver: Driver, request: Request) -> Answer:
    suite = by_number(request["suite"])
    keys = keys_of(request, suite)
    if request.get("kp") is not None:
        bundle = driver.package(request)
        keys = LeafKeys(bundle.signature_private, bundle.key_package.leaf_node.credential.body)
    group_id = maybe(request, "group_id") or bytes(suite.random(32))
    group = Group.create(suite, group_id, keys, now=int(time.time()), capabilities=able(request, suite))
    return driver.seated(group, padding=request.get("padding", 0))


def join(driver: Driver, request: Request) -> Answer:
    welcome = raw(request, "welcome")
    bundle = driver.package({"kp": request.get("kp") or _invited(driver, welcome)})
    tree = maybe(request, "ratchet_tree")
    parents = [driver.seat({"group": request["parent"]}).group] if "parent" in request else []
    now = int(time.time())
    return driver.seated(Group.join(welcome, bundle, now=now, ratchet_tree=tree, psks=driver.psks, parents=parents))


def _invited(driver: Driver, welcome: bytes) -> str | None:
    """The key package that a welcome is for; None lets the newest answer that it isn't."""
    body = MLSMessage.decode(welcome).body
    if isinstance(body, Welcome):
        wanted = {entry.new_member for entry in body.secrets}
        for name, bundle in driver.packages.items():
            if bundle.reference(by_number(bundle.key_package.cipher_suite)) in wanted:
                return name
    return None


def get_group_info(driver: Driver, request: Request) -> Answer:
    return {"group_info": driver.seat(request).group.group_info(with_tree=request.get("with_tree", True)).hex()}


def external_join(driver: Driver, request: Request) -> Answer:
    suite = by_number(request["suite"])
    keys = keys_of(request, suite)
    info = raw(request, "group_info")
    tree = maybe(request, "ratchet_tree")
    replacing = None
    if request.get("resync"):
        replacing = _old_leaf(suite, group_info(info), tree, keys)
    group, commit = Group.join_from_outside(suite, info, keys, ratchet_tree=tree, replacing=replacing)
    return {**driver.seated(group), "commit": commit.hex()}


def _old_leaf(suite: Suite, info: GroupInfo, tree: bytes | None, keys: LeafKeys) -> LeafIndex:
    public = suite.signature.public(keys.signature_private)
    for at, leaf in trusted_tree(suite, info, tree).members():
        if leaf.signature_key == public or leaf.identity == keys.credential.identity:
            return at
    raise NotFound("no leaf of this identity to replace")


def propose(driver: Driver, request: Request, body: Any) -> Answer:
    seat = driver.seat(request)
    seat.group, message = seat.group.propose(
        body, private=not request.get("public"), padding=0 if request.get("public") else seat.padding
    )
    return {"proposal": message.hex()}


def propose_add(driver: Driver, request: Request) -> Answer:
    return propose(driver, request, Add(key_package(request["key_package"])))


def propose_remove(driver: Driver, request: Request) -> Answer:
    return propose(driver, request, Remove(LeafIndex(request["leaf"])))


def propose_psk(driver: Driver, request: Request) -> Answer:
    return propose(driver, request, external_psk(driver.seat(request).group.suite, raw(request, "psk_id")))


def propose_update(driver: Driver, request: Request) -> Answer:
    seat = driver.seat(request)
    seat.group, message = seat.group.propose_update(private=not request.get("public"), padding=seat.padding)
    return {"proposal": message.hex()}


def external_propose_add(driver: Driver, request: Request) -> Answer:
    bundle = driver.package(request)
    context = group_info(raw(request, "group_info")).group_context
    suite = by_number(context.cipher_suite)
    return {"proposal": propose_self(suite, context.group_id, context.epoch, bundle).hex()}


def external_propose(driver: Driver, request: Request) -> Answer:
    """As the external sender of that index and signature key: an Add, or else a Remove."""
    context = group_info(raw(request, "group_info")).group_context
    suite, key = by_number(context.cipher_suite), Secret(raw(request, "signature_priv"))
    body = Add(key_package(request["add"])) if "add" in request else Remove(LeafIndex(request["remove"]))
    message = propose_from_outside(suite, context.group_id, context.epoch, request["index"], key, body)
    return {"proposal": message.hex()}


def _is_own_update(group: Group, kept: Pending) -> bool:
    """§12.2: what a committer may not take up; its commit's path renews its leaf anyway."""
    return isinstance(kept.proposal.body, Update) and kept.sender.leaf == group.own_leaf


def _extensions(request: Request) -> tuple[Extension, ...] | None:
    """The whole new list of the GroupContext, each as [type, data]; None where it stays."""
    if request.get("extensions") is None:
        return None
    return tuple(Extension(kind, bytes.fromhex(data)) for kind, data in request["extensions"])


def commit(driver: Driver, request: Request) -> Answer:
    seat = driver.seat(request)
    group = seat.group
    inside = request.get("ratchet_tree_in_welcome", True)
    start = time.process_time()
    step = group.commit(
        adds=[key_package(each) for each in request.get("add", ())],
        removes=[LeafIndex(leaf) for leaf in request.get("remove", ())],
        extensions=_extensions(request),
        psk_ids=[
            *(bytes.fromhex(each) for each in request.get("psk", ())),
            *(EpochId(group.group_id, epoch) for epoch in request.get("resumption", ())),
        ],
        by_reference=[kept.ref for kept in group.pending if not _is_own_update(group, kept)],
        psks=driver.psks,
        path=request.get("path", True),
        private=not request.get("public"),
        padding=0 if request.get("public") else seat.padding,
        tree_in_welcome=inside,
    )
    tree = step.ratchet_tree.hex() if step.welcomes and not inside else None
    cpu = time.process_time() - start  # without making one Welcome of those of the engine, as the protocol wants it
    if request.get("merge", True):
        seat.group, seat.pending = step.next, None
    else:
        seat.group, seat.pending = step.current, step
    answer = {"commit": step.commit.hex(), "welcome": one_welcome(step), "cpu": cpu, **view(seat.group)}
    if tree is not None:
        answer["ratchet_tree"] = tree
    return answer


def add(driver: Driver, request: Request) -> Answer:
    return commit(driver, {**request, "add": request["key_packages"]})


def remove(driver: Driver, request: Request) -> Answer:
    return commit(driver, {**request, "remove": request["leaves"]})


def merge(driver: Driver, request: Request) -> Answer:
    seat = driver.seat(request)
    if seat.pending is None:
        raise NotFound("no commit is pending")
    seat.group, seat.pending = seat.pending.next, None
    return view(seat.group)


def clear_pending(driver: Driver, request: Request) -> Answer:
    driver.seat(request).pending = None
    return {}


def process(driver: Driver, request: Request) -> Answer:
    seat, message = driver.seat(request), raw(request, "message")
    start = time.process_time()
    outcome = seat.group.receive(message, psks=driver.psks)
    cpu = time.process_time() - start
    match outcome:
        case Application(group, _, plaintext, data):
            seat.group = group
            found = {"kind": "application", "plaintext": plaintext.hex(), "authenticated_data": data.hex()}
        case Proposed(group):
            seat.group = group
            found = {"kind": "proposal"}
        case Committed(group):
            seat.group, seat.pending = group, None
            found = {"kind": "commit"}
        case Removed():
            found = {"kind": "removed"}
        case Void(reason, rule) as refused:
            raise Invalid(f"{type(refused).__name__}: {reason}", rule=rule)
        case CannotFollow(reason):
            raise Invalid(f"CannotFollow: {reason}")
        case Own():
            raise Invalid("Own: our own message")
        case other:
            raise Invalid(f"{type(other).__name__}: a message of epoch {other.epoch}")
    return {**found, "cpu": cpu, **view(seat.group)}


def encrypt(driver: Driver, request: Request) -> Answer:
    seat = driver.seat(request)
    data = maybe(request, "authenticated_data") or b""
    seat.group, message = seat.group.protect(raw(request, "plaintext"), authenticated_data=data, padding=seat.padding)
    return {"message": message.hex()}


def encrypt_all(driver: Driver, request: Request) -> Answer:
    """Many at once, for a bench: ``cpu`` is that of all."""
    group, plaintexts = driver.seat(request).group, [bytes.fromhex(each) for each in request["plaintexts"]]
    messages = []
    start = time.process_time()
    for plaintext in plaintexts:
        group, message = group.protect(plaintext)
        messages.append(message)
    cpu = time.process_time() - start
    driver.seat(request).group = group
    return {"cpu": cpu, "messages": [message.hex() for message in messages]}


def decrypt_all(driver: Driver, request: Request) -> Answer:
    """Many application messages at once, for a bench."""
    group, messages = driver.seat(request).group, [bytes.fromhex(each) for each in request["messages"]]
    plaintexts = []
    start = time.process_time()
    for message in messages:
        outcome = group.receive(message)
        if not isinstance(outcome, Application):
            raise Invalid(f"not an application message: {outcome}")
        group = outcome.group
        plaintexts.append(outcome.plaintext)
    cpu = time.process_time() - start
    driver.seat(request).group = group
    return {"cpu": cpu, "plaintexts": [plaintext.hex() for plaintext in plaintexts]}


def export_secret(driver: Driver, request: Request) -> Answer:
    context = maybe(request, "context") or b""
    return {"secret": driver.seat(request).group.export(request["label"], context, request["length"]).hex()}


def members(driver: Driver, request: Request) -> Answer:
    return {
        "members": [
            {
                "leaf": member.leaf,
                "identity": member.identity.decode(errors="replace"),
                "signature_key": member.signature_key.hex(),
            }
            for member in driver.seat(request).group.members()
        ]
    }


def add_psk(driver: Driver, request: Request) -> Answer:
    driver.psks[raw(request, "psk_id")] = raw(request, "psk")
    return {}


COMMANDS: Final[dict[str, Callable[[Driver, Request], Answer]]] = {
    "hello": hello,
    "create_key_package": create_key_package,
    "create_group": create_group,
    "join": join,
    "group_info": get_group_info,
    "external_join": external_join,
    "propose_add": propose_add,
    "propose_remove": propose_remove,
    "propose_update": propose_update,
    "propose_psk": propose_psk,
    "external_propose_add": external_propose_add,
    "external_propose": external_propose,
    "commit": commit,
    "merge": merge,
    "clear_pending": clear_pending,
    "add": add,
    "remove": remove,
    "update": commit,
    "process": process,
    "encrypt": encrypt,
    "decrypt": process,
    "encrypt_all": encrypt_all,
    "decrypt_all": decrypt_all,
    "export_secret": export_secret,
    "epoch_authenticator": lambda driver, request: view(driver.seat(request).group),
    "tree_hash": lambda driver, request: {"tree_hash": driver.seat(request).group.tree_hash.hex()},
    "ratchet_tree": lambda driver, request: {"ratchet_tree": driver.seat(request).group.tree_bytes().hex()},
    "members": members,
    "add_psk": add_psk,
    "reinit": lineage.reinit,
    "succeed": lineage.succeed,
    "branch": lineage.branch,
    "free": Driver.free,
}


if __name__ == "__main__":
    serve(Driver().commands)
