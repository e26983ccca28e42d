"""For those who watch: a port of its own, apart from the clients', and the owner's socket in the relay's folder.

    GET /metrics   numbers, for Prometheus            GET /healthz   200 while the process does its work
    GET /readyz    200 while clients can be served    GET /status    on the Unix socket alone: what `status` tells

Whoever decides where clients go asks /readyz; whoever decides whether to start the process anew asks /healthz.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from relay.metrics import Metrics

Answering = Callable[[ServerConnection, Request], Awaitable[Response]]


class Observed(Protocol):
    """A relay, as those see it who watch."""

    metrics: Metrics

    async def gauges(self) -> dict[str, float]:
        """What there is now; see `relay.metrics`."""
        ...

    async def status(self) -> dict[str, Any]:
        """All that its owner may know."""
        ...

    def failed(self) -> bool:
        """Whether a part of it is dead."""
        ...

    def unready(self) -> list[str]:
        """Why clients can't be served; empty when they can."""
        ...


async def listen(relay: Observed, host: str, port: int) -> Server:
    """Answer on a port. Raises OSError where it is taken."""
    where = everywhere(host, port)
    return await serve(_no_session, *where, process_request=_answering(relay), compression=None)


def everywhere(host: str, port: int) -> tuple[Any, int]:
    """Addresses and port to listen on: ``::`` means all addresses of the machine, those of IPv4 too, on sockets apart,
    so that nobody's address has two forms. A free port is one that both have."""
    if host != "::":
        return host, port
    if not port:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as free:
            free.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            free.bind((host, 0))
            port = int(free.getsockname()[1])
    return (host, "0.0.0.0"), port  # noqa: S104 - the operator said all


async def listen_inside(relay: Observed, path: Path) -> Server:
    """Answer the owner on a Unix socket. Raises OSError where the path can't be one."""

    async def answer(_socket: ServerConnection, _request: Request) -> Response:
        return said(HTTPStatus.OK, await relay.status())

    return await unix_serve(_no_session, str(path), process_request=answer, compression=None)


def _answering(relay: Observed) -> Answering:
    async def answer(_socket: ServerConnection, request: Request) -> Response:
        match request.path.partition("?")[0]:
            case "/metrics":
                text = relay.metrics.render(await relay.gauges())
                return response(HTTPStatus.OK, text, "text/plain; version=0.0.4")
            case "/healthz" if relay.failed():
                return said(HTTPStatus.INTERNAL_SERVER_ERROR, {"status": "a part of the relay failed"})
            case "/healthz":
                return said(HTTPStatus.OK, {"status": "alive"})
            case "/readyz":
                why = relay.unready()
                if why:
                    return said(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready", "why": why})
                return said(HTTPStatus.OK, {"status": "ready"})
            case _:
                return said(HTTPStatus.NOT_FOUND, {"status": "see /metrics, /healthz, /readyz"})

    return answer


async def _no_session(socket: ServerConnection) -> None:
    """Where only plain HTTP is served, no WebSocket gets this far."""
    await socket.close(1008)


def said(status: HTTPStatus, data: dict[str, Any]) -> Response:
    """An answer in JSON."""
    return response(status, json.dumps(data) + "\n", "application/json")


def response(status: HTTPStatus, body: str, kind: str) -> Response:
    """A whole answer; the connection ends with it."""
    content = body.encode()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, content)
