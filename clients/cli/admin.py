"""``securechan admin``: an agency's administrators.

admin init cert-hr --officer alice                a new agency: keys, and an application for the federation
admin join ADDRESS                                once it is admitted, every administrator's device comes in
admin invite bob --role desk                      one line for a new device; then: pending, approve
admin approve 3f2a91c0 --words "…"                after six words were compared by voice
admin sign                                        the second administrator's signature, where the roster wants two
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli import cards, founding, rosters
from clients.cli.doing import length, now
from clients.cli.frame import group, here
from clients.cli.office import Out, Roles, Yes, carried_out, do, keep_file
from clients.render import count, duration, safe, table

app = group(
    "Invite, approve and revoke devices; keys and roster of an agency.",
    examples="""
Examples:
  securechan admin invite liaison-1 --role liaison
  securechan admin pending
  securechan admin approve liaison-1-x7kd
  securechan admin revoke cert-hr/liaison-1-x7kd --reason lost
""",
)
members = group("The agency's devices.")

for verb in (founding.init, founding.prepare, founding.join):
    app.command()(verb)


@app.command()
def invite(
    officer: Annotated[str, typer.Argument(help="Whose device: a handle, as in liaison-1.")] = "",
    role: Roles = None,
    lifetime: Annotated[str, typer.Option("--lifetime", help="How long it is good: 24h, 3d.")] = "72h",
    url: Annotated[str, typer.Option("--url", help="Another address of the relay than trust names.")] = "",
) -> None:
    """Make an invite for a new device.

    It is one line, good once, to be handed over by a way that nobody else reads."""
    seconds = length(lifetime, "--lifetime")
    params = {"officer": officer.partition("@")[0], "roles": role or ["liaison"], "lifetime": seconds, "url": url}
    data = do("invite", params, "opening a box at the relay")
    me = here()
    me.note(f"invite     {data['id']}  for {data['officer'] or 'an officer'}  until {data['expires']}")
    me.emit(data, data["invite"])
    me.note(
        "next       hand this line over by a way that nobody else reads; it works once\n"
        "           on the new device: securechan enrol -  (it asks for the line)\n"
        "           then here: securechan admin pending, and securechan admin approve"
    )


@app.command()
def pending() -> None:
    """What waits: requests, rosters to sign, invites.

    Requests are shown with their six words, and devices that their officers want revoked."""
    data = do("pending", {}, "reading the boxes")
    here().show(data, lambda: _pending_words(data))


def _pending_words(data: dict[str, Any]) -> str:
    lines: list[str] = []
    for request in data["requests"]:
        lines.append(f"request    {request['id']}  {request['device']}  for {request['officer']}")
        lines.append(f"           roles {', '.join(request['roles'])}  asked {request['asked']}")
        lines.append(f"           words {'  '.join(request['words'])}")
    for roster in data["rosters"]:
        lines += rosters.roster_words(roster)
    for wish in data["keys"]:
        what = f"wants key {wish['add'][:16]} listed" if wish["add"] else f"uses key {wish['drop'][:16]} no more"
        lines.append(f"key        {wish['id']}  {wish['device']}  {what}: securechan admin relist {wish['id']}")
    for wish in data["revocations"]:
        device, reason = wish["device"], wish["reason"]
        lines.append(f"revoke     {wish['id']}  {device}  of {wish['officer']}: {reason}  {wish['at']}")
        lines.append(
            f"           says {wish['by']}; ask the officer, then: securechan admin revoke {device} --reason {reason}"
        )
        lines.append(f"           or, where it is to stay: securechan admin deny {wish['id']}")
    if data["invites"]:
        lines.append(
            table(
                [
                    ["invite", each["id"], each["officer"] or "any officer", ", ".join(each["roles"]), each["expires"]]
                    for each in data["invites"]
                ]
            )
        )
    lines += [f"refused    a letter: {safe(why)}" for why in data["refused"]]
    return "\n".join(lines) or "nothing waits"


@app.command()
def approve(
    request: Annotated[str, typer.Argument(help="The request's id, or its device's name.")],
    words: Annotated[str, typer.Option("--words", help="The six words, as the officer has told you.")] = "",
    role: Roles = None,
    until: Annotated[str, typer.Option("--for", help="How long the device is admitted: 365d; else without end.")] = "",
    note: Annotated[str, typer.Option("--note", help="For the other administrator, where two sign.")] = "",
    out: Out = None,
) -> None:
    """Let a device in, by its six words.

    Type the words that its officer tells you, don't read them off the screen."""
    me = here()
    said = words or me.ask("the six words, as the officer tells you: ", needed="the officer's six words (--words)")
    not_after = now() + length(until, "--for") if until else 0
    params = {"id": request, "words": said, "roles": role or [], "not_after": not_after, "note": note}
    data = do("approve", params, "reading the request")
    keep_file(data, out)
    me.emit(
        data,
        "\n".join(
            [f"approved   {data['device']}  {data['officer']}  ({', '.join(data['roles'])})", *carried_out(data)]
        ),
    )


