"""What requests and answers of the driver hold: bytes in hex, messages, keys."""

from __future__ import annotations

from securechan.crypto.secret import Secret
from securechan.crypto.suite import Suite
from securechan.errors import Malformed
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, LeafKeys
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.nodes import BasicCredential, Capabilities, X509Credential
from securechan.mls.registry import ProtocolVersion
from securechan.mls.step import Step
from securechan.mls.welcome import GroupInfo, Welcome
from tests.interop.peers.lines import Answer, Request


def view(group: Group) -> Answer:
    return {"epoch": group.epoch, "epoch_authenticator": group.epoch_authenticator.hex(), "leaf": group.own_leaf}


def raw(request: Request, name: str) -> bytes:
    return bytes.fromhex(request[name])


def maybe(request: Request, name: str) -> bytes | None:
    return None if request.get(name) is None else bytes.fromhex(request[name])


def keys_of(request: Request, suite: Suite) -> LeafKeys:
    private = Secret(maybe(request, "signature_priv") or suite.signature.generate()[0])
    if request.get("certificates"):
        return LeafKeys(private, X509Credential(tuple(bytes.fromhex(each) for each in request["certificates"])))
    return LeafKeys(private, BasicCredential(str(request.get("identity", "securechan")).encode()))


def able(request: Request, suite: Suite) -> Capabilities | None:
    """What a leaf lists where it isn't the least: the types of credentials that the request names."""
    kinds = request.get("credential_types")
    return None if kinds is None else Capabilities((ProtocolVersion.MLS10,), (suite.number,), (), (), tuple(kinds))


def key_package(message: str) -> KeyPackage:
    body = MLSMessage.decode(bytes.fromhex(message)).body
    if not isinstance(body, KeyPackage):
        raise Malformed("not a key package message")
    return body


def one_welcome(step: Step) -> str | None:
    """The Welcomes of a commit as one, which is what the protocol has."""
    bodies = [MLSMessage.decode(each).body for each in step.welcomes]
    parts = [body for body in bodies if isinstance(body, Welcome)]
    if not parts:
        return None
    entries = tuple(entry for part in parts for entry in part.secrets)
    return encode_message(Welcome(parts[0].cipher_suite, entries, parts[0].encrypted_group_info)).hex()


def group_info(message: bytes) -> GroupInfo:
    body = MLSMessage.decode(message).body
    if not isinstance(body, GroupInfo):
        raise Malformed("not a group info message")
    return body
