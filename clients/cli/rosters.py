"""Who signs an agency's roster, and signing what others have prepared: rosters, applications, rotations.

admin sign                                        the second administrator's signature, where the roster wants two
admin key FILE.pub                                this device's roster key, for a rotation that another prepares
admin rotate --key FILE.key                       other keys, another threshold, or the same for longer
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.founding import application_words
from clients.cli.frame import here, run
from clients.cli.office import Out, Yes, b64, carried_out, changes, do, keep_file
from clients.render import shorten, stranger


def roster_words(roster: dict[str, Any]) -> list[str]:
    lines = [f"roster     {roster['id']}  version {roster['roster']}  by {roster['proposer']}  {roster['made']}"]
    if roster["note"]:
        lines.append(f"  note: {shorten(stranger(roster['note']), 100)}")
    lines += changes(roster["changes"])
    lines += [f"  words of {name}: {'  '.join(said)}" for name, said in roster["words"].items()]
    if roster["signed_here"]:
        lines.append("  signed by you")
    return lines


def sign(
    what: Annotated[
        str, typer.Argument(help="A roster's id (admin pending), or a file: roster, application, ceremony.")
    ] = "",
    key_file: Annotated[list[Path] | None, typer.Option("--key", help="A key file of the agency's authority.")] = None,
    yes: Yes = False,
) -> None:
    """Sign what another administrator has prepared.

    Shows what changes, asks, signs; publishes where that is enough."""
    from clients.operations.founding import APPLICATION

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
        _sign_roster({"file": b64(content)}, yes)


def _sign_roster(params: dict[str, Any], yes: bool) -> None:
    me = here()
    shown = do("show-roster", params, "reading")
    for line in roster_words(shown):
        me.note(line)
    if shown["words"]:
        me.note("compare the words with each officer by telephone before you sign")
    me.confirm("sign this?", yes)
    data = do("sign-roster", {"id": shown["id"]})
    me.emit({**shown, **data}, "\n".join(carried_out(data)))


def _sign_application(path: Path, key_files: list[Path], yes: bool) -> None:
    from clients.keyfile import KeyFile, Use
    from clients.operations import founding

    me = here()
    papers = founding.read_application(path)
    told = founding.tell_application(papers)
    for line in changes(told["changes"]):
        me.note(line)
    me.confirm("sign this?", yes)
    if key_files:
        keys = [KeyFile.load(each, Use.AUTHORITY) for each in key_files]
        papers = founding.sign_authority(papers, keys, me.passphrases)
    else:
        papers = run(_sign_first_roster(papers))
    founding.rewrite(path, papers)
    data = {"application": str(path), **founding.tell_application(papers)}
    me.emit(data, "\n".join([f"signed     {path}", *application_words(data)]))


async def _sign_first_roster(papers: Any) -> Any:
    from clients.operations import founding, newcomer
    from clients.operations.engine import open_vault

    me = here()
    with me.profile.hold(me.command), await open_vault(me.profile, me.passphrases) as vault:
        return founding.sign_roster(papers, newcomer.load(vault))


def _sign_ceremony(path: Path, content: bytes, key_files: list[Path], yes: bool) -> None:
    from clients.keyfile import KeyFile, Use
    from clients.operations.ceremonies import tell_progress
    from securechan.trust.bundle import Ceremony

    me = here()
    ceremony = Ceremony.decode(content)
    for line in changes(list(ceremony.describe())):
        me.note(line)
    me.confirm("sign this?", yes)
    if key_files:
        signers = [KeyFile.load(each, Use.AUTHORITY).unlock(me.passphrases) for each in key_files]
        signed = ceremony.sign(*signers).encode()
    else:
        signed = base64.b64decode(do("sign-ceremony", {"ceremony": b64(content)}, "signing")["ceremony"])
    me.write_out(path, signed)
    told = {"file": str(path), **tell_progress(Ceremony.decode(signed))}
    me.emit(told, "\n".join(_ceremony_words(told)))


def _ceremony_words(told: dict[str, Any]) -> list[str]:
    lines = [f"missing    {each['missing']} signature for {each['role']} (by {each['by']})" for each in told["missing"]]
    if told["complete"]:
        return [f"next       securechan admin publish {told['file']}"]
    return [*lines, f"next       securechan admin sign {told['file']} (authority: --key FILE)"]


def renew(out: Out = None) -> None:
    """Sign the same roster for longer."""
    data = do("renew", {})
    keep_file(data, out)
    here().emit(data, "\n".join(carried_out(data)))


def key(
    file: Annotated[Path | None, typer.Argument(help="Where its public half goes: NAME.pub.")] = None,
    authority: Annotated[
        bool, typer.Option("--authority", help="Make a key of the agency's authority instead: FILE.key and FILE.pub.")
    ] = False,
) -> None:
    """This device's roster key, for the next rotation.

    It is made where there is none; the file gets its public half."""
    from clients.keyfile import KeyFile, PublicKey, Use

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
    data = do("key", {}, "opening", online=False)
    if file is not None:
        me.write_out(file, PublicKey(Use.ROSTER, data["device"], base64.b64decode(data["public"])).encode())
    me.emit(data, f"key        {data['key'][:16]}  of {data['device']}")


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
    """Change who signs the roster, or how many must.

    With no option the same keys for longer. The agency's authority signs it: with --key at once, else in a file (admin
    sign, admin publish)."""
    from clients.keyfile import KeyFile, PublicKey, Use
    from clients.operations.ceremonies import tell_progress
    from securechan.trust.bundle import Ceremony

    me = here()
    keys = [KeyFile.load(each, Use.AUTHORITY) for each in key_file or ()]
    publics = [PublicKey.load(each, Use.ROSTER).public for each in add or ()]
    params = {
        "new_key": new_key,
        "add": [b64(public) for public in publics],
        "drop": drop or [],
        "threshold": threshold,
    }
    ceremony = Ceremony.decode(base64.b64decode(do("rotation", params, "preparing")["ceremony"]))
    for line in changes(list(ceremony.describe())):
        me.note(line)
    me.confirm("sign this?", yes or not keys)
    if keys:
        ceremony = ceremony.sign(*(each.unlock(me.passphrases) for each in keys))
    if ceremony.complete and out is None:
        data = do("publish-ceremony", {"ceremony": b64(ceremony.encode())}, "publishing")
        me.emit(data, f"published  {', '.join(data['published'])}")
        return
    path = out or Path("rotation.ceremony")
    me.write_out(path, ceremony.encode())
    told = {"file": str(path), **tell_progress(ceremony)}
    me.emit(told, "\n".join([f"wrote      {path}", *_ceremony_words(told)]))


def publish(
    file: Annotated[Path, typer.Argument(help="A complete ceremony (admin rotate, admin sign).")],
) -> None:
    """Publish a rotation once it is signed."""
    data = do("publish-ceremony", {"ceremony": b64(here().read_in(file))}, "publishing")
    here().emit(data, f"published  {', '.join(data['published'])}")
