"""While ``watch`` holds a profile, it does the errands of other invocations: a socket in the profile's own folder.

    securechan send …  ──►  profile is held  ──►  control socket  ──►  the watching process does it  ──►  answer

One connection is one operation. A line of JSON asks, lines of JSON answer:

    {"v":1,"op":NAME,"params":{…}}      →   {"item":…}*  then {"data":…} or {"error":{…}}

The socket is 0600 in a folder that is 0700, and the peer's user id is looked at besides: who may open the socket may
already open the vault's file, but not its content. Who hangs up has changed their mind: the operation is cancelled
(what was adopted stays). An error comes out on the other side as the class it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from securechan import errors
from securechan.errors import Finding, Invalid, Malformed, NotReady, Refused, SecurechanError, Unfit, Unreachable

MAX_LINE: Final = 32 << 20  # bytes: a bulletin of 4 MiB, in base64, with room
VERSION: Final = 1

Serve = Callable[[str, dict[str, Any], Callable[[Any], Awaitable[None]]], Awaitable[Any]]
"""Carry out an operation: its name, its parameters, how to give one item of a stream; returns the data."""

_CLASSES: Final = {
    name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, SecurechanError)
}


# --------------------------------------------------------------------------------------------------------------- errors


def error_to_json(e: SecurechanError) -> dict[str, Any]:
    """What a reader in another process needs to know of an error."""
    said: dict[str, Any] = {"type": type(e).__name__, "code": e.code, "message": e.message, "hint": e.hint}
    if e.detail is not None:
        said["detail"] = dict(e.detail)
    if isinstance(e, Refused) and e.retry_after is not None:
        said["retry_after"] = e.retry_after
    if isinstance(e, Unfit):
        said["findings"] = [{"where": f.where, "what": f.what} for f in e.findings]
    return said


def error_from_json(said: Any) -> SecurechanError:
    """The error again. What is no error's form is itself `Malformed`."""
    try:
        error = _error(said)
        error.detail = dict(said["detail"]) if "detail" in said else None
    except (KeyError, TypeError, ValueError) as e:
        raise Malformed("the process that holds the profile answers with no proper error") from e
    return error


def _error(said: Any) -> SecurechanError:
    cls = _CLASSES.get(said["type"], SecurechanError)
    message, hint, code = str(said["message"]), str(said["hint"]), str(said["code"])
    if cls is Unfit:
        findings = tuple(Finding(str(f["where"]), str(f["what"])) for f in said.get("findings", ()))
        return Unfit(message, findings=findings, hint=hint, code=code)
    if cls is Refused:
        return Refused(message, retry_after=said.get("retry_after"), hint=hint, code=code)
    if cls is Invalid:
        return Invalid(message, hint=hint, code=code)
    return cls(message, hint=hint, code=code)


# --------------------------------------------------------------------------------------------------------- the one side


@contextlib.asynccontextmanager
async def serving(path: Path, serve: Serve) -> AsyncIterator[None]:
    """Take errands at ``path`` while the context lasts. The caller holds the profile's lock, so what may lie there is
    left over from a process that was killed."""
    _forget(path)
    tasks: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_meet(reader, writer, serve))  # cancelled, asyncio's own would tell it all (3.11)
        tasks.add(task)
        await asyncio.wait((task,))
        tasks.discard(task)

    with _reachable(path) as address:
        try:
            server = await asyncio.start_unix_server(meet, path=address, limit=MAX_LINE)
        except OSError as e:
            raise NotReady(f"no control socket at {path}: {e.strerror}", hint="set SECURECHAN_HOME elsewhere") from e
        _hide(path)
    try:
        yield
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        _forget(path)


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def _hide(path: Path) -> None:
    path.chmod(0o600)


async def _meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serve: Serve) -> None:
    async def say(line: dict[str, Any]) -> None:
        writer.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        await writer.drain()

    async def give(item: Any) -> None:
        await say({"item": item})

    try:
        if _peer(writer) != os.geteuid():
            return
        op, params = _parse(await reader.readline())
        doing = asyncio.ensure_future(serve(op, params, give))
        leaving = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                await say({"data": doing.result()})
        finally:
            for task in (doing, leaving):
                task.cancel()
            await asyncio.gather(doing, leaving, return_exceptions=True)
    except SecurechanError as e:
        with contextlib.suppress(ConnectionError):
            await say({"error": error_to_json(e)})
    except (ConnectionError, ValueError):  # ValueError: a line beyond the limit
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _parse(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        asked = json.loads(line)
        op, params = asked["op"], asked["params"]
        if asked["v"] != VERSION or not isinstance(op, str) or not isinstance(params, dict):
            raise ValueError("another form")
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise Malformed("that is no errand", hint="both processes must run the same version of securechan") from e
    return op, params


def _peer(writer: asyncio.StreamWriter) -> int:
    """The user id of the process at the other end."""
    connection = writer.get_extra_info("socket")
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", said)[1])


# ------------------------------------------------------------------------------------------------------- the other side


async def forward(path: Path, op: str, params: dict[str, Any]) -> AsyncGenerator[tuple[bool, Any], None]:
    """Have the process at ``path`` carry out an operation: ``(False, item)`` for each item of a stream, at last
    ``(True, data)``. Raises its error, or Unreachable: ``no-control`` where nobody listens, ``holder-gone`` where it
    went while it was at it, so that nobody does the same again unasked."""
    try:
        with _reachable(path) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=MAX_LINE)
    except OSError as e:
        raise Unreachable("the process that holds the profile takes no errands", code="no-control") from e
    try:
        writer.write(json.dumps({"v": VERSION, "op": op, "params": params}).encode() + b"\n")
        await writer.drain()
        while True:
            line = await reader.readline()
            if not line:
                raise _gone()
            said = _said(line)
            if "error" in said:
                raise error_from_json(said["error"])
            if "data" in said:
                yield True, said["data"]
                return
            yield False, said.get("item")
    except ConnectionError as e:
        raise _gone() from e
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _gone() -> Unreachable:
    return Unreachable(
        "the process that holds the profile has gone while it was at it",
        hint="see what was done before you do it again: securechan conversation ls",
        code="holder-gone",
    )


def _said(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise Malformed("the process that holds the profile answers with no JSON") from e
    if not isinstance(said, dict):
        raise Malformed("the process that holds the profile answers with no object")
    return said


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """An address for a socket however long its path is: the kernel takes 107 bytes, so long ones go by way of their
    folder's descriptor (Linux)."""
    if len(os.fsencode(path)) <= 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
