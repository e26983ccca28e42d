"""All targets, one after the other, and a table of what came of it.

    python -m tests.fuzz                      each target for 15 s of CPU
    python -m tests.fuzz --seconds 60 wire.   those whose names begin so, for longer
    python -m tests.fuzz --replay FILE        one input that was kept, with everything that it raises

One process at a time and a nice one, so that the machine stays usable. Ends with 1 where anything was found; inputs lie
in ``.fuzz/findings``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.fuzz.target import make, names

ROOT: Final = Path(__file__).resolve().parents[2]
FINDINGS: Final = ROOT / ".fuzz" / "findings"
GRACE: Final = 900  # seconds of wall time beyond the budget until a worker is taken for hung
PROGRESS: Final = re.compile(r"cov: (\d+) ft: \d+ corp: (\d+)/")


@dataclass(frozen=True)
class Row:
    """One line of the table. ``edges`` and ``corpus`` are libFuzzer's, None where chance drove."""

    target: str
    executions: int
    seconds: float
    slowest: float
    edges: int | None
    corpus: int | None
    findings: tuple[str, ...]

    def cells(self) -> tuple[str, ...]:
        seen = ("–" if self.edges is None else str(self.edges), "–" if self.corpus is None else str(self.corpus))
        return (
            self.target,
            f"{self.executions:,}",
            f"{self.seconds:.0f}",
            f"{1000 * self.slowest:.0f}",
            *seen,
            str(len(self.findings)),
        )


HEAD: Final = ("target", "executions", "CPU s", "slowest ms", "edges", "corpus", "findings")


def work(name: str, seconds: float, seed: int, *, plain: bool) -> Row:
    """One worker, from start to end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report"
        command = [sys.executable, "-m", "tests.fuzz.worker", name, "--report", str(path), "--seconds", str(seconds)]
        command += ["--seed", str(seed), "--findings", str(FINDINGS), *(["--plain"] if plain else [])]
        started = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": folder},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=10 * seconds + GRACE,
                preexec_fn=lambda: os.nice(10),
                check=False,
            )
            said, ended = done.stderr, done.returncode
        except subprocess.TimeoutExpired as late:
            said, ended = str(late.stderr or ""), -1
        report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    progress = PROGRESS.findall(said)
    edges, corpus = map(int, progress[-1]) if progress else (None, None)
    findings = list(report.get("findings", {}))
    if not report.get("seconds"):
        findings.append(f"the worker ended with {ended} after {time.monotonic() - started:.0f} s: {said[-2000:]}")
    for fault, kept in report.get("findings", {}).items():
        print(f"  {name}: {fault} ({kept['bytes']} bytes: .fuzz/findings/{kept['input']})", file=sys.stderr)
        print(kept["error"], file=sys.stderr)
    return Row(
        name,
        report.get("executions", 0),
        report.get("seconds", 0.0),
        report.get("slowest", 0.0),
        edges,
        corpus,
        tuple(findings),
    )


def table(rows: list[Row]) -> str:
    """In Markdown, as README.md keeps it."""
    total = Row(
        "all",
        sum(row.executions for row in rows),
        sum(row.seconds for row in rows),
        max((row.slowest for row in rows), default=0.0),
        None,
        None,
        tuple(found for row in rows for found in row.findings),
    )
    lines = [HEAD, ("---", *("---:",) * (len(HEAD) - 1)), *(row.cells() for row in [*rows, total])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("prefixes", nargs="*", help="run only targets whose names begin so")
    parser.add_argument("--seconds", type=float, default=15.0, help="of CPU, for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="by chance alone, without atheris")
    parser.add_argument("--replay", type=Path, help="run one kept input; its file's name begins with its target's")
    parser.add_argument("--list", action="store_true")
    said = parser.parse_args()
    if said.replay:
        make(said.replay.name.split("-")[0]).run(said.replay.read_bytes())
        return 0
    chosen = [name for name in names() if not said.prefixes or name.startswith(tuple(said.prefixes))]
    if said.list:
        print("\n".join(chosen))
        return 0
    plain = said.plain or importlib.util.find_spec("atheris") is None
    if plain:
        print("by chance alone: no coverage guides this run", file=sys.stderr)
    rows = []
    for name in chosen:
        rows.append(work(name, said.seconds, said.seed, plain=plain))
        print("  ".join(rows[-1].cells()), file=sys.stderr, flush=True)
        for found in rows[-1].findings:
            print(f"  FOUND {found}", file=sys.stderr, flush=True)
    print(table(rows))
    return 1 if any(row.findings for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
