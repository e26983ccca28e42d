"""``securechan bulletin``: the bulletin desk."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.doing import do, seconds
from clients.cli.frame import group, here
from clients.render import count, safe, size, stranger, table
from securechan.errors import Malformed, NotReady

app = group(
    "Draft, publish, acknowledge, revise, withdraw, verify bulletins.",
    examples="""
Examples:
  securechan bulletin validate wave.json
  securechan bulletin publish wave.json --to eu-csirts --tlp amber --ack-by 4h
  securechan bulletin ls --due
  securechan bulletin ack SC-2026-0117
  securechan bulletin export SC-2026-0117 -o proof.scb
""",
)

MAX_CONTENT = 4 << 20  # bytes

File = Annotated[str, typer.Argument(help="STIX 2.1, CSAF 2.0/2.1 or plain text; - is stdin.")]
Bulletin = Annotated[str, typer.Argument(help="Its id; SC-2026-0117 is enough where it is the only one.")]
MediaType = Annotated[str | None, typer.Option("--media-type", help="Say what it is, instead of having it found out.")]
Label = Annotated[str | None, typer.Option("--tlp", help="clear, green, amber, amber+strict, red; else as it says.")]
Title = Annotated[str | None, typer.Option("--title", help="Instead of the title found inside.")]
AckBy = Annotated[str | None, typer.Option("--ack-by", help="Have it acknowledged by people within: 4h.")]
Valid = Annotated[str | None, typer.Option("--valid", help="It holds for so long: 30d.")]
Wait = Annotated[str, typer.Option("--wait", help="Until when: queued (durable here) or sent (every member reads it).")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file, where there is one.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")]


def _read(file: str, media_type: str | None) -> tuple[str, dict[str, Any]]:
    """A document that is fit, in base64, and what it is. Raises Unfit before anything else is opened."""
    from clients.operations.bulletin import judge

    content = here().read_in(file, MAX_CONTENT)
    return base64.b64encode(content).decode(), judge(content, media_type or "")


@app.command()
def validate(file: File, media_type: MediaType = None) -> None:
    """Say what a document is, or what is wrong with it.

    And where: exit 11. Needs no profile."""
    _, data = _read(file, media_type)
    facts = "  ".join(f"{safe(name)} {safe(str(value))}" for name, value in data["facts"].items())
    floor = f"at least tlp:{data['tlp_floor']}" if data["tlp_floor"] else "no tlp inside"
    here().emit(
        data, f"valid  {data['media_type']}  {size(data['size'])}  {floor}\n{stranger(data['title'])}\n{facts}".rstrip()
    )


@app.command()
def draft(
    kind: Annotated[str, typer.Argument(help="stix, csaf or text.")],
    title: Annotated[str, typer.Option("--title", help="Its title.")] = "Untitled",
    output: Annotated[str, typer.Option("-o", "--output", help="Where to write; - is stdout.")] = "-",
    force: Force = False,
) -> None:
    """Write a valid skeleton, to be filled in."""
    from clients.operations.skeleton import skeleton

    try:
        content = skeleton(kind, title)
    except ValueError as e:
        raise typer.BadParameter(str(e), param_hint="KIND") from None
    me = here()
    if me.json:
        me.emit({"kind": kind, "content": content}, "")
    else:
        me.spare(output, force)
        me.write_out(output, content.encode())


@app.command()
def publish(
    file: File,
    to: Annotated[str, typer.Option("--to", help="The conversation it is for.")],
    tlp: Label = None,
    title: Title = None,
    media_type: MediaType = None,
    ack_by: AckBy = None,
    valid: Valid = None,
    exercise: Annotated[
        bool, typer.Option("--exercise", help="Mark it as an exercise: nothing in it is real.")
    ] = False,
    identity: Annotated[
        str | None, typer.Option("--id", help="32 hexadecimal digits: the same id is the same bulletin, sent once.")
    ] = None,
    wait: Wait = "sent",
    timeout: Timeout = 120.0,
) -> None:
    """Sign a document and publish it in a conversation."""
    content, _ = _read(file, media_type)
    data = do(
        "bulletin.publish",
        to=to,
        content=content,
        media_type=media_type,
        tlp=tlp,
        title=title,
        ack_by=seconds(ack_by, "--ack-by"),
        valid=seconds(valid, "--valid"),
        exercise=exercise,
        id=identity,
        wait=wait,
        timeout=timeout,
    )
    here().emit(data, lambda: _published("published", data))


def _published(verb: str, data: dict[str, Any]) -> str:
    entry = f"   entry {data['sequence']}" if data.get("sequence") else f"   {data['state']}"
    return (
        f"{verb}  {data['bulletin']} rev {data['revision']}  to {count(data['agencies'], 'agency')}"
        f" ({count(data['members'], 'device')}) in {safe(data['name'])}{entry}"
    )


@app.command()
def revise(
    bulletin: Bulletin,
    file: File,
    tlp: Label = None,
    title: Title = None,
    media_type: MediaType = None,
    ack_by: AckBy = None,
    valid: Valid = None,
    wait: Wait = "sent",
    timeout: Timeout = 120.0,
) -> None:
    """Publish the next revision of a bulletin of your agency."""
    content, _ = _read(file, media_type)
    data = do(
        "bulletin.revise",
        bulletin=bulletin,
        content=content,
        media_type=media_type,
        tlp=tlp,
        title=title,
        ack_by=seconds(ack_by, "--ack-by"),
        valid=seconds(valid, "--valid"),
        wait=wait,
        timeout=timeout,
    )
    here().emit(data, lambda: _published("revised", data))


@app.command()
def withdraw(
    bulletin: Bulletin,
    reason: Annotated[str, typer.Option("--reason", help="Why: every reader is told.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    wait: Wait = "sent",
    timeout: Timeout = 120.0,
) -> None:
    """Say that a bulletin of your agency no longer stands. Final."""
    me = here()
    me.confirm(f"withdraw {bulletin} for good?", yes)
    data = do("bulletin.withdraw", bulletin=bulletin, reason=reason, wait=wait, timeout=timeout)
    me.emit(data, lambda: _published("withdrawn", data))


@app.command()
def forward(
    bulletin: Bulletin,
    to: Annotated[str, typer.Option("--to", help="The conversation to bring it to.")],
    identity: Annotated[
        str | None, typer.Option("--id", help="32 hexadecimal digits: the same id is the same forward, sent once.")
    ] = None,
    wait: Wait = "sent",
    timeout: Timeout = 120.0,
) -> None:
    """Bring a bulletin elsewhere, as far as its label lets it.

    Its revisions and its withdrawal follow by themselves. Exit 7 where its label doesn't let it: then its issuer can
    be asked for consent."""
    data = do("bulletin.forward", bulletin=bulletin, to=to, id=identity, wait=wait, timeout=timeout)
    here().emit(data, lambda: _published("forwarded", data))


@app.command("ask-consent")
def ask_consent(
    bulletin: Bulletin,
    to: Annotated[str, typer.Option("--to", help="The conversation that it shall be read in.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the people who are asked.")] = None,
    timeout: Timeout = 60.0,
) -> None:
    """Ask its issuer whether a bulletin may be forwarded."""
    data = do("bulletin.ask-consent", bulletin=bulletin, to=to, reason=reason, timeout=timeout)
    here().emit(data, lambda: f"asked  about {data['bulletin']} rev {data['revision']} in {safe(data['name'])}")


@app.command()
def consents(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that a person here has to answer.")] = False,
) -> None:
    """Consents to forward: asked of this desk, and by it."""
    data = do("bulletin.consents", online=False, waiting=waiting)
    here().emit(data, lambda: _asked(data))


def _asked(data: dict[str, Any]) -> str:
    rows = [
        (
            each["bulletin"],
            each["state"],
            each["officer"],
            stranger(each["name"]),
            " ".join(each["agencies"]),
            each["until"] or "",
            stranger(each["reason"]),
        )
        for each in data["consents"]
    ]
    head = ("bulletin", "state", "asked by", "to be read in", "where are", "until", "reason")
    return table([tuple(map(safe, row)) for row in rows], head=head) if rows else "none"


@app.command()
def consent(
    bulletin: Bulletin,
    agency: Annotated[str, typer.Option("--to-agency", help="The agency that asked.")],
    to: Annotated[str | None, typer.Option("--to", help="The conversation, where it asked about several.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="How long the consent holds.")] = 30,
    deny: Annotated[bool, typer.Option("--deny", help="Say no.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    timeout: Timeout = 60.0,
) -> None:
    """Answer an agency that asked to forward a bulletin of yours.

    A consent is signed, and shown to everyone who reads the forward."""
    me = here()
    if not deny:
        me.confirm(f"let {agency} forward {bulletin}?", yes)
    data = do("bulletin.consent", bulletin=bulletin, agency=agency, to=to, days=days, deny=deny, timeout=timeout)
    until = f" until {data['until']}" if data["until"] else ""
    me.emit(data, lambda: f"{data['state']}  {data['bulletin']} to {safe(agency)} in {safe(data['name'])}{until}")


@app.command()
def ls(
    conversation: Annotated[str | None, typer.Argument(help="Only in this conversation.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Only those that this device published.")] = False,
    due: Annotated[bool, typer.Option("--due", help="Only those that you have still to acknowledge.")] = False,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=10000, help="At most so many.")] = 200,
) -> None:
    """Bulletins, the newest first."""
    data = do("bulletin.ls", online=False, conversation=conversation, own=own, due=due, limit=limit)
    here().emit(data, lambda: _listed(data))


def _listed(data: dict[str, Any]) -> str:
    rows = [
        (
            each["bulletin"],
            str(each["revision"]),
            each["issuer"],
            f"tlp:{each['tlp']}",
            _state(each),
            safe(each["name"]),
            stranger(each["title"]),
        )
        for each in data["bulletins"]
    ]
    return table(rows, head=("bulletin", "rev", "issuer", "label", "state", "in", "title")) if rows else "none"


def _state(each: dict[str, Any]) -> str:
    if each["status"] == "withdrawn":
        return "withdrawn"
    if each["own"] and each["forwarded_by"]:
        return "forwarded"
    if each["due"]:
        return f"acknowledge by {each['ack_by']}"
    return "acknowledged" if each["acknowledged"] else "own" if each["own"] else "received"


@app.command()
def show(
    bulletin: Bulletin,
    revision: Annotated[int | None, typer.Option("--revision", min=1, help="Instead of the newest.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The document alone, byte for byte.")] = False,
    output: Annotated[str, typer.Option("-o", "--output", help="Where --raw writes; - is stdout.")] = "-",
    force: Force = False,
) -> None:
    """A bulletin and its document."""
    me = here()
    if raw and not me.json:
        me.spare(output, force)
    data = do("bulletin.show", online=False, bulletin=bulletin, revision=revision)
    content = base64.b64decode(data["content"])
    if raw and not me.json:
        me.write_out(output, content)
    else:
        me.emit(data, lambda: _shown(data, content))


def _shown(data: dict[str, Any], content: bytes) -> str:
    exercise = "  EXERCISE" if data["exercise"] else ""
    head = [
        f"bulletin   {data['bulletin']} rev {data['revision']}  {data['status']}{exercise}",
        f"issuer     {data['issuer']}  by {safe(data['device'])}  {data['issued']}  key {data['signer'][:16]}",
        f"label      tlp:{data['tlp']}   in {safe(data['name'])}   {data['media_type']}  {size(len(content))}",
        f"title      {stranger(data['title'])}",
    ]
    if data["forwarded_by"]:
        consent = f", with the consent of {safe(data['consent_by'])}" if data["consent_by"] else ""
        head.append(f"brought by {safe(data['forwarded_by'])}  {data['time']}{consent}")
    if data["ack_by"]:
        head.append(f"due        {_state(data)}")
    return "\n".join([*head, "", stranger(content.decode(errors="replace"), lines=True)])


@app.command()
def ack(bulletin: Bulletin, timeout: Timeout = 60.0) -> None:
    """Say to its issuer that a person has read it."""
    data = do("bulletin.ack", bulletin=bulletin, timeout=timeout)
    here().emit(data, f"acknowledged  {data['bulletin']} rev {data['revision']} of {data['issuer']}")


@app.command()
def acks(
    bulletin: Bulletin,
    offline: Annotated[bool, typer.Option("--offline", help="Don't ask the relay for receipts first.")] = False,
) -> None:
    """Who has received, who has acknowledged, who hasn't."""
    data = do("bulletin.acks", online=not offline, bulletin=bulletin, offline=offline)
    me = here()
    me.emit(data, lambda: _acks(data))
    if not data["fresh"]:
        me.note(f"as this device knows it; the relay was not asked: {safe(data['why'])}")


