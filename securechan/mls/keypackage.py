"""RFC 9420 §10: the key package, an offer to be added, and the bundle of private keys that its owner keeps for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from securechan.codec import U16, Kept, Opaque, Struct, write_vector
from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import Invalid, Misuse
from securechan.mls.extensions import Extension, Extensions
from securechan.mls.grease import extension as grease_extension
from securechan.mls.grease import greased
from securechan.mls.labels import ref_hash, sign_with_label, verify_with_label
from securechan.mls.nodes import BasicCredential, Capabilities, Credential, LeafNode, Lifetime, X509Credential
from securechan.mls.registry import (
    DEFAULT_EXTENSIONS,
    DEFAULT_PROPOSALS,
    CredentialType,
    LeafNodeSource,
    ProtocolVersion,
)
from securechan.mls.rules import Rule

DEFAULT_LIFETIME: Final = 28 * 86400  # seconds; other implementations refuse more than about three months
CLOCK_SKEW: Final = 3600  # seconds by which a fresh key package predates itself, for readers whose clocks are behind
LAST_RESORT: Final = 0x000A  # the extension of draft-ietf-mls-extensions: may be used more than once


class KeyPackage(Kept):
    """§10."""

    version: ProtocolVersion
    cipher_suite: U16
    init_key: Opaque
    leaf_node: LeafNode
    extensions: Extensions
    signature: Opaque

    def to_be_signed(self) -> bytes:
        """§10: ``KeyPackageTBS``: all but the signature."""
        signature = bytearray()
        write_vector(signature, self.signature)
        return self.encode()[: -len(signature)]

    def reference(self, suite: Suite) -> bytes:
        """§5.2: ``KeyPackageRef``."""
        return ref_hash(suite, "MLS 1.0 KeyPackage Reference", self.encode())

    @property
    def is_last_resort(self) -> bool:
        return any(extension.kind == LAST_RESORT for extension in self.extensions)

    def verify(self, suite: Suite) -> None:
        """§10.1: suite, signature, and that the init key is its own. Raises `Invalid`, `BadSignature`.

        There is one version, so one of another doesn't parse.
        """
        if self.cipher_suite != suite.number:
            raise Invalid(f"a key package of suite {self.cipher_suite:#06x} in {suite.name}", rule=Rule.PACKAGE_SUITE)
        if self.leaf_node.source is not LeafNodeSource.KEY_PACKAGE:
            raise Invalid("the leaf of a key package isn't made for one", rule=Rule.SOURCE_KEY_PACKAGE)
        if self.init_key == self.leaf_node.encryption_key:
            raise Invalid("a key package's init key is its encryption key too", rule=Rule.INIT_KEY)
        verify_with_label(suite, self.leaf_node.signature_key, "KeyPackageTBS", self.to_be_signed(), self.signature)


@dataclass(frozen=True, slots=True)
class LeafKeys:
    """Who a member is: its credential, and the private signature key that goes with it; one that is loaded already
    spares each use of it the loading, a tenth of what a key package costs."""

    signature_private: bytes | SigningKey
    credential: BasicCredential | X509Credential


class _Bundle(Struct):
    key_package: KeyPackage
    init_private: Opaque
    encryption_private: Opaque
    signature_private: Opaque


@dataclass(frozen=True, slots=True)
class KeyPackageBundle:
    """A key package with its private keys. Use it for one join, then erase it (but for a last resort)."""

    key_package: KeyPackage
    init_private: Secret
    encryption_private: Secret
    signature_private: Secret

    def reference(self, suite: Suite) -> bytes:
        """The KeyPackageRef by which a Welcome calls it."""
        return self.key_package.reference(suite)

    def encode(self) -> bytes:
        """For the vault: this holds private keys."""
        return _Bundle(self.key_package, self.init_private, self.encryption_private, self.signature_private).encode()

    @classmethod
    def decode(cls, data: bytes) -> KeyPackageBundle:
        """From the vault. Raises `Malformed`."""
        kept = _Bundle.decode(data)
        return cls(
            kept.key_package,
            Secret(kept.init_private),
            Secret(kept.encryption_private),
            Secret(kept.signature_private),
        )


def capabilities_for(
    suite: Suite, extensions: tuple[Extension, ...] = (), also: Capabilities | None = None
) -> Capabilities:
    """What our leaves declare: this version and suite, basic credentials, and the extension types given."""
    kinds = {extension.kind for extension in extensions} - DEFAULT_EXTENSIONS  # §7.2: defaults must not be listed
    if also is not None:
        kinds |= set(also.extensions) - DEFAULT_EXTENSIONS
        proposals = tuple(kind for kind in also.proposals if kind not in DEFAULT_PROPOSALS)
        return Capabilities(also.versions, also.cipher_suites, tuple(sorted(kinds)), proposals, also.credentials)
    return Capabilities((ProtocolVersion.MLS10,), (suite.number,), tuple(sorted(kinds)), (), (CredentialType.BASIC,))


def new_leaf(
    suite: Suite,
    key: bytes | SigningKey,
    credential: BasicCredential | X509Credential,
    encryption_key: bytes,
    lifetime: Lifetime,
    *,
    extensions: tuple[Extension, ...] = (),
    capabilities: Capabilities | None = None,
) -> LeafNode:
    """§7.2: a leaf as key packages and new groups carry it, signed."""
    shown, able = Credential.of(credential), capabilities_for(suite, extensions, capabilities)
    if shown.kind not in able.credentials:
        able = Capabilities(
            able.versions, able.cipher_suites, able.extensions, able.proposals, (*able.credentials, shown.kind)
        )
    return LeafNode(
        encryption_key,
        suite.signature.public(key),
        shown,
        able,
        LeafNodeSource.KEY_PACKAGE,
        lifetime,
        extensions,
        b"",
    ).signed(suite, key)


def new_key_package(
    suite: Suite,
    keys: LeafKeys,
    *,
    now: int,
    lifetime: int = DEFAULT_LIFETIME,
    extensions: tuple[Extension, ...] = (),
    leaf_extensions: tuple[Extension, ...] = (),
    capabilities: Capabilities | None = None,
    last_resort: bool = False,
    grease: bool = False,
) -> KeyPackageBundle:
    """A fresh key package: ``now`` and ``lifetime`` in unix seconds; ``grease`` adds values that mean nothing (§13.5).

    Raises `Misuse` for a lifetime without length.
    """
    if lifetime <= 0:
        raise Misuse(f"a key package can't live {lifetime} seconds")
    if last_resort and all(extension.kind != LAST_RESORT for extension in extensions):
        extensions = (*extensions, Extension(LAST_RESORT, b""))
    if grease:
        extensions = (*extensions, grease_extension(suite))
        leaf_extensions = (*leaf_extensions, grease_extension(suite))
    able = capabilities_for(suite, (*extensions, *leaf_extensions), capabilities)
    key = suite.signature.load(keys.signature_private)
    init, encryption = suite.hpke.kem.generate(), suite.hpke.kem.generate()
    leaf = new_leaf(
        suite,
        key,
        keys.credential,
        encryption[1],
        Lifetime(max(0, now - CLOCK_SKEW), now + lifetime),
        extensions=leaf_extensions,
        capabilities=greased(suite, able) if grease else able,
    )
    unsigned = KeyPackage(ProtocolVersion.MLS10, suite.number, init[1], leaf, extensions, b"")
    signature = sign_with_label(suite, key, "KeyPackageTBS", unsigned.to_be_signed())
    package = KeyPackage(ProtocolVersion.MLS10, suite.number, init[1], leaf, extensions, signature)
    return KeyPackageBundle(package, init[0], encryption[0], key.private)
