"""``securechan bulletin export`` and ``verify``: bulletins outside the channel."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.desk import Bulletin, Force, later
from clients.cli.doing import do
from clients.cli.frame import here
from clients.clock import SystemClock
from clients.render import safe, size, stranger
from securechan.errors import Malformed, NotReady


def export(
    bulletin: Bulletin,
    output: Annotated[str, typer.Option("-o", "--output", help="The file to write; - is stdout.")],
    revision: Annotated[int | None, typer.Option("--revision", min=1, help="Instead of the newest.")] = None,
    force: Force = False,
) -> None:
    """Write a file that proves a bulletin anywhere.

    With it the bulletin can be verified outside the channel, years from now."""
    me = here()
    me.spare(output, force)
    data = do("bulletin.export", online=False, bulletin=bulletin, revision=revision)
    packed = base64.b64decode(data.pop("export"))
    me.write_out(output, packed)
    if output != "-":
        root = data["root_id"]
        me.emit(
            data | {"file": output},
            f"exported  {data['bulletin']} rev {data['revision']}  {size(len(packed))}  {output}\n"
            f"verify    securechan bulletin verify {output} --root-id {root}",
        )
        newest = data["newest"]
        if newest["revision"] > data["revision"]:
            me.note(f"note: the file can't tell its reader what came later: {later(data['bulletin'], newest)}")


def verify(
    file: Annotated[Path, typer.Argument(help="A file that bulletin export wrote.")],
    root_id: Annotated[
        str | None, typer.Option("--root-id", help="The federation's root id (96 hexadecimal digits), from elsewhere.")
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="Write the document there.")] = None,
    force: Force = False,
) -> None:
    """Verify an exported bulletin.

    Exit 6 where it is damaged or forged, 4 where its evidence doesn't hold, 11 where it is no export at all.
    With --root-id it needs no profile; but a file can't know whether a revision or a withdrawal came later. Without, it
    is asked what this device has read of it."""
    from clients.operations.proof import verify as check

    me = here()
    if output is not None:
        me.spare(output, force)
    packed = me.read_in(file, 80 << 20)
    known: dict[str, Any] | None = None
    said = root_id
    if said is None:
        asked = _asked_here(file, packed)
        said, known = asked["root_id"], asked["known"]
    try:
        root = bytes.fromhex(said)
    except ValueError:
        root = b""
    if len(root) != 48:
        raise Malformed("a root id has 96 hexadecimal digits", hint="all of it: securechan --json status", code="usage")
    data = check(packed, root, int(SystemClock().time())) | {"looked": root_id is None, "known": known}
    if known is not None and known["same"] is False:
        me.warn(f"{safe(known['name'])} has another text as rev {data['revision']}: ask {data['issuer']} which holds")
    content = base64.b64decode(data["content"])
    if output is not None:
        me.write_out(output, content)
    me.emit(data, lambda: _verified(data))


def _asked_here(file: Path, packed: bytes) -> dict[str, Any]:
    """The root id of the federation that this profile is in, and what it knows of the bulletin."""
    from clients.operations.proof import claimed

    me = here()
    if not me.profile.enrolled:
        raise NotReady(
            "no federation is known here that the bulletin could be verified against",
            hint=f"name its root id, as you know it from elsewhere: {me.command} {file} --root-id HEX",
            code="not-enrolled",
        )
    found: dict[str, Any] = do("bulletin.root", online=False, **claimed(packed))
    return found


def _verified(data: dict[str, Any]) -> str:
    exercise = "  EXERCISE" if data["exercise"] else ""
    lines = [
        f"good       {data['bulletin']} rev {data['revision']}  {data['status']}  tlp:{data['tlp']}{exercise}",
        _afterwards(data),
        f"signed by  {data['device']} ({data['officer']}) of {data['issuer']}  {data['time']}",
        f"key        {data['signer'][:32]}",
        f"evidence   roster {data['roster_version']}, the signer knew {data['signed_roster_version']}",
        f"federation {data['root_id'][:32]}",
        f"title      {stranger(data['title'])}",
    ]
    if data["lapsed"]:
        lines.append(f"lapsed     it was valid until {data['valid_until']}")
    if data["revoked"]:
        lines.append(
            f"note       the key was revoked at {data['revoked']}: it needs evidence that it was signed before"
        )
    if not data["fresh_when_signed"]:
        lines.append("note       a document of the evidence had expired at the time that the bulletin claims")
    return "\n".join(lines)


def _afterwards(data: dict[str, Any]) -> str:
    """Whether it still stands, or why that can't be said here."""
    known = data["known"]
    if data["status"] == "withdrawn":
        return "withdrawn  this revision withdraws it, which is final"
    if not data["looked"]:
        return (
            "later?     a file can't know whether it was revised or withdrawn afterwards: ask in the federation, or"
            " verify it there without --root-id"
        )
    if known is None:
        return "later?     this device has not received it, and knows of no revision or withdrawal either"
    newest = known["newest"]
    if newest["revision"] > data["revision"]:
        return later(data["bulletin"], newest)
    if newest["revision"] < data["revision"]:
        return f"newer      than rev {newest['revision']}, the last that this device has read: securechan sync"
    return "newest     as far as this device has read"
