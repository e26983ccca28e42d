"""§8.2: the official vectors of the transcript hashes."""

from __future__ import annotations

import pytest

from securechan.mls.framing import AuthenticatedContent
from securechan.mls.transcript import confirmed_hash, interim_hash
from tests.support.mls import RFC_SUITES, of_suite, unhex


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_vectors(number: int) -> None:
    for suite, case in of_suite("transcript-hashes", number):
        message = AuthenticatedContent.decode(unhex(case["authenticated_content"]))
        assert message.encode() == unhex(case["authenticated_content"])
        confirmed = confirmed_hash(suite, unhex(case["interim_transcript_hash_before"]), message)
        assert confirmed == unhex(case["confirmed_transcript_hash_after"])
        tag = message.auth.confirmation_tag
        assert tag is not None
        assert interim_hash(suite, confirmed, tag) == unhex(case["interim_transcript_hash_after"])
        suite.verify_mac(unhex(case["confirmation_key"]), confirmed, tag)
