"""Every key that ever sealed anything: what leaves a device is written down with the epoch and generation it used.

A generation's key seals one message. The network can't see whether a client that died, or woke up with yesterday's
vault, has used one twice: who holds the epoch can. So a stage notes of each message that goes out, before it goes,
which epoch, kind and generation its sender data name; `Ledger.reused` finds those that sealed two messages.

The ledger is a file, appended to line by line, so that it outlives the processes that write it.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from pathlib import Path

from securechan.agent.agent import Agent
from securechan.agent.effects import Effect, Send
from securechan.agent.state import CONVERSATIONS, GROUPS
from securechan.mls.framing import PrivateMessage
from securechan.mls.message import MLSMessage
from securechan.mls.protection import open_sender
from securechan.wire.frames import Append


class Ledger:
    """``path`` is made where it is missing; many processes may write to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def close(self) -> None:
        os.close(self._handle)

    def note(self, agent: Agent, effect: Effect) -> None:
        """Write down what is about to leave, if it is sealed for a group whose present epoch it is of."""
        match effect:
            case Send(Append(topic, _, body, _)) if agent.rows.get(CONVERSATIONS, topic.hex()) is not None:
                line = _line(agent, topic, body)
                if line:
                    os.write(self._handle, f"{line}\n".encode())
            case _:
                pass

    def entries(self) -> list[tuple[str, str]]:
        """(which key, hash of what it sealed), for every message that left."""
        found = []
        for line in self.path.read_text().splitlines():
            key, _, digest = line.rpartition(" ")
            found.append((key, digest))
        return found

    def reused(self) -> list[str]:
        """Keys that sealed more than one message."""
        sealed: dict[str, set[str]] = defaultdict(set)
        for key, digest in self.entries():
            sealed[key].add(digest)
        return [key for key, digests in sealed.items() if len(digests) > 1]


def _line(agent: Agent, topic: bytes, body: bytes) -> str:
    group = agent.rows.get(GROUPS, topic.hex())
    message = MLSMessage.decode(body).body
    if group is None or not isinstance(message, PrivateMessage) or message.epoch != group.epoch:
        return ""
    sender = open_sender(group.suite, group.state.secrets.sender_data, message)
    key = f"{bytes(group.epoch_authenticator).hex()} {sender.leaf_index} {message.content_type} {sender.generation}"
    return f"{key} {hashlib.sha256(body).hexdigest()}"
