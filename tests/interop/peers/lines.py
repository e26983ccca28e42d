"""The line protocol of tests/interop/driver.py for drivers that live in another virtual environment.

One JSON request a line on stdin, one answer a line on stdout, in order. ``cpu`` in an answer is what the command took,
in CPU seconds of this process. This file needs nothing but the standard library.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

Request = dict[str, Any]
Answer = dict[str, Any]
Command = Callable[[Request], Answer]


class Unsupported(Exception):
    """What the peer has no call for."""


def chosen(held: dict[str, Any], name: str | None, what: str) -> Any:
    """The one of this handle, or the newest where there is none."""
    if not held:
        raise LookupError(f"there is no {what} yet")
    if name is None:
        return held[next(reversed(held))]
    if name not in held:
        raise LookupError(f"there is no {what} {name}")
    return held[name]


def answer(commands: dict[str, Command], request: Request) -> Answer:
    """The answer to one request; a peer's exceptions are named by their class."""
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


def serve(commands: dict[str, Command], lines: Iterable[str] = sys.stdin) -> None:
    """Answers until ``quit`` or the end of input."""
    for line in lines:
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
