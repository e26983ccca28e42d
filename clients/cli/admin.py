"""``securechan admin``: an agency's administrators.

admin init cert-hr --officer alice                a new agency: keys, and an application for the federation
admin join ADDRESS                                once it is admitted, every administrator's device comes in
admin invite bob --role desk                      one line for a new device; then: pending, approve
admin approve 3f2a91c0 --words "…"                after six words were compared by voice
admin sign                                        the second administrator's signature, where the roster wants two
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.frame import group, here, run
from clients.render import duration, safe, shorten, stranger, table

app = group("Invite, approve and revoke devices; keys and roster of an agency.")
members = group("The agency's devices.")
contacts = group("Contact cards of the agency's officers.")
app.add_typer(members, name="member")
app.add_typer(contacts, name="contact")

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="liaison, desk or admin; may be repeated.")]
Out = Annotated[Path | None, typer.Option("--out", help="Also write it to this file, to be passed on by hand.")]
COMMAND = "securechan admin"
_ALL = ("admin", "desk", "liaison")


def _do(name: str, params: dict[str, Any], what: str, *, online: bool = True) -> Any:
    """Have an operation of this agency's administrator carried out."""
    from clients.operations.engine import perform  # noqa: PLC0415 - only the command that runs loads its parts

    me = here()
    work = perform(
        me.profile, me.passphrases, f"admin.{name}", params, online=online, command=f"{COMMAND} {name}", warn=me.warn
    )
    with me.progress(what):
        return run(work)


def _now() -> int:
    from clients.clock import SystemClock  # noqa: PLC0415 - likewise

    return int(SystemClock().time())


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _changes(changes: list[str]) -> list[str]:
    return [f"  {safe(line)}" for line in changes]


def _carried_out(data: dict[str, Any]) -> list[str]:
    """What became of a roster."""
    if data["published"]:
        return [f"published  roster {data['roster']}"]
    lines = [f"waiting    roster {data['roster']} needs {data['missing']} more signature"]
    if data.get("pending"):
        lines.append(f"pending    {data['pending']}  sent to {', '.join(data['sent_to']) or 'nobody'}")
    return [*lines, "next       the other administrator: securechan admin sign"]


def _keep_file(data: dict[str, Any], out: Path | None) -> None:
    """A roster that waits, as a file."""
    if out is None:
        return
    if not data.get("file"):
        here().note("hint: nothing waits for another signature, so no file was written")
        return
    here().write_out(out, base64.b64decode(data["file"]))


# ------------------------------------------------------------------------------------------------------------- founding


@app.command()
def init(
    agency: Annotated[str, typer.Argument(help="The agency's name, as in cert-hr.")],
    officer: Annotated[str, typer.Option("--officer", help="Who you are: a handle, as in alice.")],
    title: Annotated[str, typer.Option("--title", help="The agency's full name.")] = "",
    country: Annotated[str, typer.Option("--country", help="Two letters.")] = "",
    contact: Annotated[str, typer.Option("--contact", help="How its desk is reached outside the channel.")] = "",
    device: Annotated[str, typer.Option("--device", help="What to call this device; else a name is made up.")] = "",
    role: Roles = None,
    threshold: Annotated[int, typer.Option("--threshold", help="How many administrators sign a roster.", min=1)] = 1,
    second: Annotated[
        list[Path] | None, typer.Option("--second", help="Another administrator's papers (admin prepare).")
    ] = None,
    authority_keys: Annotated[
        int, typer.Option("--authority-keys", help="How many keys of the agency's authority to make here.", min=0)
    ] = 1,
    authority_key: Annotated[
        list[Path] | None, typer.Option("--authority-key", help="A public authority key (.pub), made elsewhere.")
    ] = None,
    authority_threshold: Annotated[
        int, typer.Option("--authority-threshold", help="How many of them sign; else more than half.", min=0)
    ] = 0,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Where the authority's keys go; else the profile.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The application's file.")] = None,
    yes: Yes = False,
) -> None:
    """Found an agency: its authority's keys, this device, and the application that the federation admits."""
    from clients.operations import founding  # noqa: PLC0415 - likewise
    from securechan.trust.enrolment import check_roles  # noqa: PLC0415 - likewise
    from securechan.trust.names import check_agency  # noqa: PLC0415 - likewise
    from securechan.trust.records import AgencyRecord, made  # noqa: PLC0415 - likewise

    me = here()
    check_agency(agency)
    others = [founding.Administrator.decode(me.read_in(path)) for path in second or ()]
    for other in others:
        me.note(f"administrator {other.record.address}  words {'  '.join(other.words)}")
    if others:
        me.confirm("are these the words that the other administrators see?", yes)
    record = made(AgencyRecord, agency=agency, title=title or agency, country=country, contact=contact)
    with me.profile.hold(COMMAND), me.progress("making keys"):
        data = founding.init(
            me.profile,
            me.passphrases,
            record=record,
            officer=officer,
            device=device,
            roles=check_roles({*(role or _ALL), "admin"}),
            signs=founding.Authority(
                keys or me.profile.keys, tuple(authority_key or ()), authority_keys, authority_threshold
            ),
            seconds=others,
            threshold=threshold,
            out=out or Path(f"{agency}.application"),
            now=_now(),
        )
    me.emit(
        {**data, "profile": me.profile.name},
        lambda: "\n".join(
            [
                f"agency     {agency}  administrator {data['officer']}  device {data['device']}",
                *(f"authority  {path}" for path in data["authority"]),
                f"wrote      {data['application']}",
                *_application_words(data),
            ]
        ),
    )
    if data["authority"]:
        me.note("hint: the authority's key is needed rarely: move it to a place that is offline, and back it up")


