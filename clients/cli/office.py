"""What the commands of an agency's administrators share: having an operation done, and what became of a roster."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.frame import here, run
from clients.render import safe

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="liaison, desk or admin; may be repeated.")]
Out = Annotated[Path | None, typer.Option("--out", help="Also write it to this file, to be passed on by hand.")]


def do(name: str, params: dict[str, Any], what: str = "asking the relay", *, online: bool = True) -> Any:
    """Have an operation of this agency's administrator carried out. ``what`` it begins with is told who waits, and then
    what it says itself that it goes on to: nothing is announced that it may yet refuse."""
    from clients.operations.engine import perform

    me = here()
    with me.progress(what) as now_doing:

        async def hear(item: dict[str, str]) -> None:
            now_doing(item["doing"])

        return run(
            perform(
                me.profile,
                me.passphrases,
                f"admin.{name}",
                params,
                give=hear,
                online=online,
                command=me.command,
                warn=me.warn,
            )
        )


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def changes(changes: list[str]) -> list[str]:
    return [f"  {safe(line)}" for line in changes]


def carried_out(data: dict[str, Any]) -> list[str]:
    """What became of a roster."""
    if data["published"]:
        return [f"published  roster {data['roster']}"]
    lines = [f"waiting    roster {data['roster']} needs {data['missing']} more signature"]
    if data.get("pending"):
        lines.append(f"pending    {data['pending']}  sent to {', '.join(data['sent_to']) or 'nobody'}")
    return [*lines, "next       the other administrator: securechan admin sign"]


def keep_file(data: dict[str, Any], out: Path | None) -> None:
    """A roster that waits, as a file."""
    if out is None:
        return
    if not data.get("file"):
        here().note("hint: nothing waits for another signature, so no file was written")
        return
    here().write_out(out, base64.b64decode(data["file"]))