def _acks(data: dict[str, Any]) -> str:
    lines = [f"{data['bulletin']} rev {data['revision']}  {stranger(data['title'])}"]
    for each in data["conversations"]:
        acknowledged = {receipt["device"] for receipt in each["acknowledged"]}
        lines.append(
            f"in {safe(each['name'])}: {len(acknowledged)} acknowledged,"
            f" {len(each['delivered']) - len(acknowledged)} only received, {len(each['missing'])} missing"
        )
        rows = [("acknowledged", one["officer"], one["device"], one["time"] or "") for one in each["acknowledged"]]
        rows += [
            ("received", one["officer"], one["device"], one["time"] or "")
            for one in each["delivered"]
            if one["device"] not in acknowledged
        ]
        rows += [("missing", one["officer"], one["device"], "") for one in each["missing"]]
        lines.append(table([tuple(map(safe, row)) for row in rows]))
    return "\n".join(lines)


@app.command()
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


@app.command()
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
    With --root-id it needs no profile."""
    from clients.operations.bulletin import verify as check

    me = here()
    if output is not None:
        me.spare(output, force)
    packed = me.read_in(file, 80 << 20)
    said = root_id or _own_root(file)
    try:
        root = bytes.fromhex(said)
    except ValueError:
        root = b""
    if len(root) != 48:
        raise Malformed("a root id has 96 hexadecimal digits", hint="all of it: securechan --json status", code="usage")
    data = check(packed, root)
    content = base64.b64decode(data["content"])
    if output is not None:
        me.write_out(output, content)
    me.emit(data, lambda: _verified(data))


def _own_root(file: Path) -> str:
    """The root id of the federation that this profile is in."""
    me = here()
    if not me.profile.enrolled:
        raise NotReady(
            "no federation is known here that the bulletin could be verified against",
            hint=f"name its root id, as you know it from elsewhere: {me.command} {file} --root-id HEX",
            code="not-enrolled",
        )
    return str(do("bulletin.root", online=False)["root_id"])


def _verified(data: dict[str, Any]) -> str:
    lines = [
        f"good       {data['bulletin']} rev {data['revision']}  {data['status']}  tlp:{data['tlp']}",
        f"signed by  {data['device']} ({data['officer']}) of {data['issuer']}  {data['time']}",
        f"key        {data['signer'][:32]}",
        f"evidence   roster {data['roster_version']}, the signer knew {data['signed_roster_version']}",
        f"federation {data['root_id'][:32]}",
        f"title      {stranger(data['title'])}",
    ]
    if data["revoked"]:
        lines.append(
            f"note       the key was revoked at {data['revoked']}: it needs evidence that it was signed before"
        )
    if not data["fresh_when_signed"]:
        lines.append("note       a document of the evidence had expired at the time that the bulletin claims")
    return "\n".join(lines)