def _application_words(data: dict[str, Any]) -> list[str]:
    missing = [
        f"signed     {signing['role']}: {len(signing['signed'])} of {signing['needed']}"
        for signing in data["signing"]
        if signing["missing"]
    ]
    if missing:
        return [*missing, "next       who has to sign: securechan admin sign APPLICATION"]
    return ["next       give it to the federation's administrators; then securechan admin join ADDRESS"]


@app.command()
def prepare(
    agency: Annotated[str, typer.Argument(help="The agency's name.")],
    officer: Annotated[str, typer.Option("--officer", help="Who you are: a handle, as in bob.")],
    device: Annotated[str, typer.Option("--device", help="What to call this device; else a name is made up.")] = "",
    role: Roles = None,
    out: Annotated[Path | None, typer.Option("--out", help="The papers' file.")] = None,
) -> None:
    """As a further administrator of a new agency: make your keys, and papers for who founds it."""
    from clients.operations import founding  # noqa: PLC0415 - likewise
    from securechan.trust.enrolment import check_roles  # noqa: PLC0415 - likewise

    me = here()
    path = out or Path(f"{officer}.administrator")
    with me.profile.hold(COMMAND), me.progress("making keys"):
        papers, _ = founding.prepare(
            me.profile,
            lambda: me.passphrases.new(f"profile {me.profile.name}"),
            agency=agency,
            officer=officer,
            device=device,
            roles=check_roles({*(role or _ALL), "admin"}),
            now=_now(),
        )
        me.write_out(path, papers.encode())
    data = {
        "device": papers.record.name,
        "officer": papers.record.address,
        "words": list(papers.words),
        "papers": str(path),
        "profile": me.profile.name,
    }
    me.emit(data, f"wrote      {path}\nwords      {'  '.join(papers.words)}")
    me.note(f"hint: give {path} to who founds {agency}, and compare the six words by telephone")


@app.command()
def join(
    address: Annotated[str, typer.Argument(help="The federation's address line; - reads it from stdin.")],
) -> None:
    """Bring an administrator's device in, once the federation has admitted the agency."""
    me = here()
    line = me.read_in("-", 4096).decode("ascii", "replace").strip() if address == "-" else address
    with me.progress("joining"):
        data = run(_join(line))
    if data["pending"]:
        me.warn(f"joined, but the first session failed: {data['pending']}; run securechan sync")
    me.emit(
        {**data, "profile": me.profile.name},
        f"enrolled   {data['officer']}  ({', '.join(data['roles'])})  device {data['device']}\n"
        f"root       {data['root'][:32]}",
    )


async def _join(line: str) -> dict[str, Any]:
    from clients.clock import SystemClock  # noqa: PLC0415 - likewise
    from clients.federation import Address  # noqa: PLC0415 - likewise
    from clients.operations import founding  # noqa: PLC0415 - likewise
    from clients.operations.engine import open_vault  # noqa: PLC0415 - likewise

    me = here()
    parsed = Address.parse(line).reached()
    with me.profile.hold(COMMAND), await open_vault(me.profile, me.passphrases) as vault:
        return await founding.join(vault, parsed, SystemClock())


