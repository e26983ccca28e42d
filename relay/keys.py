"""The relay's own keys, in its folder: KEM keys that clients encapsulate to, and the online key that signs heads.

    keys/kem-<key id>.json     X-Wing seed; the newest is on the card, older ones still open sessions until removed
    keys/online.json           ML-DSA-65 + Ed25519 seeds: signs heads, and snapshot and timestamp where it publishes
    card.json                  what others may know: name, address, public keys; served at /card

Files are 0600 in a folder of 0700, and one that others can read is refused.
"""

from __future__ import annotations

import base64
import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from securechan.crypto.kem import MLKEM768_X25519, KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.errors import Conflict, NotReady
from securechan.wire.handshake import key_id

FOLDER: Final = "keys"
ONLINE: Final = "online.json"
CARD: Final = "card.json"
BUNDLE: Final = "federation.json"  # the federation that it serves, once adopted
DATABASE: Final = "relay.db"  # the embedded store
SOCKET: Final = "relay.sock"  # where the running relay answers its owner


@dataclass(frozen=True, slots=True)
class Keys:
    """``kem`` holds every KEM key by its id (16 bytes); ``newest`` is the one on the card."""

    kem: Mapping[bytes, KemKey]
    newest: KemKey
    online: SigningKey

    def card(self, name: str, url: str) -> dict[str, Any]:
        """What ``card.json`` and GET /card say; keys in base64, key ids in hex."""
        return {
            "v": 1,
            "name": name,
            "url": url,
            "key_id": key_id(self.newest.public).hex(),
            "kem": base64.b64encode(self.newest.public).decode(),
            "online": base64.b64encode(self.online.public).decode(),
        }


def write_private(path: Path, content: bytes) -> None:
    """A new file that only its owner can read, there whole or not at all. Raises `Conflict` where it exists."""
    aside = _aside(path, content)
    try:
        os.link(aside, path)
    except FileExistsError:
        raise Conflict(f"{path} exists already") from None
    finally:
        aside.unlink()


def replace(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of ``path``, whole or not at all; where it is there already, nothing is written, so
    that a relay starts on a full disk. Raises `NotReady` where there is no room."""
    try:
        if path.exists() and path.read_bytes() == content:
            return
        _aside(path, content).replace(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise NotReady(f"no room left on the disk for {path}", hint="free some space, then start it again") from None


def _aside(path: Path, content: bytes) -> Path:
    """``content`` on the disk under a name beside ``path`` that nobody looks for."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            if os.geteuid() == 0:  # root adopts and rotates for a relay that runs as somebody else
                folder = path.parent.stat()
                os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        aside.unlink()
        raise
    return aside


def make_home(home: Path) -> None:
    """The folder of a relay, and in it the folder of its keys: 0700."""
    (home / FOLDER).mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (home, home / FOLDER):
        folder.chmod(0o700)


def make_kem(home: Path, now: int) -> KemKey:
    """Add a KEM key; it becomes the newest. ``now`` in Unix seconds."""
    private, public = MLKEM768_X25519.generate()
    others = (_read(home / FOLDER / other, MLKEM768_X25519.private_length)[1] for other in kem_names(home))
    now = max([now, *(made + 1 for made in others)])  # whatever the clock says, it is the newest
    name = f"kem-{key_id(public).hex()}.json"
    _write(home / FOLDER / name, "MLKEM768-X25519", private, now)
    return MLKEM768_X25519.load(private)


def kem_names(home: Path) -> frozenset[str]:
    """The names of the KEM key files: cheap to look at, and telling when keys come and go."""
    return frozenset(path.name for path in (home / FOLDER).glob("kem-*.json"))


def drop_kem(home: Path) -> tuple[str, ...]:
    """Remove every KEM key but the newest; the key ids (hex) of those that went."""
    held = load(home)
    gone = tuple(ident.hex() for ident in held.kem if ident != key_id(held.newest.public))
    for ident in gone:
        (home / FOLDER / f"kem-{ident}.json").unlink()
    return gone


def make(home: Path, now: int) -> Keys:
    """The keys of a new relay. Raises `Conflict` where there are some."""
    make_home(home)
    if exist(home):
        raise Conflict(f"{home / FOLDER} holds keys already", hint="a relay keeps its keys; use another --home")
    private, _ = COMPOSITE.generate()
    _write(home / FOLDER / ONLINE, "ML-DSA-65+Ed25519", private, now)
    make_kem(home, now)
    return load(home)


def exist(home: Path) -> bool:
    return (home / FOLDER / ONLINE).exists()


def load(home: Path) -> Keys:
    """The keys in ``home``. Raises `NotReady` where they are missing, open to others or damaged."""
    folder = home / FOLDER
    if not exist(home):
        raise NotReady(f"{folder} holds no keys", hint="make them with: securechan-relay init")
    online, _ = _read(folder / ONLINE, COMPOSITE.private_length)
    kems: list[tuple[int, KemKey]] = []
    for path in folder.glob("kem-*.json"):
        private, created = _read(path, MLKEM768_X25519.private_length)
        kems.append((created, MLKEM768_X25519.load(private)))
    if not kems:
        raise NotReady(f"{folder} holds no KEM key", hint="restore the folder from its backup, or start a new relay")
    newest = max(kems, key=lambda made: (made[0], made[1].public))[1]
    return Keys({key_id(key.public): key for _, key in kems}, newest, COMPOSITE.load(online))


def _write(path: Path, kind: str, private: Secret, now: int) -> None:
    data = {"v": 1, "kind": kind, "created": now, "private": private.hex()}
    write_private(path, json.dumps(data).encode() + b"\n")


def _read(path: Path, size: int) -> tuple[Secret, int]:
    if path.stat().st_mode & 0o077:
        raise NotReady(f"{path} can be read by others", hint=f"chmod 600 {path}, and consider the key known")
    try:
        data = json.loads(path.read_bytes())
        private, created = Secret(bytes.fromhex(data["private"])), int(data["created"])
    except (ValueError, KeyError, TypeError):
        raise NotReady(f"{path} is damaged", hint="restore it from its backup") from None
    if len(private) != size:
        raise NotReady(f"{path} holds {len(private)} bytes where {size} belong", hint="restore it from its backup")
    return private, created
