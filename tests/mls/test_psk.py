"""§8.4: the official vectors of pre-shared keys."""

from __future__ import annotations

import pytest

from securechan.mls.psk import ExternalPSK, PreSharedKeyID, psk_secret
from securechan.mls.registry import PSKType
from tests.support.mls import RFC_SUITES, of_suite, unhex


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_vectors(number: int) -> None:
    for suite, case in of_suite("psk_secret", number):
        psks = [
            (
                PreSharedKeyID(PSKType.EXTERNAL, ExternalPSK(unhex(psk["psk_id"])), unhex(psk["psk_nonce"])),
                unhex(psk["psk"]),
            )
            for psk in case["psks"]
        ]
        assert psk_secret(suite, psks) == unhex(case["psk_secret"])
