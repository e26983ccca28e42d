"""A consent is worth exactly what it says, to whom it says it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from securechan.bulletin.consent import Consent, SignedConsent, covers, sign_consent
from securechan.bulletin.tlp import Tlp
from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, Denied, Malformed, Misuse

KEY, PUBLIC = COMPOSITE.generate()
OTHER = COMPOSITE.generate()
NOW = 1_795_000_000
CONSENT = Consent(
    "cert-hr",
    "SC-2026-0117-k3vq7a",
    Tlp.AMBER_STRICT,
    b"c" * 32,
    "cert-si",
    ("cert-fr", "cert-si"),
    NOW + 60,
    "desk@cert-hr",
    "cert-hr/desk-1",
    hashlib.sha384(PUBLIC).digest(),
    NOW,
)
ASKED = {
    "issuer": "cert-hr",
    "bulletin": "SC-2026-0117-k3vq7a",
    "label": Tlp.AMBER,
    "conversation": b"c" * 32,
    "forwarder": "cert-si",
    "agencies": ("cert-fr", "cert-hr", "cert-si"),
    "now": NOW,
}


def test_it_is_signed_by_the_issuers_own_and_verified_by_anyone() -> None:
    signed = sign_consent(CONSENT, KEY)
    again = SignedConsent.decode(signed.encode())
    assert again.claim == CONSENT
    assert again.verify(PUBLIC) == CONSENT
    with pytest.raises(BadSignature, match="another signature key"):
        again.verify(OTHER[1])
    with pytest.raises(Misuse):
        sign_consent(CONSENT, OTHER[0])
    with pytest.raises(Misuse):
        sign_consent(replace(CONSENT, issuer="cert-si"), KEY)


@pytest.mark.parametrize("context", [contexts.BULLETIN, contexts.REQUEST, contexts.RECEIPT])
def test_no_other_signature_is_a_consent(context: bytes) -> None:
    encoded = CONSENT.encode()
    with pytest.raises(BadSignature):
        SignedConsent(encoded, COMPOSITE.sign(KEY, context, encoded)).verify(PUBLIC)


def test_no_byte_of_it_may_change() -> None:
    signed = sign_consent(CONSENT, KEY)
    for at in range(0, len(signed.consent), 7):
        altered = bytearray(signed.consent)
        altered[at] ^= 1
        with pytest.raises((BadSignature, Malformed)):
            replace(signed, consent=bytes(altered)).verify(PUBLIC)


def test_it_covers_what_it_says() -> None:
    covers(CONSENT, **ASKED)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "cert-fr"},
        {"bulletin": "SC-2026-0118-k3vq7a"},
        {"label": Tlp.RED},
        {"conversation": b"d" * 32},
        {"forwarder": "cert-fr"},
        {"agencies": ("cert-si", "cert-at")},
        {"now": NOW + 60},
    ],
)
def test_and_nothing_else(changed: dict[str, object]) -> None:
    with pytest.raises(Denied) as denied:
        covers(CONSENT, **{**ASKED, **changed})
    assert denied.value.code == "tlp-denied"
    assert "ask-consent" in denied.value.hint