# ------------------------------------------------------------------------------------------------------------- inviting


@app.command()
def invite(
    officer: Annotated[str, typer.Argument(help="Whose device: a handle, as in liaison-1.")] = "",
    role: Roles = None,
    lifetime: Annotated[str, typer.Option("--lifetime", help="How long it is good: 24h, 3d.")] = "72h",
    url: Annotated[str, typer.Option("--url", help="Another address of the relay than trust names.")] = "",
) -> None:
    """Make an invite, good once: one line, to be handed over by a way that nobody else reads."""
    from clients.render import parse_duration  # noqa: PLC0415 - likewise

    try:
        seconds = parse_duration(lifetime)
    except ValueError as e:
        raise typer.BadParameter(str(e)) from None
    params = {"officer": officer.partition("@")[0], "roles": role or ["liaison"], "lifetime": seconds, "url": url}
    data = _do("invite", params, "opening a box at the relay")
    me = here()
    me.note(f"invite     {data['id']}  for {data['officer'] or 'an officer'}  until {data['expires']}")
    me.emit(data, data["invite"])


@app.command()
def pending() -> None:
    """What waits for you: requests with their six words, rosters to sign, invites that are out."""
    data = _do("pending", {}, "reading the boxes")
    here().emit(data, lambda: _pending_words(data))


def _pending_words(data: dict[str, Any]) -> str:
    lines: list[str] = []
    for request in data["requests"]:
        lines.append(f"request    {request['id']}  {request['device']}  for {request['officer']}")
        lines.append(f"           roles {', '.join(request['roles'])}  asked {request['asked']}")
        lines.append(f"           words {'  '.join(request['words'])}")
    for roster in data["rosters"]:
        lines += _roster_words(roster)
    for wish in data["keys"]:
        what = f"wants key {wish['add'][:16]} listed" if wish["add"] else f"uses key {wish['drop'][:16]} no more"
        lines.append(f"key        {wish['id']}  {wish['device']}  {what}")
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


def _roster_words(roster: dict[str, Any]) -> list[str]:
    lines = [f"roster     {roster['id']}  version {roster['roster']}  by {roster['proposer']}  {roster['made']}"]
    if roster["note"]:
        lines.append(f"  note: {shorten(stranger(roster['note']), 100)}")
    lines += _changes(roster["changes"])
    lines += [f"  words of {name}: {'  '.join(said)}" for name, said in roster["words"].items()]
    if roster["signed_here"]:
        lines.append("  signed by you")
    return lines


@app.command()
def approve(
    request: Annotated[str, typer.Argument(help="The request's id, or its device's name.")],
    words: Annotated[str, typer.Option("--words", help="The six words, as the officer has told you.")] = "",
    role: Roles = None,
    until: Annotated[str, typer.Option("--for", help="How long the device is admitted: 365d; else without end.")] = "",
    note: Annotated[str, typer.Option("--note", help="For the other administrator, where two sign.")] = "",
    out: Out = None,
) -> None:
    """Let a device in: type the six words that its officer tells you, don't read them off the screen."""
    from clients.render import parse_duration  # noqa: PLC0415 - likewise

    me = here()
    said = words or me.ask("the six words, as the officer tells you: ", needed="the officer's six words (--words)")
    try:
        not_after = _now() + parse_duration(until) if until else 0
    except ValueError as e:
        raise typer.BadParameter(str(e)) from None
    params = {"id": request, "words": said, "roles": role or [], "not_after": not_after, "note": note}
    data = _do("approve", params, "signing and publishing")
    _keep_file(data, out)
    me.emit(
        data,
        "\n".join(
            [f"approved   {data['device']}  {data['officer']}  ({', '.join(data['roles'])})", *_carried_out(data)]
        ),
    )


