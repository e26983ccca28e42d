"""clients/control.py: an errand is done by the process that holds the profile, and its error is the same error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from clients.control import error_from_json, error_to_json, forward, serving
from securechan.errors import (
    Conflict,
    Finding,
    Invalid,
    Malformed,
    NotFound,
    Refused,
    SecurechanError,
    Unfit,
    Unreachable,
)
from tests.clients.relay_peer import run

Give = Callable[[Any], Awaitable[None]]


async def serve(op: str, params: dict[str, Any], give: Give) -> Any:
    match op:
        case "echo":
            return params
        case "count":
            for n in range(params["to"]):
                await give(n)
            return "done"
        case _:
            raise NotFound(f"no operation {op}", hint="look it up")


async def ask(path: Path, op: str, **params: Any) -> list[tuple[bool, Any]]:
    return [answer async for answer in forward(path, op, params)]


def mode(path: Path) -> int | None:
    return path.stat().st_mode & 0o777 if path.exists() else None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


def test_an_errand_is_done_and_a_stream_is_streamed(path: Path) -> None:
    async def story() -> None:
        async with serving(path, serve):
            assert mode(path) == 0o600
            assert await ask(path, "echo", text="čšž", n=1) == [(True, {"text": "čšž", "n": 1})]
            assert await ask(path, "count", to=3) == [(False, 0), (False, 1), (False, 2), (True, "done")]
        assert mode(path) is None

    run(story())


def test_large_content_goes_through(path: Path) -> None:
    async def story() -> None:
        content = "x" * (6 << 20)
        async with serving(path, serve):
            assert await ask(path, "echo", content=content) == [(True, {"content": content})]

    run(story())


def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)

    async def story() -> None:
        async with serving(folder / "control", serve):
            assert await ask(folder / "control", "echo") == [(True, {})]

    run(story())


def test_its_error_comes_out_as_it_was(path: Path) -> None:
    async def story() -> None:
        async with serving(path, serve):
            with pytest.raises(NotFound, match="no operation nope") as e:
                await ask(path, "nope")
            assert e.value.hint == "look it up"

    run(story())


@pytest.mark.parametrize(
    "error",
    [
        NotFound("a", hint="b", code="c"),
        Refused("a", retry_after=2.5, code="quota"),
        Unfit("a", findings=(Finding("/objects/0", "wrong"), Finding("/x", "worse"))),
        Invalid("a", rule="RFC 9420 §7"),
        Conflict("a"),
        SecurechanError("a"),
    ],
)
def test_errors_survive_the_trip(error: SecurechanError) -> None:
    back = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert type(back) is type(error)
    assert (back.message, back.hint, back.code) == (error.message, error.hint, error.code)
    for field in ("retry_after", "findings"):
        assert getattr(back, field, None) == getattr(error, field, None)


def test_what_scripts_are_told_besides_survives_it_too() -> None:
    error = Conflict("the second").about("b.txt")
    error.detail = {"messages": [{"id": "00", "state": "sent"}]}
    back = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert (back.message, back.args, back.detail) == ("b.txt: the second", ("b.txt: the second",), error.detail)
    assert error_from_json(error_to_json(Conflict("alone"))).detail is None


_NO_DETAIL = {"type": "NotFound", "code": "", "message": "", "hint": "", "detail": 7}


@pytest.mark.parametrize(
    "said", [None, 7, {}, {"type": "NotFound"}, {"type": ["x"], "code": "", "message": ""}, _NO_DETAIL]
)
def test_an_error_without_form_is_malformed(said: Any) -> None:
    with pytest.raises(Malformed):
        error_from_json(said)


def test_nobody_listens(path: Path) -> None:
    async def story() -> None:
        with pytest.raises(Unreachable) as e:
            await ask(path, "echo")
        assert e.value.code == "no-control"

    run(story())


def test_what_a_killed_process_left_is_replaced(path: Path) -> None:
    path.write_text("")

    async def story() -> None:
        async with serving(path, serve):
            assert await ask(path, "echo") == [(True, {})]

    run(story())


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{}\n", b"[1]\n", b'{"v":2,"op":"echo","params":{}}\n', b'{"v":1,"op":1,"params":{}}\n', b"\xff\n", b""],
)
def test_what_is_no_errand_is_refused(path: Path, line: bytes) -> None:
    async def story() -> None:
        async with serving(path, serve):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(line)
            writer.write_eof()
            answer = json.loads(await reader.readline())
            assert answer["error"]["type"] == "Malformed"
            writer.close()
            await writer.wait_closed()
            assert await ask(path, "echo") == [(True, {})]

    run(story())


def test_who_hangs_up_has_changed_their_mind(path: Path) -> None:
    async def story() -> None:
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def wait(op: str, params: dict[str, Any], give: Give) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with serving(path, wait):
            asking = asyncio.create_task(ask(path, "x"))
            await started.wait()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            await cancelled.wait()

    run(story())


def test_the_holder_goes_while_somebody_waits(path: Path) -> None:
    async def story() -> None:
        started = asyncio.Event()

        async def wait(op: str, params: dict[str, Any], give: Give) -> None:
            started.set()
            await asyncio.Event().wait()

        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with serving(path, wait):
            asking = asyncio.create_task(ask(path, "x"))
            await started.wait()
        with pytest.raises(Unreachable, match="gone"):
            await asking
        assert complaints == []  # nothing for people to read in the middle of their talk

    run(story())


def test_another_user_gets_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with serving(path, serve):
            monkeypatch.setattr("clients.control._peer", lambda _: os.geteuid() + 1)
            with pytest.raises(Unreachable):
                await ask(path, "echo")

    run(story())
