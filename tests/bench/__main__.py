"""``make bench``: every table of this folder, one after the other; name some to run only those.

python -m tests.bench [--json] [crypto mls relay channel peers load …]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run each ``bench_*.py`` in a process of its own, so that none warms up another."""
    there = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")] or there
    unknown = [name for name in wanted if name not in there]
    if unknown:
        print(f"error: no bench called {', '.join(unknown)}\nhint: there are {', '.join(there)}", file=sys.stderr)
        return 2
    codes = [
        subprocess.run([sys.executable, "-m", f"tests.bench.bench_{name}", *options], cwd=HERE.parents[1], check=False)
        for name in wanted
    ]
    return max(done.returncode for done in codes)


if __name__ == "__main__":
    sys.exit(main())
