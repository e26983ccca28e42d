"""``make chaos``: relay, store and client are killed at random moments under load, and nothing is lost.

python -m tests.chaos [--rounds 100] [--nats-rounds 30] [--seed N] [sqlite] [nats]

Prints a table for each site and ends with 1 if anything was lost, shown twice, or told in two orders. The seed chooses
faults and moments; what the machine does between them is its own.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.play import play
from tests.chaos.sites import Nats, Site, Sqlite

SITES: dict[str, type[Site]] = {"sqlite": Sqlite, "nats": Nats}


def _tell(text: str) -> None:
    if sys.stdout.isatty():
        print(f"\r{text}", end="", flush=True)


def main() -> int:
    """Play what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Nothing is lost.")
    parser.add_argument("sites", nargs="*", metavar="sqlite|nats", help="both, where none is named")
    parser.add_argument("--rounds", type=int, default=100, help="faults of the relay on SQLite")
    parser.add_argument("--nats-rounds", type=int, default=30, help="faults of the cluster")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    asked = parser.parse_args()
    if unknown := set(asked.sites) - set(SITES):
        parser.error(f"no site called {', '.join(sorted(unknown))}: there are {', '.join(SITES)}")
    print(f"seed {asked.seed}")
    bad = 0
    for name in asked.sites or SITES:
        rounds = asked.nats_rounds if name == "nats" else asked.rounds
        chance, began = random.Random(asked.seed), time.monotonic()
        with (
            tempfile.TemporaryDirectory(prefix="securechan-chaos-", ignore_cleanup_errors=True) as folder,
            SITES[name](Path(folder), chance) as site,
        ):
            faults = [site.fault(number) for number in range(rounds)]
            reckoning = asyncio.run(play(site, faults, _tell))
        print(f"\n## {name}: {rounds} faults in {time.monotonic() - began:.0f} s\n\n| | |\n|---|---|")
        for fault, count in site.notes.items():
            print(f"| {fault} | {count} × |")
        for what, figure in reckoning.rows():
            print(f"| {what} | {figure} |")
        bad |= not reckoning.good
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
