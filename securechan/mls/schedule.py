"""RFC 9420 §8: the key schedule: from the last epoch's init secret and the commit's secret to all secrets of an epoch.

init_secret[n-1], commit_secret ─► joiner_secret, psk_secret ─► welcome_secret
                                                             └► epoch_secret ─► sender data, encryption, exporter, …
"""

from __future__ import annotations

from dataclasses import dataclass

from securechan.codec import Opaque, Struct
from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen
from securechan.mls.context import GroupContext
from securechan.mls.labels import SecretBytes, derive_secret, expand_with_label

_EXTERNAL_LABEL = b"MLS 1.0 external init secret"


def joiner_secret(suite: Suite, init_secret: bytes, commit_secret: bytes, context: bytes) -> Secret:
    """§8: what a Welcome hands to those who join; ``context`` is the encoded GroupContext of the new epoch."""
    return expand_with_label(suite, suite.extract(init_secret, commit_secret), "joiner", context, suite.hash_length)


@dataclass(frozen=True, slots=True)
class Intermediate:
    """§8: the joiner secret with the pre-shared keys mixed in: the way to the Welcome and to the epoch."""

    suite: Suite
    secret: Secret

    @classmethod
    def of(cls, suite: Suite, joiner: bytes, psk: bytes) -> Intermediate:
        return cls(suite, suite.extract(joiner, psk))

    @property
    def welcome_secret(self) -> Secret:
        return derive_secret(self.suite, self.secret, "welcome")

    def epoch_secret(self, context: bytes) -> Secret:
        return expand_with_label(self.suite, self.secret, "epoch", context, self.suite.hash_length)


class ExternalPub(Struct):
    """§12.4.3.2: the content of an ``external_pub`` extension."""

    external_pub: Opaque


class EpochSecrets(Struct):
    """§8, table 4: the secrets of an epoch, Nh bytes each; the ratchets consume the encryption secret."""

    sender_data: SecretBytes
    exporter: SecretBytes
    external: SecretBytes
    confirmation_key: SecretBytes
    membership_key: SecretBytes
    resumption_psk: SecretBytes
    epoch_authenticator: SecretBytes
    init: SecretBytes


def derive_epoch(suite: Suite, epoch_secret: bytes) -> tuple[EpochSecrets, Secret]:
    """§8: (the epoch's secrets, its encryption secret)."""

    def derived(label: str) -> Secret:
        return derive_secret(suite, epoch_secret, label)

    secrets = EpochSecrets(
        sender_data=derived("sender data"),
        exporter=derived("exporter"),
        external=derived("external"),
        confirmation_key=derived("confirm"),
        membership_key=derived("membership"),
        resumption_psk=derived("resumption"),
        epoch_authenticator=derived("authentication"),
        init=derived("init"),
    )
    return secrets, derived("encryption")


def confirmation_tag(suite: Suite, secrets: EpochSecrets, confirmed_transcript_hash: bytes) -> bytes:
    """§6.1: shows that the committer derived the new epoch."""
    return suite.mac(secrets.confirmation_key, confirmed_transcript_hash)


def check_confirmation_tag(suite: Suite, secrets: EpochSecrets, context: GroupContext, tag: bytes) -> None:
    """§12.4.2. Raises `CannotOpen`."""
    try:
        suite.verify_mac(secrets.confirmation_key, context.confirmed_transcript_hash, tag)
    except CannotOpen:
        raise CannotOpen("the confirmation tag is not that of the epoch derived") from None


def export(suite: Suite, exporter_secret: bytes, label: str, context: bytes, length: int) -> Secret:
    """§8.5: ``MLS-Exporter``, ``length`` bytes."""
    derived = derive_secret(suite, exporter_secret, label)
    return expand_with_label(suite, derived, "exported", suite.hash(context), length)


def external_key(suite: Suite, external_secret: bytes) -> KemKey:
    """§8.3: the key pair to which an external commit encapsulates."""
    return suite.hpke.kem.derive_key(external_secret)


def external_init(suite: Suite, external_pub: bytes) -> tuple[bytes, Secret]:
    """§8.3: (kem_output, init secret) by one who joins from outside."""
    return suite.hpke.send_export(external_pub, b"", _EXTERNAL_LABEL, suite.hash_length)


def follow_external_init(suite: Suite, secrets: EpochSecrets, kem_output: bytes) -> Secret:
    """§8.3: the init secret that the joiner chose."""
    key = external_key(suite, secrets.external)
    return suite.hpke.receive_export(key, kem_output, b"", _EXTERNAL_LABEL, suite.hash_length)
