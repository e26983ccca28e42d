"""One target in a process of its own: drive it for so many seconds of CPU, write down what it found.

    python -m tests.fuzz.worker TARGET --seconds 15 --report FILE [--seed N] [--plain]

atheris drives: libFuzzer with coverage of our bytecode, fed by the target's own form of altering where it has one.
`--plain` drives by chance alone, for machines that atheris has no wheel for.

A finding is an exception that escapes, more than `SLOW` seconds of CPU, or more than `GREEDY` MiB of memory for one
input. The run goes on after it, so that the next is found too; each is kept once (by where it was raised), its input
cut down as far as it still shows. Bounds that no run survives (a crash, `STUCK` seconds, `MAX_RSS` MiB) are libFuzzer's
to enforce: it ends the process, and the one that started it reports that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[2]
OURS: Final = ("securechan", "relay", "clients")
SLOW: Final = 2.0  # seconds of CPU for one input
STUCK: Final = 60  # seconds for one input until the process is ended
GREEDY: Final = 256  # MiB that one input may add to the most that the process ever had
MAX_RSS: Final = 2048  # MiB
LONGEST: Final = 1 << 18  # bytes of an input; more than any seed has
MINIMISING: Final = 5.0  # seconds of CPU spent on cutting down one finding


@dataclass
class Report:
    """What a run has to say. Written after each finding and at the end."""

    target: str
    seconds: float = 0.0
    executions: int = 0
    seeds: int = 0
    slowest: float = 0.0
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    driver: str = "atheris"

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.__dict__, indent=1))


def place(error: BaseException) -> str:
    """What was raised and where: the last frame that is ours, so that one fault is one finding."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(ROOT)]
    inside = [f for f in frames if Path(f.filename).relative_to(ROOT).parts[0] in OURS] or frames
    last = inside[-1] if inside else None
    where = "?" if last is None else f"{Path(last.filename).relative_to(ROOT)}:{last.lineno}"
    return f"{type(error).__name__} at {where}"


class Watch:
    """Runs inputs and judges how they went."""

    def __init__(self, run: Callable[[bytes], object], report: Report, path: Path, findings: Path) -> None:
        self._run, self._report, self._path, self._findings = run, report, path, findings

    def once(self, data: bytes) -> str | None:
        """One input; the name of what is wrong with it, if anything is."""
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        fault = None
        try:
            self._run(data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # whatever it is, it wasn't to come out
            fault = place(error)
            self._last = error
        took = time.process_time() - start
        self._report.slowest = max(self._report.slowest, took)
        if fault is None and took > SLOW:
            fault = f"more than {SLOW:.0f} s"
        elif fault is None and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss > GREEDY << 10:
            fault = f"more than {GREEDY} MiB"
        return fault

    def __call__(self, data: bytes) -> None:
        self._report.executions += 1
        fault = self.once(data)
        if fault is None or fault in self._report.findings:
            return
        error = getattr(self, "_last", None)
        text = "" if error is None or "more than" in fault else "".join(traceback.format_exception(error)[-6:])
        least = self.cut(data, fault)
        name = f"{self._report.target}-{hashlib.sha256(least).hexdigest()[:12]}"
        self._findings.mkdir(parents=True, exist_ok=True)
        (self._findings / name).write_bytes(least)
        self._report.findings[fault] = {"input": name, "bytes": len(least), "error": text}
        self._report.write(self._path)

    def cut(self, data: bytes, fault: str) -> bytes:
        """A shorter input with the same fault, as far as a few seconds go."""
        end = time.process_time() + MINIMISING
        size = len(data) // 2
        while size and time.process_time() < end:
            at = 0
            while at < len(data) and time.process_time() < end:
                shorter = data[:at] + data[at + size :]
                if self.once(shorter) == fault:
                    data = shorter
                else:
                    at += size
            size //= 2
        return data


def main() -> NoReturn:
    """Drive one target."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--findings", type=Path, default=ROOT / ".fuzz" / "findings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    said = parser.parse_args()
    warnings.simplefilter("ignore")
    if said.plain:
        by_chance(said)
    with_coverage(said)


def by_chance(said: argparse.Namespace) -> NoReturn:
    """Seeds, and what chance makes of them."""
    from tests.fuzz.mutation import plain
    from tests.fuzz.target import make

    target = make(said.target)
    report = Report(said.target, seeds=len(target.seeds), driver="chance")
    watch, random, start = Watch(target.run, report, said.report, said.findings), Random(said.seed), time.process_time()
    for data in target.seeds:
        watch(data)
    while (spent := time.process_time() - start) < said.seconds:
        watch(plain(target.seeds, target.form, random)[:LONGEST])
    report.seconds = spent
    report.write(said.report)
    sys.exit(bool(report.findings))


def with_coverage(said: argparse.Namespace) -> NoReturn:
    """libFuzzer, by way of atheris."""
    import atheris

    with atheris.instrument_imports(include=list(OURS), enable_loader_override=False):
        from tests.fuzz.target import make

        target = make(said.target)
    if max(map(len, target.seeds)) > LONGEST:
        raise SystemExit(f"a seed of {said.target} is longer than an input may be: nothing behind it would be reached")
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number, data in enumerate(target.seeds):
        (corpus / f"{number:04}").write_bytes(data)
    report = Report(said.target, seeds=len(target.seeds))
    watch, start = Watch(target.run, report, said.report, said.findings), time.process_time()

    def one(data: bytes) -> None:
        watch(data)
        spent = time.process_time() - start
        if spent >= said.seconds:
            report.seconds = spent
            report.write(said.report)
            sys.stderr.flush()
            os._exit(0)  # libFuzzer has no way to be asked to stop from inside

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if target.form is None or random.random() < 0.4:
            return atheris.Mutate(data, most)
        return target.form(data, random)[:most]

    options = [f"-seed={said.seed or 1}", f"-timeout={STUCK}", f"-rss_limit_mb={MAX_RSS}", f"-max_len={LONGEST}"]
    options += ["-len_control=0", f"-artifact_prefix={said.findings}/{said.target}-dead-", str(corpus)]
    said.findings.mkdir(parents=True, exist_ok=True)
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=mutate)
    atheris.Fuzz()
    raise AssertionError("libFuzzer came back")


if __name__ == "__main__":
    main()
