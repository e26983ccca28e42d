"""Trust keys: two kinds, each a TUF key type and a TUF signer.

    kind                    who holds them                                    signature
    securechan-root-pair    the holders of the root, m of n, offline          SLH-DSA-SHA2-192s + Ed25519
    securechan-composite    everybody else: federation, agencies, rosters,    ML-DSA-65 + Ed25519, context TUF
                            the publisher's online key

A key's id is the SHA-384 of its public bytes, the same hash that names device keys. It is checked when a key is read:
TUF counts key *ids* towards a threshold, and one key under two ids would count twice.

Importing this module registers the kinds with securesystemslib, whose dispatch python-tuf follows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from enum import StrEnum
from typing import Any, Final

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, SecretsHandler, Signature, Signer

from securechan.crypto import contexts
from securechan.crypto.root import ROOT
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, Scheme
from securechan.errors import Malformed, Misuse, SecurechanError


class Kind(StrEnum):
    """The two kinds of trust keys; the value is TUF's ``keytype``."""

    COMPOSITE = "securechan-composite"
    ROOT_PAIR = "securechan-root-pair"

    @property
    def scheme(self) -> Scheme:
        """What signs and verifies."""
        return COMPOSITE if self is Kind.COMPOSITE else ROOT


def key_id(public: bytes) -> str:
    """96 hex digits: SHA-384 of the public key."""
    return hashlib.sha384(public).hexdigest()


def generate(kind: Kind) -> tuple[Secret, bytes]:
    """A fresh (private, public)."""
    return kind.scheme.generate()


class TrustKey(Key):
    """A public trust key. Raises Malformed or Invalid where ``public`` is no key of its kind."""

    def __init__(self, kind: Kind, public: bytes) -> None:
        kind.scheme.check_public(public)
        keyval = {"public": base64.b64encode(public).decode("ascii")}
        super().__init__(key_id(public), kind.value, kind.scheme.name, keyval)
        self.kind = kind
        self.public = public

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> TrustKey:
        """The key of a TUF document. Raises ValueError or TypeError, as python-tuf expects of a key type."""
        if set(key_dict) != {"keytype", "scheme", "keyval"} or set(key_dict["keyval"]) != {"public"}:
            raise ValueError("a trust key has a keytype, a scheme and a public value, nothing else")
        try:
            kind = Kind(key_dict["keytype"])
            public = base64.b64decode(key_dict["keyval"]["public"], validate=True)
            key = cls(kind, public)
        except (SecurechanError, binascii.Error) as error:
            raise ValueError(f"no trust key: {error}") from None
        if key.keyid != keyid or key.to_dict() != key_dict:
            raise ValueError("the key id is not the hash of the key")
        return key

    def to_dict(self) -> dict[str, Any]:
        """TUF's form."""
        return self._to_dict()

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Raises UnverifiedSignatureError, which python-tuf counts as "has not signed"."""
        try:
            self.kind.scheme.verify(self.public, contexts.TUF, data, bytes.fromhex(signature.signature))
        except (SecurechanError, ValueError, TypeError) as error:
            raise UnverifiedSignatureError(f"no signature by {self.keyid[:16]}: {error}") from None


class TrustSigner(Signer):
    """A private trust key that signs TUF documents."""

    def __init__(self, kind: Kind, private: bytes) -> None:
        self._key = kind.scheme.load(private)
        self._public = TrustKey(kind, self._key.public)

    @classmethod
    def generate(cls, kind: Kind) -> TrustSigner:
        """A signer with a fresh key."""
        return cls(kind, generate(kind)[0])

    @classmethod
    def from_private(cls, private: bytes) -> TrustSigner:
        """The signer of ``private``, whose length tells its kind (64 or 128 bytes). Raises Malformed."""
        for kind in Kind:
            if len(private) == kind.scheme.private_length:
                return cls(kind, private)
        raise Malformed(f"{len(private)} bytes are no private trust key", hint="choose the file that holds one")

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> TrustSigner:
        """Not offered: private keys come as bytes from the vault or a file, never by URI. Raises Misuse."""
        del priv_key_uri, public_key, secrets_handler
        raise Misuse("a trust signer is made of a private key, not of a URI")

    @property
    def public_key(self) -> TrustKey:
        """The public half."""
        return self._public

    @property
    def keyid(self) -> str:
        """96 hex digits."""
        return self._public.keyid

    @property
    def public(self) -> bytes:
        """The public key's bytes."""
        return self._public.public

    def sign(self, payload: bytes) -> Signature:
        """A signature, context TUF."""
        made = self._public.kind.scheme.sign(self._key, contexts.TUF, payload)
        return Signature(self.keyid, made.hex())

    def __repr__(self) -> str:
        return f"TrustSigner({self._public.kind.value}, {self.keyid[:16]})"


_KINDS: Final = {(kind.value, kind.scheme.name): TrustKey for kind in Kind}
KEY_FOR_TYPE_AND_SCHEME.update(_KINDS)
