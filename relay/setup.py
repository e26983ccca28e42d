"""What the operator does around a relay that runs: make it, give it its federation, ask how it is.

All of it works on the relay's folder, whether a relay runs on it or not; only `status` asks the running one, through
the Unix socket in the folder.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

from relay import keys as keyring
from relay.config import FILE, load
from securechan.errors import Conflict, NotFound, NotReady, SecurechanError, Unreachable
from securechan.trust.bundle import Bundle
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.publisher import publish
from securechan.trust.view import View
from securechan.wire.chain import Position


def init(home: Path, *, name: str, url: str, host: str, port: int) -> dict[str, Any]:
    """Make folder, keys, relay.toml and card.json; returns the card. Raises `Conflict` where there are keys or a
    configuration, `Unfit` where a value can't be."""
    if (home / FILE).exists() or keyring.exist(home):
        raise Conflict(f"{home} holds a relay already", hint="use another --home")
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in (("name", name), ("url", url), ("host", host)) if value]
    text = "".join([*lines, f"port = {port}\n"])
    keyring.make_home(home)
    keyring.write_private(home / FILE, text.encode())
    try:
        settings = load(home, environment={})
    except SecurechanError:
        (home / FILE).unlink()
        raise
    card = keyring.make(home, int(time.time())).card(settings.name, settings.address(port))
    keyring.replace(home / keyring.CARD, (json.dumps(card, indent=2) + "\n").encode())
    return card


def adopt(home: Path, bundle: Path) -> dict[str, Any]:
    """Lay a federation bundle into the relay's folder once it has been proved good for this relay.

    Everything is verified as the running relay will: signatures, that the online key is the one the root names, that
    name and KEM key are those of the relay record. Raises `NotFound`, `Untrusted`, `Malformed`, `NotReady`.
    """
    keys, settings = keyring.load(home), load(home)
    try:
        content = bundle.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{bundle} does not exist", hint="it is made by: securechan root publish") from None
    parsed = Bundle.decode(content)
    view = View.bootstrap(parsed.root)
    signer = TrustSigner(Kind.COMPOSITE, keys.online.private)
    for_this = publish(view, parsed.rest, signer, now=int(time.time()))
    view = view.apply(for_this, position=Position(1, bytes(48)))
    record = view.relays.get(settings.name)
    if record is None:
        raise NotReady(
            f"the federation knows no relay {settings.name}, but {', '.join(sorted(view.relays)) or 'none'}",
            hint="have the card added (securechan root add-relay), or set the name in relay.toml",
        )
    if not any(key.public in record.kem.values() for key in keys.kem.values()):
        raise NotReady(
            f"the federation holds another KEM key for {settings.name}",
            hint=f"have {home / keyring.CARD} added again: securechan root add-relay",
        )
    keyring.replace(home / keyring.BUNDLE, content)
    return {"root": view.root_id.hex(), "relay": settings.name, "home": str(home)}


def rotate(home: Path, *, drop: bool) -> dict[str, Any]:
    """Add a KEM key, which the card then shows; or ``drop`` all but the newest. A running relay follows in a second.

    First add, have the card published, and drop once every client has had time to sync: at most two stand in a relay
    record. Raises `NotReady` where there is no relay, `Conflict` where there are two keys already.
    """
    keys, settings = keyring.load(home), load(home)
    gone: tuple[str, ...] = ()
    if drop:
        gone = keyring.drop_kem(home)
    elif len(keys.kem) > 1:
        raise Conflict(
            "there are two KEM keys already",
            hint="once the federation has published the newer one: securechan-relay rotate --drop-old",
        )
    else:
        keyring.make_kem(home, int(time.time()))
    url = settings.address(settings.port)
    if (home / keyring.CARD).exists():
        url = json.loads((home / keyring.CARD).read_bytes())["url"]
    card = keyring.load(home).card(settings.name, url)
    keyring.replace(home / keyring.CARD, (json.dumps(card, indent=2) + "\n").encode())
    return {"card": card, "dropped": list(gone)}


def status(home: Path) -> dict[str, Any]:
    """What can be said of the relay in ``home``. Raises `NotReady` where there is none."""
    settings = load(home)
    if not keyring.exist(home):
        raise NotReady(f"there is no relay in {home}", hint="make one with: securechan-relay init")
    card = keyring.load(home).card(settings.name, settings.address(settings.port))
    told: dict[str, Any] = {
        "home": str(home),
        "card": card,
        "adopted": (home / keyring.BUNDLE).exists(),
        "running": None,
    }
    try:
        told["running"] = _ask(home / keyring.SOCKET)
    except Unreachable:
        return told
    return told


class _Inside(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _ask(path: Path) -> dict[str, Any]:
    """What the running relay says of itself."""
    connection = _Inside(path)
    try:
        connection.request("GET", "/status")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        raise Unreachable("no relay runs on this folder", hint="start it with: securechan-relay run") from None
    finally:
        connection.close()
    return answer


def words(told: dict[str, Any]) -> str:
    """`status` for people."""
    card, running = told["card"], told["running"]
    lines = [f"relay      {card['name']}  {card['url']}", f"keys       KEM {card['key_id']}  in {told['home']}"]
    if running is None:
        lines.append("running    no")
        lines.append(f"federation {'adopted' if told['adopted'] else 'none yet: securechan-relay adopt BUNDLE'}")
        return "\n".join(lines)
    lines.append(f"running    {running['address']}  up {running['uptime']} s  store {running['store']}")
    federation = running["federation"]
    if federation is None:
        lines.append("federation none yet: securechan-relay adopt BUNDLE")
    else:
        lines.append(f"federation {federation['root'][:16]}…  trust position {federation['position']}")
        lines += [f"{expiry['state']:10} {expiry['text']}" for expiry in running["expiries"] if expiry["state"] != "ok"]
    lines.append("counts     " + "  ".join(f"{name} {count}" for name, count in sorted(running["counts"].items())))
    return "\n".join(lines)
