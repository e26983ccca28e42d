"""The line protocol of tests/interop for all Python drivers: ours, and those that live in other virtual environments.

One JSON request a line on stdin, one answer a line on stdout, in order. ``cpu`` in an answer is what the command took,
in CPU seconds of this process. Key packages and groups are named by handles (``k1``, ``g2``, …); one left out is the
newest. This file needs nothing but the standard library.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Request = dict[str, Any]
Answer = dict[str, Any]
Command = Callable[[Request], Answer]


class Unsupported(Exception):
    """What the peer has no call for, or a command that isn't there."""


class NotFound(LookupError):
    """A handle, suite or member that isn't here."""


class Held:
    """What a driver holds by its handles."""

    def __init__(self) -> None:
        self.packages: dict[str, Any] = {}
        self.seats: dict[str, Any] = {}
        self._numbers = itertools.count(1)

    def handle(self, letter: str) -> str:
        """A new one."""
        return f"{letter}{next(self._numbers)}"

    def offer(self, package: Any) -> str:
        """Holds a key package; answers with its handle."""
        name = self.handle("k")
        self.packages[name] = package
        return name

    def sit(self, seat: Any) -> str:
        """Holds a group; answers with its handle."""
        name = self.handle("g")
        self.seats[name] = seat
        return name

    def package(self, request: Request) -> Any:
        return chosen(self.packages, request.get("kp"), "key package")

    def seat(self, request: Request) -> Any:
        return chosen(self.seats, request.get("group"), "group")

    def free(self, request: Request) -> Answer:
        """The command of that name."""
        for held, name, what in ((self.packages, "kp", "key package"), (self.seats, "group", "group")):
            if request.get(name) is not None:
                chosen(held, request[name], what)
                del held[request[name]]
        return {}


def chosen(held: Mapping[str, Any], name: str | None, what: str) -> Any:
    """The one of this handle, or the newest where there is none."""
    if not held:
        raise NotFound(f"there is no {what} yet")
    if name is None:
        return held[list(held)[-1]]
    if name not in held:
        raise NotFound(f"there is no {what} {name}")
    return held[name]


def answer(commands: Mapping[str, Command], request: Request) -> Answer:
    """The answer to one request; exceptions are named by their class."""
    head = {"id": request.get("id")}
    try:
        command = commands.get(str(request.get("cmd")))
        if command is None:
            raise Unsupported(f"unsupported: {request.get('cmd')}")
        start = time.process_time()
        body = command(request)
        return {**head, "ok": True, "cpu": time.process_time() - start, **body}
    except Exception as fault:  # a driver reports whatever its library raises
        return {**head, "ok": False, "error": str(fault) or repr(fault), "type": type(fault).__name__}


def serve(commands: Mapping[str, Command], requests: Iterable[str] = sys.stdin) -> None:
    """Answers until ``quit`` or the end of input."""
    for line in requests:
        if not line.strip():
            continue
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise TypeError("a request is a JSON object")
        except (ValueError, TypeError) as fault:
            print(json.dumps({"id": None, "ok": False, "error": str(fault), "type": type(fault).__name__}), flush=True)
            continue
        if request.get("cmd") == "quit":
            print(json.dumps({"id": request.get("id"), "ok": True}), flush=True)
            return
        print(json.dumps(answer(commands, request)), flush=True)