@app.command()
def relist(
    device: Annotated[str, typer.Argument(help="The device, or the id that admin pending shows.")],
    note: Annotated[str, typer.Option("--note", help="For the other administrator, where two sign.")] = "",
    out: Out = None,
) -> None:
    """Renew a device's key in the roster, as it has asked (key rotate --signature): first the new key is listed beside
    the old one; when the device uses it everywhere it asks again, and the old one is dropped."""
    data = _do("relist", {"id": device, "note": note}, "signing and publishing")
    _keep_file(data, out)
    done = f"listed     {data['add'][:16]}" if data["add"] else f"dropped    {data['drop'][:16]}"
    here().emit(data, "\n".join([f"{done}  of {data['device']}", *_carried_out(data)]))


@app.command()
def deny(
    request: Annotated[str, typer.Argument(help="The request's id, or its device's name.")],
    reason: Annotated[str, typer.Option("--reason", help="What the officer is told.")] = "",
) -> None:
    """Refuse a device."""
    data = _do("deny", {"id": request, "reason": reason}, "answering")
    here().emit(data, f"denied     {data['device']}")


@app.command()
def sign(
    what: Annotated[
        str, typer.Argument(help="A roster's id (admin pending), or a file: roster, application, ceremony.")
    ] = "",
    key_file: Annotated[list[Path] | None, typer.Option("--key", help="A key file of the agency's authority.")] = None,
    yes: Yes = False,
) -> None:
    """Sign what another administrator has prepared: shows what changes, asks, signs; publishes where that is enough."""
    from clients.operations.founding import APPLICATION  # noqa: PLC0415 - likewise

    path = Path(what)
    if not what or not path.is_file():
        _sign_roster({"id": what}, yes)
        return
    content = here().read_in(path)
    if APPLICATION.encode() in content[: 1 << 20]:
        _sign_application(path, key_file or [], yes)
    elif content.startswith(b"{"):
        _sign_ceremony(path, content, key_file or [], yes)
    else:
        _sign_roster({"file": _b64(content)}, yes)


def _sign_roster(params: dict[str, Any], yes: bool) -> None:
    me = here()
    shown = _do("show-roster", params, "reading")
    for line in _roster_words(shown):
        me.note(line)
    if shown["words"]:
        me.note("compare the words with each officer by telephone before you sign")
    me.confirm("sign this?", yes)
    data = _do("sign-roster", {"id": shown["id"]}, "signing and publishing")
    me.emit({**shown, **data}, "\n".join(_carried_out(data)))


def _sign_application(path: Path, key_files: list[Path], yes: bool) -> None:
    from clients.keyfile import KeyFile, Use  # noqa: PLC0415 - likewise
    from clients.operations import founding  # noqa: PLC0415 - likewise

    me = here()
    papers = founding.read_application(path)
    told = founding.tell_application(papers)
    for line in _changes(told["changes"]):
        me.note(line)
    me.confirm("sign this?", yes)
    if key_files:
        keys = [KeyFile.load(each, Use.AUTHORITY) for each in key_files]
        papers = founding.sign_authority(papers, keys, me.passphrases)
    else:
        papers = run(_sign_first_roster(papers))
    founding.rewrite(path, papers)
    data = {"application": str(path), **founding.tell_application(papers)}
    me.emit(data, "\n".join([f"signed     {path}", *_application_words(data)]))


async def _sign_first_roster(papers: Any) -> Any:
    from clients.operations import founding, newcomer  # noqa: PLC0415 - likewise
    from clients.operations.engine import open_vault  # noqa: PLC0415 - likewise

    me = here()
    with me.profile.hold(COMMAND), await open_vault(me.profile, me.passphrases) as vault:
        return founding.sign_roster(papers, newcomer.load(vault))


def _sign_ceremony(path: Path, content: bytes, key_files: list[Path], yes: bool) -> None:
    from clients.keyfile import KeyFile, Use  # noqa: PLC0415 - likewise
    from securechan.trust.bundle import Ceremony  # noqa: PLC0415 - likewise

    me = here()
    ceremony = Ceremony.decode(content)
    for line in _changes(list(ceremony.describe())):
        me.note(line)
    me.confirm("sign this?", yes)
    if key_files:
        signers = [KeyFile.load(each, Use.AUTHORITY).unlock(me.passphrases) for each in key_files]
        signed = ceremony.sign(*signers).encode()
    else:
        signed = base64.b64decode(_do("sign-ceremony", {"ceremony": _b64(content)}, "signing")["ceremony"])
    me.write_out(path, signed)
    told = _ceremony_told(Ceremony.decode(signed), path)
    me.emit(told, "\n".join(_ceremony_words(told)))


