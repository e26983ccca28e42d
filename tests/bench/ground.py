"""What the relay of a bench stores in: ``STORE=sqlite`` (what is meant where nothing is said), ``STORE=nats`` or
``STORE=nats-sync`` before ``make bench B=peers`` or ``B=load``.

    with standing() as ground:
        Crowd(folder, devices, ground.environment())       a relay with nothing in its store
        ground.mode                                        when its entries are durable, for the title
        ground.cpu()                                       of the servers beside it
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.cluster import Cluster

STORE: Final = os.environ.get("STORE", "sqlite")
MODES: Final = {
    "sqlite": "SQLite synchronous=FULL",
    "nats": "NATS R3, sync_interval 2m (the default: page cache)",
    "nats-sync": "NATS R3, sync_interval always",
}


class Ground:
    """A store for each relay that comes."""

    def __init__(self, cluster: Cluster | None, mode: str) -> None:
        self.mode = mode
        self._cluster = cluster
        self._numbers = itertools.count()

    def environment(self) -> dict[str, str]:
        """What the next relay is told."""
        return {} if self._cluster is None else self._cluster.environment(f"bench{next(self._numbers)}")

    def cpu(self) -> float:
        """CPU seconds of the servers that store, 0 where the relay does it itself."""
        return 0.0 if self._cluster is None else self._cluster.cpu()


@contextmanager
def standing() -> Iterator[Ground]:
    """The ground that `STORE` names."""
    if STORE not in MODES:
        raise SystemExit(f"error: no store called {STORE}\nhint: there are {', '.join(MODES)}")
    if STORE == "sqlite":
        yield Ground(None, MODES[STORE])
        return
    sync = "sync_interval: always" if STORE == "nats-sync" else ""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder), jetstream=sync) as cluster:
        yield Ground(cluster, MODES[STORE])