@app.command()
def relist(
    device: Annotated[str, typer.Argument(help="The device, or the id that admin pending shows.")],
    note: Annotated[str, typer.Option("--note", help="For the other administrator, where two sign.")] = "",
    out: Out = None,
) -> None:
    """Renew a device's key in the roster.

    As it has asked (key rotate --signature): first the new key is listed beside the old one; when the device uses it
    everywhere it asks again, and the old one is dropped."""
    data = do("relist", {"id": device, "note": note})
    keep_file(data, out)
    done = f"listed     {data['add'][:16]}" if data["add"] else f"dropped    {data['drop'][:16]}"
    here().emit(data, "\n".join([f"{done}  of {data['device']}", *carried_out(data)]))


@app.command()
def deny(
    request: Annotated[str, typer.Argument(help="Its id, or its device's name.")],
    reason: Annotated[str, typer.Option("--reason", help="What the officer of a new device is told.")] = "",
) -> None:
    """Refuse a new device, or a revocation that an officer wants.

    Of a revocation that is denied nobody is told: the wish is forgotten on this device, where admin pending showed it.
    Speak with its officer, and with the other administrators. An officer may ask again."""
    data = do("deny", {"id": request, "reason": reason})
    me = here()
    if data["what"] == "request":
        me.emit(data, f"denied     {data['device']}")
        return
    me.emit(data, f"denied     the revocation of {data['device']}: it stays")
    me.note("hint: nobody is told of it; speak with the officer, and with your agency's other administrators")


@app.command()
def revoke(
    device: Annotated[str, typer.Argument(help="The device, as in cert-hr/liaison-1-laptop.")],
    reason: Annotated[str, typer.Option("--reason", help="revoked, lost or left.")] = "revoked",
    yes: Yes = False,
    out: Out = None,
) -> None:
    """Take a device out, for ever.

    The relay drops it at once, everyone stops encrypting to it."""
    here().confirm(f"revoke {device}? This can't be undone.", yes)
    data = do("revoke", {"device": device, "reason": reason})
    keep_file(data, out)
    here().emit(data, "\n".join([f"revoked    {data['device']}{_why(data['reason'])}", *carried_out(data)]))


for each in (rosters.sign, rosters.renew, rosters.key, rosters.rotate, rosters.publish):
    app.command()(each)


def _why(reason: str) -> str:
    return "" if reason == "revoked" else f"  ({safe(reason)})"


@members.command("ls")
def member_ls(
    cached: Annotated[bool, typer.Option("--offline", help="As last read; no connection.")] = False,
) -> None:
    """List the agency's devices, and those that are gone."""
    data = do("member-ls", {"fresh": not cached}, "reading trust", online=not cached)

    def words() -> str:
        rows = [
            [each["device"], each["officer"], ", ".join(each["roles"]), each["since"][:10], each["keys"][-1][:16]]
            for each in data["devices"]
        ]
        gone = [
            [each["device"], f"{each['officer']}@{data['agency']}", each["reason"], each["at"][:10], ""]
            for each in data["gone"]
        ]
        return table([*rows, *gone], ["device", "officer", "roles", "since", "key"])

    here().show(data, words)


@app.command()
def status(
    cached: Annotated[bool, typer.Option("--offline", help="As last read; no connection.")] = False,
) -> None:
    """Who signs, what expires, what waits.

    And the federation's address line, for others of the agency."""
    data = do("status", {"fresh": not cached}, "reading trust", online=not cached)
    here().emit(data, lambda: _status_words(data))


def _status_words(data: dict[str, Any]) -> str:
    roster = data["roster_keys"]
    lines = [
        f"agency     {data['agency']}  {safe(data['title'])}",
        f"roster     version {data['roster']}, {count(data['devices'], 'device')}",
        f"authority  {data['authority']['threshold']} of {len(data['authority']['keys'])} keys sign",
    ]
    if roster is not None:
        lines.append(f"signers    {roster['threshold']} of {len(roster['keys'])} administrators sign")
        lines += [f"key        {each[:16]}{'  yours' if each == data['own_key'] else ''}" for each in roster["keys"]]
    lines.append(f"waiting    {count(data['requests'], 'request')}, {count(data['open_invites'], 'invite')} out")
    lines += [
        f"{each['state']:10} {each['role']} until {each['expires']} ({duration(each['left'])})"
        for each in data["expiries"]
    ]
    lines.append(f"address    {data['address']}")
    return "\n".join(lines)


app.add_typer(members, name="member")
app.add_typer(cards.app, name="contact")