def _ceremony_told(ceremony: Any, path: Path) -> dict[str, Any]:
    return {
        "file": str(path),
        "changes": list(ceremony.describe()),
        "complete": ceremony.complete,
        "missing": [
            {"role": signing.role, "by": signing.delegator, "missing": signing.missing}
            for signing in ceremony.status()
            if signing.missing
        ],
    }


def _ceremony_words(told: dict[str, Any]) -> list[str]:
    lines = [f"missing    {each['missing']} signature for {each['role']} (by {each['by']})" for each in told["missing"]]
    if told["complete"]:
        return [f"next       securechan admin publish {told['file']}"]
    return [*lines, f"next       securechan admin sign {told['file']} (authority: --key FILE)"]


# ----------------------------------------------------------------------------------------------------- members and keys


@members.command("ls")
def member_ls(
    cached: Annotated[bool, typer.Option("--offline", help="As last read; no connection.")] = False,
) -> None:
    """List the agency's devices, and those that are gone."""
    data = _do("member-ls", {"fresh": not cached}, "reading trust", online=not cached)

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

    here().emit(data, words)


@app.command()
def revoke(
    device: Annotated[str, typer.Argument(help="The device, as in cert-hr/liaison-1-laptop.")],
    reason: Annotated[str, typer.Option("--reason", help="revoked, lost or left.")] = "revoked",
    yes: Yes = False,
    out: Out = None,
) -> None:
    """Take a device out, for ever: the relay drops it at once, everyone stops encrypting to it."""
    here().confirm(f"revoke {device}? This can't be undone.", yes)
    data = _do("revoke", {"device": device, "reason": reason}, "signing and publishing")
    _keep_file(data, out)
    here().emit(data, "\n".join([f"revoked    {data['device']}  ({data['reason']})", *_carried_out(data)]))


@app.command()
def renew(out: Out = None) -> None:
    """Sign the same roster for longer."""
    data = _do("renew", {}, "signing and publishing")
    _keep_file(data, out)
    here().emit(data, "\n".join(_carried_out(data)))


@app.command()
def key(
    file: Annotated[Path | None, typer.Argument(help="Where its public half goes: NAME.pub.")] = None,
    authority: Annotated[
        bool, typer.Option("--authority", help="Make a key of the agency's authority instead: FILE.key and FILE.pub.")
    ] = False,
) -> None:
    """This device's roster key (made where there is none): its public half, for the agency's next rotation."""
    from clients.keyfile import KeyFile, PublicKey, Use  # noqa: PLC0415 - likewise

    me = here()
    if authority:
        if file is None:
            raise typer.BadParameter("name the file: securechan admin key FILE.key --authority")
        made = KeyFile.make(file, Use.AUTHORITY, file.stem, me.passphrases.new(f"the key {file.name}"))
        me.emit(
            {"file": str(file), "public": str(file.with_suffix(".pub")), "key": made.public.keyid},
            f"key        {file}  {made.public.keyid[:16]}",
        )
        return
    data = _do("key", {}, "opening", online=False)
    if file is not None:
        me.write_out(file, PublicKey(Use.ROSTER, data["device"], base64.b64decode(data["public"])).encode())
    me.emit(data, f"key        {data['key'][:16]}  of {data['device']}")


