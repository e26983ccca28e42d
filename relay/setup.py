"""What the operator does to a relay's folder: make it, give it its federation, rotate its key.

All of it works whether a relay runs on the folder or not; one that runs takes it up within a second.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from relay import keys as keyring
from relay import running
from relay.config import FILE, load
from securechan.errors import Conflict, NotFound, NotReady
from securechan.trust.bundle import Bundle
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.publisher import publish
from securechan.trust.view import View
from securechan.wire.chain import Position
from securechan.wire.handshake import key_id


def init(home: Path, *, name: str, url: str, host: str, port: int) -> dict[str, Any]:
    """Make folder, keys, relay.toml and card.json; returns the card. Raises `Conflict` where there are keys or a
    configuration, `Unfit` where a value can't be."""
    if (home / FILE).exists() or keyring.exist(home):
        raise Conflict(f"{home} holds a relay already", hint="use another --home")
    settings = load(home, environment={}, said={"name": name, "url": url, "host": host, "port": port})
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in (("name", name), ("url", url), ("host", host)) if value]
    text = "".join([*lines, f"port = {port}\n"])
    keyring.make_home(home)
    keyring.write_private(home / FILE, text.encode())
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
    except IsADirectoryError:
        raise NotReady(
            f"{bundle} is a folder", hint="name the bundle in it: federation.json", code="unreadable"
        ) from None
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
    record. Raises `NotReady` where there is no relay, `Conflict` where there are two keys already, or the newest is not
    published yet: devices come with the key that trust names, and nobody could any more. `Unreachable` where there is a
    key to drop and no relay runs that knows what is published.
    """
    keys, settings = keyring.load(home), load(home)
    gone: tuple[str, ...] = ()
    if drop:
        if len(keys.kem) > 1:
            _published(home, key_id(keys.newest.public).hex())
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


def _published(home: Path, newest: str) -> None:
    """Raises `Conflict` unless the federation names this key."""
    published = running.ask(home)["published"]
    if published is not None and newest not in published:
        raise Conflict(
            f"the federation has not published KEM key {newest}: without the old one nobody could come in",
            hint=f"have {home / keyring.CARD} published (securechan root add-relay); status tells when it is",
            code="not-published",
        )
