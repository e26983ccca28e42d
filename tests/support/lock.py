"""Renew ``requirements.txt`` and ``requirements-dev.txt``: exact versions with the hashes of every file of them.

``requirements.txt`` holds what is shipped and the build backend that ``make`` uses; ``requirements-dev.txt``
adds the tools. No index address goes in: the machine's own pip settings say where packages come from.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ["hatchling", "editables"]


def compile_to(target: Path, wanted: list[str]) -> None:
    """Resolve ``wanted`` into ``target``, keeping the versions already pinned there where they still fit."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
        source.write("\n".join(wanted) + "\n")
        source.flush()
        options = ["--generate-hashes", "--allow-unsafe", "--no-emit-index-url", "--no-emit-find-links", "--no-header"]
        options += ["--no-emit-trusted-host", "--no-strip-extras", "--no-annotate", "--quiet", *sys.argv[1:]]
        subprocess.run(
            [sys.executable, "-m", "piptools", "compile", *options, "-o", str(target), source.name],
            check=True,
            cwd=ROOT,
        )
    head = "# made by `make lock` from pyproject.toml; install with pip --require-hashes\n"
    target.write_text(head + target.read_text())


def main() -> None:
    """Write both files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = [*project["project"]["dependencies"], *BUILD]
    compile_to(ROOT / "requirements.txt", run)
    compile_to(ROOT / "requirements-dev.txt", [*run, *project["dependency-groups"]["dev"]])


if __name__ == "__main__":
    main()