@app.command()
def rotate(
    new_key: Annotated[bool, typer.Option("--new-key", help="A new roster key for this device.")] = False,
    add: Annotated[
        list[Path] | None, typer.Option("--add", help="An administrator's public roster key (admin key FILE.pub).")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", help="The beginning of a roster key's id.")] = None,
    threshold: Annotated[int, typer.Option("--threshold", help="How many administrators sign a roster.", min=0)] = 0,
    key_file: Annotated[
        list[Path] | None, typer.Option("--key", help="A key file of the agency's authority: signs at once.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The ceremony's file.")] = None,
    yes: Yes = False,
) -> None:
    """Change who signs the roster, or how many must; or, with no option, the same keys for longer. The agency's
    authority signs it: with --key at once, else in a file (admin sign, admin publish)."""
    from clients.keyfile import KeyFile, PublicKey, Use  # noqa: PLC0415 - likewise
    from securechan.trust.bundle import Ceremony  # noqa: PLC0415 - likewise

    me = here()
    keys = [KeyFile.load(each, Use.AUTHORITY) for each in key_file or ()]
    publics = [PublicKey.load(each, Use.ROSTER).public for each in add or ()]
    params = {
        "new_key": new_key,
        "add": [_b64(public) for public in publics],
        "drop": drop or [],
        "threshold": threshold,
    }
    ceremony = Ceremony.decode(base64.b64decode(_do("rotation", params, "preparing")["ceremony"]))
    for line in _changes(list(ceremony.describe())):
        me.note(line)
    me.confirm("sign this?", yes or not keys)
    if keys:
        ceremony = ceremony.sign(*(each.unlock(me.passphrases) for each in keys))
    if ceremony.complete and out is None:
        data = _do("publish-ceremony", {"ceremony": _b64(ceremony.encode())}, "publishing")
        me.emit(data, f"published  {', '.join(data['published'])}")
        return
    path = out or Path("rotation.ceremony")
    me.write_out(path, ceremony.encode())
    told = _ceremony_told(ceremony, path)
    me.emit(told, "\n".join([f"wrote      {path}", *_ceremony_words(told)]))


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(help="A complete ceremony (admin rotate, admin sign).")],
) -> None:
    """Publish a rotation once it is signed."""
    data = _do("publish-ceremony", {"ceremony": _b64(here().read_in(file))}, "publishing")
    here().emit(data, f"published  {', '.join(data['published'])}")


# -------------------------------------------------------------------------------------------------------- contact cards


@contacts.command("set")
def contact_set(
    officer: Annotated[str, typer.Argument(help="Whose card: a handle, as in liaison-1.")],
    name: Annotated[str, typer.Option("--name", help="The officer's name.")] = "",
    duty: Annotated[str, typer.Option("--duty", help="What the officer does.")] = "",
    phone: Annotated[str, typer.Option("--phone", help="A telephone number.")] = "",
    mail: Annotated[str, typer.Option("--mail", help="A mail address.")] = "",
    note: Annotated[str, typer.Option("--note", help="Anything else.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the card away.")] = False,
    out: Out = None,
) -> None:
    """Write an officer's contact card: only devices that hold the agency's directory key can read it."""
    if not remove and not name:
        raise typer.BadParameter("a card needs a name (--name), or --remove")
    params = {
        "officer": officer,
        "name": name,
        "duty": duty,
        "phone": phone,
        "mail": mail,
        "note": note,
        "remove": remove,
    }
    data = _do("contact-set", params, "signing and publishing")
    _keep_file(data, out)
    here().emit(data, "\n".join([f"card       {data['officer']}{'  removed' if remove else ''}", *_carried_out(data)]))


@contacts.command("share")
def contact_share(
    to: Annotated[
        str, typer.Argument(help="A device, or an agency (its administrators); else all devices of your agency.")
    ] = "",
) -> None:
    """Hand on the directory keys that this device holds, so that others can read the cards."""
    data = _do("contact-share", {"to": to}, "sending")
    here().emit(data, f"shared     {data['keys']} keys with {', '.join(data['sent_to']) or 'nobody'}")


# --------------------------------------------------------------------------------------------------------------- status


@app.command()
def status(
    cached: Annotated[bool, typer.Option("--offline", help="As last read; no connection.")] = False,
) -> None:
    """The agency as trust has it: who signs, what expires, what waits; the federation's address for others."""
    data = _do("status", {"fresh": not cached}, "reading trust", online=not cached)
    here().emit(data, lambda: _status_words(data))


def _status_words(data: dict[str, Any]) -> str:
    roster = data["roster_keys"]
    lines = [
        f"agency     {data['agency']}  {safe(data['title'])}  roster {data['roster']}, {data['devices']} devices",
        f"authority  {data['authority']['threshold']} of {len(data['authority']['keys'])} keys sign",
    ]
    if roster is not None:
        lines.append(f"roster     {roster['threshold']} of {len(roster['keys'])} administrators sign")
        lines += [f"key        {each[:16]}{'  yours' if each == data['own_key'] else ''}" for each in roster["keys"]]
    lines.append(f"waiting    {data['requests']} requests, {data['open_invites']} invites out")
    lines += [
        f"{each['state']:10} {each['role']} until {each['expires']} ({duration(each['left'])})"
        for each in data["expiries"]
    ]
    lines.append(f"address    {data['address']}")
    return "\n".join(lines)
