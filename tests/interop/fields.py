"""What requests and answers of the driver hold: bytes in hex, messages, keys."""

from __future__ import annotations

from typing import Any

from securechan.crypto.secret import Secret
from securechan.crypto.suite import Suite
from securechan.errors import Malformed
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, LeafKeys
from securechan.mls.message import MLSMessage
from securechan.mls.nodes import BasicCredential
from securechan.mls.welcome import GroupInfo

Request = dict[str, Any]
Answer = dict[str, Any]


def view(group: Group) -> Answer:
    return {"epoch": group.epoch, "epoch_authenticator": group.epoch_authenticator.hex(), "leaf": group.own_leaf}


def raw(request: Request, name: str) -> bytes:
    return bytes.fromhex(request[name])


def maybe(request: Request, name: str) -> bytes | None:
    return None if request.get(name) is None else bytes.fromhex(request[name])


def keys_of(request: Request, suite: Suite) -> LeafKeys:
    private = maybe(request, "signature_priv") or suite.signature.generate()[0]
    return LeafKeys(Secret(private), BasicCredential(str(request.get("identity", "securechan")).encode()))


def key_package(message: str) -> KeyPackage:
    body = MLSMessage.decode(bytes.fromhex(message)).body
    if not isinstance(body, KeyPackage):
        raise Malformed("not a key package message")
    return body


def group_info(message: bytes) -> GroupInfo:
    body = MLSMessage.decode(message).body
    if not isinstance(body, GroupInfo):
        raise Malformed("not a group info message")
    return body
