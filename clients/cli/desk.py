"""What the verbs of the bulletin desk have in common: how a bulletin is named, and what is said of one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.whom import agencies
from clients.render import safe, stranger

Bulletin = Annotated[str, typer.Argument(help="Its id; SC-2026-0117 is enough where it is the only one.")]
Wait = Annotated[str, typer.Option("--wait", help="Until when: queued (durable here) or sent (every member reads it).")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file, where there is one.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")]


def published(verb: str, data: dict[str, Any]) -> str:
    entry = f"   entry {data['sequence']}" if data.get("sequence") else f"   {data['state']}"
    return (
        f"{verb}  {data['bulletin']} rev {data['revision']}  to {agencies(data['readers'])}"
        f" in {safe(data['name'])}{entry}"
    )


def later(bulletin: str, newest: dict[str, Any]) -> str:
    """What has come after the revision that is looked at."""
    since = f"rev {newest['revision']}  {newest['time']}"
    if newest["status"] == "withdrawn":
        reason = f"  {stranger(newest['reason'])}" if newest["reason"] else ""
        return f"withdrawn  by {since}{reason}"
    return f"superseded by {since}: securechan bulletin show {bulletin}"
