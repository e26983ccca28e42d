"""A program's manual page, made from its own commands when it is asked for: it says what they say, and is never older.

Both programs write theirs with this; it knows the command tree by its shape alone (help, parameters, commands below)
and writes the macros of man(7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

Rows = Iterable[tuple[str, str]]
"""A term and what is said of it, line by line."""

_KINDS: Final = {"str": "TEXT", "int": "N", "int range": "N", "float": "N", "path": "PATH", "Path": "PATH"}
_KIND: Final = re.compile(r"<(?:list\[)?([^<>\[\]]+)\]?>")


def page(root: Any, name: str, version: str, sections: Sequence[tuple[str, Rows]]) -> str:
    """The page of the program ``name``, whose outermost command is ``root``: its commands, then ``sections`` (a heading
    and its rows)."""
    context = root.context_class(root, info_name=name)
    lines = [
        f'.TH {_quoted(name.upper())} 1 "" {_quoted(f"{name} {version}")} {_quoted("User Commands")}',
        ".SH NAME",
        f"{_text(name)} \\- {_text(_first(root.help))}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        "[OPTIONS] COMMAND \\&...",
    ]
    if root.params:
        lines += [".SH OPTIONS", *_rows(_records(root, context))]
    lines.append(".SH COMMANDS")
    lines += [line for command, below in _below(root, context) for line in _command(command, below)]
    for heading, rows in sections:
        lines += [f".SH {_text(heading.upper())}", *_rows(rows)]
    return "\n".join(lines) + "\n"


def _below(command: Any, context: Any) -> Iterator[tuple[Any, Any]]:
    """Every command under this one, in the order of its help."""
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        below = found.context_class(found, info_name=name, parent=context)
        yield found, below
        if hasattr(found, "list_commands"):
            yield from _below(found, below)


def _command(command: Any, context: Any) -> Iterator[str]:
    usage = " ".join(_plain(piece) for piece in command.collect_usage_pieces(context))
    yield f".SS {_quoted(f'{context.command_path} {usage}')}"
    yield from _paragraphs(command.help or "")
    yield from _rows(_records(command, context))
    yield from _paragraphs(command.epilog or "")


def _records(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            term, said = record
            argument = parameter.param_type_name == "argument"
            yield (_plain(f"{{{parameter.name}}}") if argument else _KIND.sub(_kind, term)), said


def _kind(found: re.Match[str]) -> str:
    return _KINDS.get(found[1], found[1])


def _plain(piece: str) -> str:
    """A piece of a usage line as manuals write it: ``TO``, ``[FILE]``."""
    return re.sub(r"\{([^{}|]+)\}", r"\1", piece).upper()


def _first(said: str | None) -> str:
    return (said or "").split("\n\n", maxsplit=1)[0].removesuffix(".")


# ------------------------------------------------------------------------------------------------------------- in roff


def _rows(rows: Rows) -> Iterator[str]:
    for term, said in rows:
        yield from (".TP", f".B {_text(term)}", _text(said))


def _paragraphs(said: str) -> Iterator[str]:
    """Paragraphs; one that begins with ``\\b`` keeps its lines, as in help."""
    for each in filter(str.strip, said.split("\n\n")):
        if each.startswith("\b"):
            yield from (".PP", ".nf", *(_text(line, blanks=True) for line in each.strip("\b\n").split("\n")), ".fi")
        else:
            yield from (".PP", _text(each))


def _text(said: str, *, blanks: bool = False) -> str:
    """One line of text in which nothing is a request to the formatter, and a hyphen is what people type."""
    line = said if blanks else " ".join(said.split())
    line = line.replace("\\", "\\e").replace("-", "\\-")
    line = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in line)
    return f"\\&{line}" if line.startswith((".", "'")) else line


def _quoted(said: str) -> str:
    return '"' + _text(said).replace('"', "\\(dq") + '"'
