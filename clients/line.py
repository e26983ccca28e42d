"""The way to the relay: straight, or through the proxy that the network demands; and whom TLS believes there.

    SECURECHAN_PROXY        http://proxy:3128, socks5h://127.0.0.1:9050 … or none     then the profile's own setting,
    SECURECHAN_CA           a PEM file of certificates to believe instead of the       then what the system says:
                            system's                                                  https_proxy, all_proxy, no_proxy

``http`` is a proxy that does CONNECT; ``socks5h`` and ``socks4a`` have the proxy look the name up, ``socks5`` and
``socks4`` look it up here. A proxy sees a TLS or WebSocket connection to the relay's address: who speaks, with whom and
what about is sealed inside it, and a proxy that opens TLS sees no more than that.
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urlsplit

from clients.files import write_private
from clients.sockets import is_address
from securechan.errors import Malformed, NotReady, Unreachable

FILE: Final = "line.json"  # in the profile's folder
NONE: Final = "none"
SCHEMES: Final = ("http", "socks5h", "socks5", "socks4a", "socks4")
_HOST: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(\.(?!-)[\w-]{1,63}(?<!-))*\.?")  # a name, in any script
POST_QUANTUM: Final = "MLKEM"  # in the name of a TLS group that a quantum computer does not open


@dataclass(frozen=True, slots=True)
class Line:
    """How to get there. ``proxy``: an address, `NONE`, or empty for what the system says; ``ca``: a PEM file, or None
    for the system's certificates."""

    proxy: str = ""
    ca: Path | None = None

    @classmethod
    def find(cls, folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Self:
        """As the environment says, else as the profile in ``folder`` does. Raises Malformed for what can't be."""
        held = cls() if folder is None else cls.load(folder)
        proxy = environment.get("SECURECHAN_PROXY") or held.proxy
        ca = environment.get("SECURECHAN_CA")
        return cls(_checked(proxy), Path(ca).expanduser() if ca else held.ca)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What the profile says. Raises Malformed."""
        path = folder / FILE
        try:
            said = json.loads(path.read_bytes())
            return cls(_checked(str(said["proxy"])), Path(said["ca"]) if said["ca"] else None)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise Malformed(f"{path} can't be read: {e}", hint="securechan profile set", code="bad-config") from e

    def save(self, folder: Path) -> None:
        """Let the profile say so. Raises Malformed, NotReady."""
        _checked(self.proxy)
        said = {"proxy": self.proxy, "ca": str(self.ca) if self.ca else ""}
        write_private(folder / FILE, json.dumps(said).encode() + b"\n", replace=True)

    # ------------------------------------------------------------------------------------------------------ the proxy

    def proxy_for(self, url: str) -> str:
        """The proxy's address; empty where the way is straight. Raises Malformed."""
        if self.proxy:
            return "" if self.proxy == NONE else self.proxy
        parts = urlsplit(url)
        if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
            return ""
        system = urllib.request.getproxies()
        for scheme in (parts.scheme, "socks", "https" if parts.scheme == "wss" else "http", "all"):
            if system.get(scheme):
                found = system[scheme]
                # an HTTP proxy in "https" may be written without its scheme; in "socks" it means a SOCKS proxy
                return _checked(found.replace("http://", "socks5h://", 1) if scheme == "socks" else found, bare=True)
        return ""

    async def dial(self, url: str) -> socket.socket | None:
        """A connected socket to the relay's port through the proxy; None where the way is straight.

        Raises Unreachable (``proxy``), which names the proxy without its password."""
        address = self.proxy_for(url)
        if not address:
            return None
        from python_socks import (  # noqa: PLC0415 - only behind a proxy
            ProxyConnectionError,
            ProxyError,
            ProxyTimeoutError,
            ProxyType,
        )
        from python_socks.async_.asyncio import Proxy  # noqa: PLC0415 - likewise

        parts, there = urlsplit(address), urlsplit(url)
        kind = ProxyType.HTTP if parts.scheme == "http" else ProxyType[parts.scheme[:6].upper()]
        proxy = Proxy(
            kind,
            parts.hostname or "",
            parts.port or (3128 if parts.scheme == "http" else 1080),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            rdns=parts.scheme in ("http", "socks5h", "socks4a"),
        )
        port = there.port or (443 if there.scheme in ("wss", "https") else 80)
        try:
            connected: socket.socket = await proxy.connect(there.hostname or "", port)
        except (ProxyError, ProxyConnectionError, ProxyTimeoutError, OSError) as e:
            reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            raise Unreachable(
                f"no way to {url} through the proxy {_shown(parts)}: {reason or type(e).__name__}",
                hint="check SECURECHAN_PROXY, securechan profile show, or https_proxy; ask whoever runs the proxy",
                code="proxy",
            ) from e
        return connected

    # ------------------------------------------------------------------------------------------------------------ TLS

    def context(self, url: str) -> ssl.SSLContext | None:
        """For a connection to ``url``; None where it has no TLS. Raises NotReady where the certificates can't be
        read."""
        if urlsplit(url).scheme not in ("wss", "https"):
            return None
        try:
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as e:
            raise NotReady(
                f"the certificates in {self.ca} can't be read: {e.strerror or e}",
                hint="SECURECHAN_CA and securechan profile set --ca name a PEM file",
                code="bad-ca",
            ) from e


def _checked(proxy: str, *, bare: bool = False) -> str:
    """A proxy's address in full. ``bare``: a host alone will do, as what is set for the whole system may say. Raises
    Malformed (``bad-proxy``) for what is none."""
    if not proxy or proxy == NONE:
        return proxy
    fault = _fault(proxy, bare)
    if fault:
        known = proxy.rpartition("@")[2][:80]  # a password may stand before it
        raise Malformed(
            f"{known!a} is no address of a proxy: {fault}",
            hint=f"it looks like http://proxy.example.int:3128; schemes are {', '.join(SCHEMES)}; or say {NONE}",
            code="bad-proxy",
        )
    return proxy if "://" in proxy else f"http://{proxy}"


def _fault(proxy: str, bare: bool) -> str:
    """What keeps this from being a proxy's address; empty for one that is."""
    scheme, _, rest = proxy.rpartition("://")
    scheme = scheme or "http"
    if scheme not in SCHEMES:
        return f"{scheme[:20]!a} is none of the schemes"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "its port is none"
    if not host:
        return "it names no host"
    if not (_HOST.fullmatch(host) or is_address(host)):
        return f"{host[:80]!a} is the name of no host"
    if port == 0 or parts.netloc.endswith(":"):
        return "its port is none"
    if port is None and "://" not in proxy and not bare:
        return "it names neither a scheme nor a port"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "nothing stands after its port"
    return ""


def _shown(parts: SplitResult) -> str:
    """Without name and password."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def shown(proxy: str) -> str:
    """A proxy's address as it may be told to anyone: without name and password."""
    return proxy if proxy in ("", NONE) else _shown(urlsplit(proxy))


# --------------------------------------------------------------------------------------------------------- what it got


@dataclass(frozen=True, slots=True)
class Coat:
    """The TLS around a connection: its version, its cipher, and the group of its key exchange (empty where this Python
    does not tell)."""

    version: str
    cipher: str
    group: str = ""

    @classmethod
    def of(cls, tls: object) -> Self | None:
        """That of an ``SSLObject`` or ``SSLSocket``; None for what is neither."""
        if not isinstance(tls, ssl.SSLObject | ssl.SSLSocket):
            return None
        group = getattr(tls, "group", None)  # Python 3.15 and later
        cipher = tls.cipher()
        return cls(tls.version() or "", cipher[0] if cipher else "", (group() or "") if callable(group) else "")

    @property
    def post_quantum(self) -> bool | None:
        """Whether recording it today is no use tomorrow; None where that can't be known."""
        if self.group:
            return POST_QUANTUM in self.group.upper()
        if self.version != "TLSv1.3" or ssl.OPENSSL_VERSION_INFO < (3, 5):
            return False  # neither knows a post-quantum group
        return None
