"""securechan/manual.py: from a command tree to a page, in which no text is a request to the formatter."""

from __future__ import annotations

from typing import Annotated

import typer

from securechan.manual import page

app = typer.Typer(help="A program.\n\nMore of it.", add_completion=False, rich_markup_mode=None)
below = typer.Typer(help="Things.", epilog="\b\nExamples:\n  program thing make \\\\ x", rich_markup_mode=None)
app.add_typer(below, name="thing")


@app.callback()
def program(*, verbose: Annotated[bool, typer.Option("--verbose", help="Say all.")] = False) -> None:
    pass


@below.command()
def make(
    name: Annotated[str, typer.Argument(help=".dots and 'quotes' stay text")],
    colours: Annotated[list[str] | None, typer.Option("-c", "--colour", help='One – or "several".')] = None,
) -> None:
    """Make one.

    It costs
    nothing."""


@below.command()
def drop() -> None:
    """Drop it."""


def test_all_of_it() -> None:
    said = page(typer.main.get_command(app), "program", "1.0", [("files", [("a-b", "x")])])
    assert (
        said
        == """.TH "PROGRAM" 1 "" "program 1.0" "User Commands"
.SH NAME
program \\- A program
.SH SYNOPSIS
.B program
[OPTIONS] COMMAND \\&...
.SH OPTIONS
.TP
.B \\-\\-verbose
Say all.
.SH COMMANDS
.SS "program thing [OPTIONS] COMMAND [ARGS]..."
.PP
Things.
.PP
.nf
Examples:
  program thing make \\e\\e x
.fi
.SS "program thing make [OPTIONS] NAME"
.PP
Make one.
.PP
It costs nothing.
.TP
.B NAME
\\&.dots and 'quotes' stay text [required]
.TP
.B \\-c, \\-\\-colour TEXT
One \\[u2013] or "several".
.SS "program thing drop [OPTIONS]"
.PP
Drop it.
.SH FILES
.TP
.B a\\-b
x
"""
    )
