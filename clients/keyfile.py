"""Trust keys as files: the private half under its own passphrase, the public half to pass on.

    root-1.key   0600   {"kind":"securechan private key", "use", "name", "public", "locked"}
    root-1.pub          {"kind":"securechan public key", "use", "name", "public"}

A holder makes both on a machine of their own and gives away the ``.pub``. What a key is for is bound to the passphrase
that opens it, so that nobody can pass off a roster's key as the root's.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from clients.files import read, write_private
from clients.locked import COST, Locked
from clients.passphrase import Passphrases
from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Conflict, Invalid, Malformed, NotReady
from securechan.trust import strict
from securechan.trust.keys import Kind, TrustKey, TrustSigner, generate, key_id
from securechan.trust.parcels import b64, load_file
from securechan.wire.handshake import OfficeCredential

MAX_FILE: Final = 1 << 20
_PRIVATE: Final = "securechan private key"
_PUBLIC: Final = "securechan public key"


class Use(StrEnum):
    """What a trust key signs."""

    ROOT = "root"
    TARGETS = "targets"
    AUTHORITY = "authority"
    ROSTER = "roster"

    @property
    def kind(self) -> Kind:
        return Kind.ROOT_PAIR if self is Use.ROOT else Kind.COMPOSITE

    @property
    def words(self) -> str:
        """For people."""
        return {
            Use.ROOT: "the federation's root",
            Use.TARGETS: "the federation's administrators",
            Use.AUTHORITY: "an agency's authority",
            Use.ROSTER: "an agency's roster",
        }[self]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that is given away."""

    use: Use
    name: str
    public: bytes

    @property
    def keyid(self) -> str:
        """96 hex digits."""
        return key_id(self.public)

    def encode(self) -> bytes:
        """JSON for a file."""
        return strict.dump(
            {"kind": _PUBLIC, "v": 1, "use": self.use.value, "name": self.name, "public": _b64(self.public)}
        )

    @classmethod
    def load(cls, path: Path, use: Use) -> PublicKey:
        """A ``.pub`` file, or the public half of a ``.key`` file. Raises NotFound, Malformed, Invalid where it is for
        another use."""
        content = read(path, MAX_FILE)
        kind = _PRIVATE if _PRIVATE.encode() in content[:MAX_FILE] else _PUBLIC
        return _public(load_file(content, kind), path, use)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A private key as it lies on the disk: locked."""

    public: PublicKey
    locked: Locked
    path: Path

    @classmethod
    def make(cls, path: Path, use: Use, name: str, passphrase: str) -> KeyFile:
        """Make a key, write it to ``path`` and its public half beside it (``.pub``). Raises Conflict where there is
        one, NotReady where it can't be written."""
        beside = path.with_suffix(".pub")
        if path == beside:
            raise Invalid(f"{path} would hold both halves of a key", hint="name it .key", code="usage")
        for there in (path, beside):
            if there.exists():
                raise Conflict(f"there is a file {there} already", hint="move it away, or name another")
        private, public = generate(use.kind)
        half = PublicKey(use, name, public)
        locked = Locked.lock(private, passphrase, purpose=_purpose(half), cost=COST)
        entry: Mapping[str, object] = {
            "kind": _PRIVATE,
            "v": 1,
            "use": use.value,
            "name": name,
            "public": _b64(public),
            "locked": _b64(locked.encode()),
        }
        write_private(path, strict.dump(entry))
        write_private(beside, half.encode())
        beside.chmod(0o644)
        return cls(half, locked, path)

    @classmethod
    def load(cls, path: Path, *uses: Use) -> KeyFile:
        """The key at ``path``; its ``use`` must be one of ``uses``, if any are named. Raises NotFound, NotReady where
        others may read it, Malformed, Invalid."""
        content = read(path, MAX_FILE)
        if _PRIVATE.encode() not in content and _PUBLIC.encode() in content:
            raise Invalid(
                f"{path} is the public half of a key, and only the private one signs",
                hint=f"name the private half: {path.with_suffix('.key')}",
                code="wrong-key",
            )
        if path.stat().st_mode & 0o077:
            raise NotReady(f"others may read the key {path}", hint=f"chmod 600 {path}", code="exposed")
        value = load_file(content, _PRIVATE)
        public = _public(value, path, *uses)
        return cls(public, Locked.decode(b64(value.get("locked"))), path)

    def unlock(self, passphrases: Passphrases) -> TrustSigner:
        """What signs with it. Raises NotReady for a wrong or no passphrase, CannotOpen for a file that was altered."""
        return TrustSigner(self.public.use.kind, self.private(passphrases))

    def office(self, role: str, passphrases: Passphrases) -> OfficeCredential:
        """For a handshake as a holder of the trust role ``role``. Raises as `unlock`."""
        return OfficeCredential(role, self.public.keyid, self.private(passphrases), self.public.public)

    def private(self, passphrases: Passphrases) -> Secret:
        """The private key itself. Raises as `unlock`."""
        private = passphrases.opening(
            f"{self.path.name}, a key of {self.public.use.words}",
            lambda passphrase: self.locked.unlock(passphrase, purpose=_purpose(self.public)),
        )
        if self.public.use.kind.scheme.public(private) != self.public.public:
            raise CannotOpen(f"{self.path} holds two different keys: it was altered", code="corrupt")
        return private


def _public(value: Mapping[str, strict.Json], path: Path, *uses: Use) -> PublicKey:
    try:
        use = Use(str(value.get("use")))
    except ValueError:
        raise Malformed(f"{path}: a key for an unknown use") from None
    if uses and use not in uses:
        wanted = " or ".join(found.words for found in uses)
        raise Invalid(f"{path} is a key of {use.words}", hint=f"name one of {wanted}", code="wrong-key")
    name = value.get("name")
    if not isinstance(name, str) or not name.isprintable() or len(name) > 120:
        raise Malformed(f"{path}: a key without a proper name")
    public = b64(value.get("public"))
    TrustKey(use.kind, public)
    return PublicKey(use, name, public)


def _purpose(half: PublicKey) -> bytes:
    return b"trust key " + half.use.value.encode() + b" " + bytes.fromhex(half.keyid)


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
