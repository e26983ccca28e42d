"""The self-test: green on a sound installation, and able to fail on one that isn't."""

from __future__ import annotations

from typing import NoReturn

import pytest

from securechan.crypto import kem, second, selftest
from securechan.crypto.hpke import Hpke
from securechan.crypto.signature import Scheme


def test_this_installation_is_sound() -> None:
    checks = selftest.selftest()
    assert [check.name for check in checks if not check.ok] == []
    assert {check.name for check in checks} >= {"ML-KEM-768", "ML-KEM-1024", "ML-DSA-65", "ML-DSA-65+Ed25519"}
    assert all(check.detail for check in checks)


def _result(name: str) -> selftest.Check:
    return next(check for check in selftest.selftest() if check.name == name)


def test_a_second_implementation_that_disagrees_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = second.kem("ml_kem_768")

    class Wrong:
        keygen, encaps = staticmethod(real.keygen), staticmethod(real.encaps)

        @staticmethod
        def decaps(private: bytes, enc: bytes) -> bytes:
            return bytes(32)

    monkeypatch.setattr(second, "kem", lambda name: Wrong)
    check = _result("ML-KEM-768")
    assert not check.ok
    assert "otherwise than pqcrypto decapsulates" in check.detail


def test_another_known_answer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(selftest._KNOWN, kem.MLKEM768_X25519.name, "00" * 32)
    assert _result("MLKEM768-X25519").detail == "the known public key differs"


def test_a_scheme_that_verifies_anything_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheme, "verify", lambda *args: None)
    found = {check.name: check for check in selftest.selftest()}
    for name in ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "ML-DSA-65+Ed25519", "SLH-DSA-SHA2-192s+Ed25519"):
        assert not found[name].ok
        assert "takes what was altered" in found[name].detail


def test_a_missing_library_is_a_finding_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> NoReturn:
        raise ModuleNotFoundError("No module named 'pqcrypto.sign'")

    monkeypatch.setattr(second, "signature", gone)
    check = _result("ML-DSA-65")
    assert not check.ok
    assert check.detail == "ModuleNotFoundError: No module named 'pqcrypto.sign'"


def test_a_second_implementation_that_verifies_anything_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = second.signature

    class Lax:
        def __init__(self, name: str) -> None:
            self.keygen, self.sign = real(name).keygen, real(name).sign

        def verify(self, *args: object) -> None:
            return None

    monkeypatch.setattr(second, "signature", Lax)
    assert _result("ML-DSA-65").detail == "pqcrypto takes an altered message"


def test_hpke_that_opens_anything_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hpke, "open", lambda *args: b"plaintext")
    assert _result("HPKE hybrid").detail == "what was altered opens"
