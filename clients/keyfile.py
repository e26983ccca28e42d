"""Trust keys in files: one key, one file, one passphrase, so that each holder of a ceremony carries their own.

    root-1.key         the private key under a passphrase (Argon2id, AES-256-GCM: clients/locked.py)
    root-1.key.pub     its public half, for who assembles the ceremony

Both are JSON that says what the key is for. The private file authenticates all it says: kind, public half and key id
are bound into the lid, and after opening the private key is held against the public one.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from clients.locked import COST, Cost, Locked
from clients.profile import write_private
from securechan.crypto.signature import SigningKey
from securechan.errors import CannotOpen, Malformed, NotFound, NotReady, SecurechanError
from securechan.trust.keys import Kind, TrustKey, TrustSigner, generate, key_id

MAX_FILE: Final = 1 << 16  # bytes
KINDS: Final = {"root": Kind.ROOT_PAIR, "federation": Kind.COMPOSITE, "agency": Kind.COMPOSITE}
"""What a key is for → its kind. The federation's administrators, agencies and rosters sign with composite keys."""

_FORM: Final = "securechan trust key"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a trust key, as it is handed around."""

    kind: Kind
    public: bytes
    label: str

    @property
    def id(self) -> str:
        """96 hexadecimal digits: SHA-384 of the public key."""
        return key_id(self.public)

    def encode(self) -> bytes:
        """JSON for a ``.pub`` file."""
        return _dump(self.said())

    def said(self) -> dict[str, Any]:
        """What a file says of it."""
        public = base64.b64encode(self.public).decode()
        return {"form": _FORM, "v": 1, "kind": self.kind.value, "label": self.label, "id": self.id, "public": public}

    @classmethod
    def read(cls, path: Path) -> Self:
        """The public half in a ``.pub`` or ``.key`` file. Raises NotFound, Malformed, Invalid."""
        return cls.of(_load(path), path)

    @classmethod
    def of(cls, said: dict[str, Any], path: Path) -> Self:
        """What a file says, believed once its id is its hash. Raises Malformed, Invalid."""
        try:
            kind, public = Kind(said["kind"]), base64.b64decode(said["public"], validate=True)
            found = cls(kind, public, str(said["label"]))
            if said["id"] != found.id:
                raise ValueError("its id is not its hash")
        except (KeyError, ValueError, TypeError, binascii.Error) as e:
            raise Malformed(f"{path} holds no key: {e}", hint="it is made by: securechan root key") from e
        TrustKey(kind, public)  # a public key must be one
        return found


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A locked private key and its public half."""

    public: PublicKey
    locked: Locked

    @classmethod
    def make(cls, path: Path, kind: Kind, label: str, passphrase: str, *, cost: Cost = COST) -> Self:
        """A fresh key in ``path``, its public half beside it. Raises Conflict where there is a file already."""
        private, public = generate(kind)
        half = PublicKey(kind, public, label)
        made = cls(half, Locked.lock(private, passphrase, purpose=_purpose(half), cost=cost))
        locked = base64.b64encode(made.locked.encode()).decode()
        write_private(path, _dump({**half.said(), "locked": locked}))
        write_private(public_path(path), half.encode(), replace=True)
        return made

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises NotFound, Malformed; NotReady where others may read the file."""
        said = _load(path)
        half = PublicKey.of(said, path)
        try:
            locked = Locked.decode(base64.b64decode(said["locked"], validate=True))
        except KeyError:
            raise Malformed(
                f"{path} holds a public key only", hint="name the private key's file, the one without .pub"
            ) from None
        except (ValueError, TypeError, SecurechanError) as e:
            raise Malformed(f"{path} holds a damaged key", hint="restore it from a copy") from e
        if path.stat().st_mode & 0o077:
            raise NotReady(f"others may read the key in {path}", hint=f"chmod 600 {path}", code="exposed")
        return cls(half, locked)

    def unlock(self, passphrase: str) -> TrustSigner:
        """What signs with it. Raises NotReady (``wrong-passphrase``), CannotOpen."""
        private = self.locked.unlock(passphrase, purpose=_purpose(self.public))
        signer = TrustSigner(self.public.kind, private)
        if signer.public_key.public != self.public.public:
            raise CannotOpen("the private key in this file does not belong to its public key", code="corrupt")
        return signer

    def signing_key(self, passphrase: str) -> SigningKey:
        """The key itself, for a handshake as its office. Raises as `unlock`."""
        private = self.locked.unlock(passphrase, purpose=_purpose(self.public))
        return self.public.kind.scheme.load(private)


def public_path(path: Path) -> Path:
    """Where the public half of the key in ``path`` lies."""
    return path.with_name(path.name + ".pub")


def _purpose(half: PublicKey) -> bytes:
    return b"trust key " + json.dumps([half.kind.value, half.label, half.id]).encode()


def _dump(said: dict[str, Any]) -> bytes:
    return json.dumps(said, indent=1).encode() + b"\n"


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no key file {path}", hint="make one: securechan root key FILE") from None
    except OSError as e:
        raise NotReady(f"{path} can't be read: {e.strerror}", hint="check its permissions") from e
    try:
        said = json.loads(content) if len(content) <= MAX_FILE else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("form") != _FORM or said.get("v") != 1:
        raise Malformed(f"{path} is no key file of ours", hint="it is made by: securechan root key")
    return said
