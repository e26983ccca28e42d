"""The house keeps its own rules: every room has its test, every cited rule its place, and the relay stays blind."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("securechan", "relay", "clients")
MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
)


def run(code: str) -> str:
    """What a fresh interpreter prints; it sees the project and nothing this test loaded."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_its_test(module: Path) -> None:
    """A module is named by a test file that mirrors it, or imported by name somewhere under tests."""
    parts = module.parts if module.parts[0] != "securechan" else module.parts[1:]
    mirror = ROOT / "tests" / Path(*parts[:-1]) / f"test_{module.stem.strip('_')}.py"
    if mirror.exists():
        return
    dotted = ".".join(module.with_suffix("").parts)
    parent, _, leaf = dotted.rpartition(".")
    wanted = re.compile(rf"\b{re.escape(dotted)}\b|from {re.escape(parent)} import [^\n]*\b{re.escape(leaf)}\b")
    assert any(wanted.search(test.read_text()) for test in (ROOT / "tests").rglob("*.py")), f"{dotted} has no test"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_tells_its_story(module: Path) -> None:
    first = (ROOT / module).read_text().lstrip()
    assert first.startswith('"""'), f"{module} does not begin with its story"


@pytest.mark.parametrize("package", sorted({module.parent for module in MODULES} - {Path("securechan")}), ids=str)
def test_the_map_of_a_package_shows_every_room(package: Path) -> None:
    """The docstring of a package names its modules; those of the command line are named by its table of verbs too."""
    shown = (ROOT / package / "__init__.py").read_text()
    if package != Path("clients/cli"):
        shown = shown.split('"""')[1]
    missing = [m.stem for m in MODULES if m.parent == package and not re.search(rf"\b{m.stem}\b", shown)]
    assert [stem for stem in missing if stem != "__main__"] == [], f"{package}/__init__.py doesn't show these files"


def test_the_relay_loads_no_mls() -> None:
    loaded = run(
        "import sys, relay.cli, relay.process, relay.mailroom;"
        "print([m for m in sys.modules if m.startswith(('securechan.mls', 'securechan.agent', 'securechan.bulletin'))])"
    )
    assert loaded == "[]"


def test_the_package_itself_imports_nothing() -> None:
    assert run("import sys, securechan; print([m for m in sys.modules if m.startswith('securechan.')])") == "[]"


def test_help_starts_without_the_heavy_parts() -> None:
    """`securechan --help` is fast because it loads neither transport nor engine nor TUF."""
    loaded = run(
        "import sys\nsys.argv = ['securechan', '--help']\nfrom clients.cli import main\n"
        "import io, contextlib\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "print([m for m in ('websockets', 'tuf', 'cryptography', 'pydantic', 'securechan.mls') if m in sys.modules])"
    )
    assert loaded == "[]"


def test_every_rule_that_is_cited_stands_in_the_spec() -> None:
    """Code and tests cite SPEC.md as ``SPEC §5.3``; each such section is there."""
    spec = (ROOT / "SPEC.md").read_text()
    sections = set(re.findall(r"^(?:#+ |\*\*)(\d+(?:\.\d+)*)", spec, flags=re.MULTILINE))
    cited = {
        number
        for package in (*PACKAGES, "tests")
        for path in (ROOT / package).rglob("*.py")
        for number in re.findall(r"SPEC(?:\.md)? §(\d+(?:\.\d+)*)", path.read_text())
    }
    assert cited - sections == set()


def test_dependencies_are_pinned_and_hashed() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = (ROOT / "requirements.txt").read_text()
    for line in wanted:
        name = re.split(r"[<>=\[ ]", line, maxsplit=1)[0]
        assert re.search(rf"^{re.escape(name)}==\S+ \\$", pinned, flags=re.MULTILINE | re.IGNORECASE), name
    for file in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / file).read_text()
        assert "://" not in text, f"{file} names an address"
        assert len(re.findall(r"^[a-z0-9._-]+==", text, flags=re.MULTILINE | re.IGNORECASE)) <= text.count(
            "--hash=sha256:"
        )


def test_nothing_is_written_past_the_limit() -> None:
    """``writelines()`` of asyncio's transports buffers without bound in some Pythons (CVE-2024-12254)."""
    assert [path.name for path in MODULES if ".writelines(" in (ROOT / path).read_text()] == []
