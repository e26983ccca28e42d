"""``securechan bulletin``: the bulletin desk."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import typer

from clients.cli import forwards, proof
from clients.cli.desk import Bulletin, Force, Timeout, Wait, later, published
from clients.cli.doing import do, seconds
from clients.cli.frame import group, here
from clients.render import safe, size, stranger, table

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
MediaType = Annotated[str | None, typer.Option("--media-type", help="Say what it is, instead of having it found out.")]
Label = Annotated[str | None, typer.Option("--tlp", help="clear, green, amber, amber+strict, red; else as it says.")]
Title = Annotated[str | None, typer.Option("--title", help="Instead of the title found inside.")]
NewTitle = Annotated[
    str | None, typer.Option("--title", help="A new title; else the old one, or a new one that STIX or CSAF brings.")
]
AckBy = Annotated[str | None, typer.Option("--ack-by", help="Have it acknowledged by people within: 4h.")]
Valid = Annotated[str | None, typer.Option("--valid", help="It holds for so long: 30d.")]


def _read(file: str, media_type: str | None) -> tuple[str, dict[str, Any]]:
    """A document that is fit, in base64, and what it is. Raises Unfit before anything else is opened."""
    from clients.operations.documents import judge

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
    here().emit(data, lambda: published("published", data))


@app.command()
def revise(
    bulletin: Bulletin,
    file: File,
    tlp: Label = None,
    title: NewTitle = None,
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
    here().emit(data, lambda: published("revised", data))


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
    me.emit(data, lambda: published("withdrawn", data))


for bringing in (forwards.forward, forwards.ask_consent, forwards.consents, forwards.consent):
    app.command()(bringing)


@app.command()
def ls(
    conversation: Annotated[str | None, typer.Argument(help="Only in this conversation.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Only those that this device published.")] = False,
    due: Annotated[bool, typer.Option("--due", help="Only those that you have still to acknowledge.")] = False,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=10000, help="At most so many.")] = 200,
) -> None:
    """Bulletins, the newest first."""
    data = do("bulletin.ls", online=False, conversation=conversation, own=own, due=due, limit=limit)
    here().show(data, lambda: _listed(data))


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
        me.show(data, lambda: _shown(data, content))


def _shown(data: dict[str, Any], content: bytes) -> str:
    exercise = "  EXERCISE" if data["exercise"] else ""
    state = "superseded" if data["superseded"] and data["status"] == "active" else data["status"]
    head = [
        f"bulletin   {data['bulletin']} rev {data['revision']}  {state}{exercise}",
        f"issuer     {data['issuer']}  by {safe(data['device'])}  {data['issued']}  key {data['signer'][:16]}",
        f"label      tlp:{data['tlp']}   in {safe(data['name'])}   {data['media_type']}  {size(len(content))}",
        f"title      {stranger(data['title'])}",
    ]
    if data["superseded"]:
        head.append(later(data["bulletin"], data["newest"]))
    if data["lapsed"]:
        head.append(f"lapsed     it was valid until {data['valid_until']}")
    if data["forwarded_by"]:
        consent = f", with the consent of {safe(data['consent_by'])}" if data["consent_by"] else ""
        head.append(f"brought by {safe(data['forwarded_by'])}  {data['time']}{consent}")
    if data["ack_by"] and not data["superseded"]:
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
    me.show(data, lambda: _acks(data))
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


for proving in (proof.export, proof.verify):
    app.command()(proving)
