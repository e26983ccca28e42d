"""An originator's consent: that a bulletin may be read where its label alone would not let it.

    who holds it ──asks──► the issuer's desk, a person there ──signs──► SignedConsent ··· travels with the forward

It names one bulletin up to one label, one conversation, the agency that passes it on, and the agencies that may be
there; so it can't be used for a stricter revision, for another room, or by whoever reads the forward. It holds until a
time. Its signature is by a device of the issuer's desk under a context of its own, and stands for itself: whoever reads
the forward can judge it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Annotated, Final

from securechan.bulletin.findings import printable
from securechan.bulletin.payload import DeviceName, OfficerName
from securechan.bulletin.tlp import Tlp
from securechan.codec import U64, Struct, fixed, opaque, text, vec
from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.errors import BadSignature, Denied, Misuse

CONSENT_MAX: Final = 16 << 10  # bytes of a consent, encoded

AgencyName = Annotated[str, text(64)]


class Consent(Struct):
    """What is signed. Times are Unix seconds."""

    issuer: AgencyName
    bulletin: Annotated[str, text(32)]
    tlp: Tlp  # the strictest label that it covers
    conversation: Annotated[bytes, fixed(32)]  # where the bulletin may be read
    forwarder: AgencyName  # who may bring it there
    agencies: Annotated[tuple[AgencyName, ...], vec(8 << 10)]  # who may be there
    until: U64
    officer: OfficerName  # who consents
    device: DeviceName
    signer: Annotated[bytes, fixed(48)]  # SHA-384 of its signature public key
    time: U64


class SignedConsent(Struct):
    """A consent as it travels: nothing in it is believed yet."""

    consent: Annotated[bytes, opaque(CONSENT_MAX)]
    signature: Annotated[bytes, opaque(8192)]

    @property
    def claim(self) -> Consent:
        """What it says, unverified: to find the key. Raises `Malformed`."""
        return Consent.decode(self.consent)

    def verify(self, public: bytes) -> Consent:
        """Raises Malformed, BadSignature."""
        claim = self.claim
        if hashlib.sha384(public).digest() != claim.signer:
            raise BadSignature("the consent names another signature key than that of its device")
        COMPOSITE.verify(public, contexts.CONSENT, self.consent, self.signature)
        return claim


def sign_consent(consent: Consent, key: bytes | SigningKey) -> SignedConsent:
    """Raises Misuse where the key isn't the one that it names, or the device isn't the issuer's."""
    if hashlib.sha384(COMPOSITE.public(key)).digest() != consent.signer:
        raise Misuse("the consent names another signature key")
    if consent.device.partition("/")[0] != consent.issuer:
        raise Misuse("only the issuer's own devices consent in its name")
    encoded = consent.encode()
    return SignedConsent(encoded, COMPOSITE.sign(key, contexts.CONSENT, encoded))


def covers(
    consent: Consent,
    *,
    issuer: str,
    bulletin: str,
    label: Tlp,
    conversation: bytes,
    forwarder: str,
    agencies: Collection[str],
    now: int,
) -> None:
    """Whether a verified consent is for this very forward. Raises `Denied`."""
    beyond = sorted(set(agencies) - {*consent.agencies, issuer})
    for holds, what in (
        (consent.issuer == issuer and consent.device.partition("/")[0] == issuer, "is not the issuer's"),
        (consent.bulletin == bulletin, "is for another bulletin"),
        (label <= consent.tlp, f"is for {consent.tlp} at most"),
        (consent.conversation == conversation, "is for another conversation"),
        (consent.forwarder == forwarder, f"was given to {printable(consent.forwarder[:64])}"),
        (now < consent.until, "has run out"),
        (not beyond, f"does not name {', '.join(beyond[:5])}"),
    ):
        if not holds:
            raise Denied(
                f"the consent to forward {bulletin} {what}",
                hint=f"ask {issuer} for another: securechan bulletin ask-consent {bulletin}",
                code="tlp-denied",
            )
