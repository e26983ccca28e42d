"""SPEC.md as the tests read it: sections by their numbers, tables by the name of their first column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT_FOLDER: Final = Path(__file__).resolve().parents[2]
SPEC: Final = (ROOT_FOLDER / "SPEC.md").read_text()

Table = list[dict[str, str]]


def section(number: str) -> str:
    """The text of ``11`` or of ``11.3``."""
    if "." in number:
        start = SPEC.index(f"\n**{number} ") if f"\n**{number} " in SPEC else SPEC.index(f"\n**{number}**")
        ends = re.compile(r"^(?:\*\*\d+\.\d+|## )", re.MULTILINE)
    else:
        start = SPEC.index(f"\n## {number}. ")
        ends = re.compile(r"^## ", re.MULTILINE)
    end = ends.search(SPEC, start + 4)
    return SPEC[start : end.start() if end else len(SPEC)]


def prose(number: str) -> str:
    """A section without its line breaks."""
    return " ".join(section(number).split())


def tables(number: str) -> list[Table]:
    """Every table of a section, rows by the names of their columns."""
    found: list[Table] = []
    header: list[str] = []
    for line in section(number).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = cells
            found.append([])
        elif not set(cells) <= {"---", ""} or not any(cells):
            found[-1].append(dict(zip(header, cells, strict=True)))
    return found


def table(number: str, column: str) -> Table:
    """The table of a section that begins with this column."""
    return next(rows for rows in tables(number) if rows and next(iter(rows[0])) == column)


def named(number: str, column: str, name: str = "name") -> dict[int, str]:
    """Number → name of a table of code points."""
    return {int(row[column], 0): row[name] for row in table(number, column)}


def bare(cell: str) -> str:
    """A cell without the marks of code."""
    return cell.strip("`")
