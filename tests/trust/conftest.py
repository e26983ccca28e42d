"""The federation that the trust tests start from."""

from __future__ import annotations

import pytest

from tests.support.federation import World


@pytest.fixture
def world() -> World:
    """Two agencies, cert-hr and cert-lt, one relay that publishes, no devices."""
    return World()
