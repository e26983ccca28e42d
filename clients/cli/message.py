"""``securechan send``, ``read``, ``search``: what officers do all day."""

from __future__ import annotations

import base64
import mimetypes
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.doing import do, seconds
from clients.cli.events import line
from clients.cli.frame import group, here
from clients.cli.whom import officers
from clients.render import file_name, safe
from securechan.errors import Malformed

app = group("Messages.")

MAX_TEXT = 256 << 10  # bytes
MAX_FILE = 4 << 20
MAX_TOGETHER = 20 << 20  # in base64 it still is one line to the process that may hold the profile


@app.command()
def send(
    to: Annotated[str, typer.Argument(help="An officer (liaison-1@cert-hr) or a conversation.")],
    file: Annotated[str | None, typer.Argument(help="A text file to send as the message; - is stdin.")] = None,
    message: Annotated[str | None, typer.Option("-m", "--message", help="The text; - is stdin.")] = None,
    attach: Annotated[list[Path] | None, typer.Option("-a", "--attach", help="A file to send along.")] = None,
    tlp: Annotated[str, typer.Option("--tlp", help="clear, green, amber, amber+strict or red.")] = "green",
    wait: Annotated[
        str,
        typer.Option(
            "--wait",
            help="Until when: queued (durable here), sent (every member reads it); with few officers by name also "
            "delivered (it is on all their devices) or read (each has seen it). Exit 10 after --timeout.",
        ),
    ] = "sent",
    identity: Annotated[
        str | None, typer.Option("--id", help="32 hexadecimal digits: the same id is the same message, sent once.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 60.0,
) -> None:
    """Send a message or files to an officer or a conversation.

    To an officer with whom there is no conversation yet it begins one, or joins the one that they offer."""
    me = here()
    text = _text(message, file)
    if text is None and not attach:
        if not me.interactive:
            raise typer.BadParameter("give -m TEXT, a FILE, or -a FILE", param_hint="-m")
        text = me.ask("message: ")
    parts: list[dict[str, Any]] = [] if text is None else [{"text": text}]
    files = [(path, me.read_in(path, MAX_FILE)) for path in attach or ()]
    if sum(len(content) for _, content in files) > MAX_TOGETHER:
        raise Malformed(
            f"together these files hold more than {MAX_TOGETHER} bytes", hint="send them one after the other"
        )
    parts += [_attachment(path, content) for path, content in files]
    wish: dict[str, Any] = {"to": to, "tlp": tlp, "wait": wait, "id": identity, "timeout": timeout}
    part = parts[0] if len(parts) == 1 else {"parts": parts}
    data = do("message.send", **wish, **part)
    done = data.get("messages", [data])
    if done[0]["joined"]:
        me.note(f"joined the conversation that {safe(to)} offered you")
    me.emit(data, lambda: "\n".join(_sent(each) for each in done))


def _attachment(path: Path, content: bytes) -> dict[str, Any]:
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return {"name": path.name, "media_type": media_type, "content": base64.b64encode(content).decode()}


def _text(message: str | None, file: str | None) -> str | None:
    if message is not None and file is not None:
        raise typer.BadParameter("give -m or a FILE, not both", param_hint="-m")
    source = "-" if message == "-" else file
    if source is None:
        return message
    try:
        text = here().read_in(source, MAX_TEXT).decode()
    except UnicodeDecodeError:
        raise Malformed(f"{source} is no UTF-8 text", hint="send it as a file: -a FILE") from None
    return text.removesuffix("\n")


def _sent(data: dict[str, Any]) -> str:
    entry = f"   entry {data['sequence']}" if data.get("sequence") else ""
    to = f"{safe(data['name'])} ({officers(data['readers'])})"
    return f"{data['state']}  to {to}  tlp:{data['tlp']}  id {data['id']}{entry}"


@app.command()
def read(
    conversation: Annotated[str | None, typer.Argument(help="A conversation; all of them without.")] = None,
    unread: Annotated[bool, typer.Option("--unread", help="Only what nobody has read yet.")] = False,
    since: Annotated[str | None, typer.Option("--since", help="Only what came within: 30m, 2h, 7d.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=100000, help="At most so many.")] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on showing what comes, until Ctrl-C.")] = False,
    peek: Annotated[bool, typer.Option("--peek", help="Don't count what is shown as read.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Show every kind of event that is kept.")] = False,
    fetch: Annotated[
        str | None, typer.Option("--fetch", help="The id of a message: fetch its attachment and write it (-o).")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where --fetch writes; - is stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what --fetch finds there.")] = False,
) -> None:
    """Read messages, bulletins and what happened.

    Where few officers talk by name, who sent what is shown here learns that it was read, unless --peek."""
    me = here()
    if fetch is not None:
        _fetch(fetch, output, force)
        return
    wish: dict[str, Any] = {
        "conversation": conversation,
        "unread": unread,
        "since": seconds(since, "--since"),
        "limit": limit,
        "peek": peek,
        "all": every,
    }
    if follow:
        do("message.read", give=lambda event: me.item(event, lambda: line(event)), follow=True, **wish)
        return
    data = do("message.read", online=False, **wish)
    me.show(data, lambda: "\n".join(line(event) for event in data["events"]))
    if data["offers"]:
        many = "1 conversation is" if data["offers"] == 1 else f"{data['offers']} conversations are"
        me.note(f"{many} offered to you: securechan conversation ls, then securechan conversation accept NAME")


def _fetch(payload: str, output: Path | None, force: bool) -> None:
    me = here()
    if output is not None:
        me.spare(output, force)
    data = do("message.fetch", id=payload)
    content = base64.b64decode(data["content"])
    target = output or Path(file_name(data["attachment"]) or "attachment")
    me.spare(target, force)
    me.write_out(target, content)
    if str(target) != "-":
        said = {"attachment": data["attachment"], "size": len(content), "file": str(target)}
        me.emit(said, f"fetched  {target}  {len(content)} bytes")


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to look for, in any case.")],
    conversation: Annotated[str | None, typer.Option("--in", help="Only in this conversation.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=100000, help="At most so many.")] = 50,
) -> None:
    """Look for a text in messages and bulletins; the newest first."""
    data = do("message.search", online=False, text=text, conversation=conversation, limit=limit)
    here().show(data, lambda: "\n".join(line(event) for event in data["events"]))
