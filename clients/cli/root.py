"""``securechan root``: the federation's administrators. The root of trust is signed m of n, in files, each holder on a
machine of their own.

    root init --keys 3 --threshold 2                 keys and a folder; --root-key holder.pub for keys made apart
    root add-relay card.json                         what the federation is to say; each change makes the ceremony anew
    root admit-agency cert-hr.application
    root sign ceremony.json --key root-1.key         by enough holders: shows what changes, asks, signs
    root publish                                     the first time a bundle for the relay; later at the relay (--key)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli import plans
from clients.cli.ceremony import signing_words, status_words
from clients.cli.doing import now
from clients.cli.frame import group, here, run
from clients.cli.office import Yes, changes
from clients.cli.plans import FOLDER, Dir
from securechan.errors import NotReady

app = group(
    "The root of trust: agencies, relays, policy; m-of-n ceremonies.",
    examples="""
Examples:
  securechan root init --keys 3 --threshold 2
  securechan root admit-agency cert-hr.application
  securechan root sign ceremony.json --key root-1.key
  securechan root publish
""",
)


@app.command()
def init(
    directory: Dir = FOLDER,
    keys: Annotated[int, typer.Option("--keys", help="How many root keys to make here.", min=0, max=16)] = 0,
    threshold: Annotated[int, typer.Option("--threshold", help="How many must sign; else more than half.", min=0)] = 0,
    root_key: Annotated[
        list[Path] | None, typer.Option("--root-key", help="A holder's public root key (.pub), made elsewhere.")
    ] = None,
    targets_keys: Annotated[
        int | None, typer.Option("--targets-keys", help="How many administrators' keys to make here; else as --keys.")
    ] = None,
    targets_threshold: Annotated[
        int, typer.Option("--targets-threshold", help="How many must sign; else as --threshold.", min=0)
    ] = 0,
    targets_key: Annotated[
        list[Path] | None, typer.Option("--targets-key", help="An administrator's public key (.pub), made elsewhere.")
    ] = None,
) -> None:
    """Found a federation: its keys and its folder.

    Keys of its root and its administrators, and a folder for their ceremonies."""
    from clients.operations import plan as planning
    from clients.operations import root

    me = here()
    if not keys and not root_key:
        raise typer.BadParameter("a root needs keys: --keys N, or --root-key FILE for each holder")
    made = keys if targets_keys is None and not targets_key else targets_keys or 0
    same = made + len(targets_key or ()) == keys + len(root_key or ())
    holders = planning.Holders(tuple(root_key or ()), keys, threshold)
    administrators = planning.Holders(tuple(targets_key or ()), made, targets_threshold or (threshold if same else 0))
    with me.progress("making keys"):
        data = root.init(directory, holders, administrators, me.passphrases.new)
    me.emit(
        data,
        lambda: "\n".join(
            [
                f"folder     {data['folder']}",
                f"root       {data['root']['threshold']} of {data['root']['keys']} keys sign",
                f"targets    {data['targets']['threshold']} of {data['targets']['keys']} keys sign",
                *(f"made       {key['file']}  {key['key'][:16]}" for key in data["made"]),
                "next       securechan root add-relay CARD, root admit-agency REQUEST",
            ]
        ),
    )
    if data["made"]:
        me.note("hint: give each key file to its holder, keep no copy here, and back it up")


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="Where to write it: NAME.key; its public half goes to NAME.pub.")],
    use: Annotated[str, typer.Option("--use", help="root or targets.")] = "root",
    name: Annotated[str, typer.Option("--name", help="What others call it; else the file's name.")] = "",
) -> None:
    """Make a key of your own, as a holder.

    On a machine of your own; give away its public half."""
    from clients.keyfile import KeyFile, Use

    me = here()
    if use not in (Use.ROOT, Use.TARGETS):
        raise typer.BadParameter("--use is root or targets")
    made = KeyFile.make(file, Use(use), name or file.stem, me.passphrases.new(f"the key {file.name}"))
    data = {"file": str(file), "public": str(file.with_suffix(".pub")), "key": made.public.keyid, "use": use}
    me.emit(data, f"key        {file}  {made.public.keyid[:16]}\npublic     {data['public']}  (give this away)")


for verb in (
    plans.add_relay,
    plans.remove_relay,
    plans.admit_agency,
    plans.remove_agency,
    plans.community,
    plans.policy,
):
    app.command()(verb)


@app.command()
def sign(
    ceremony: Annotated[Path, typer.Argument(help="The ceremony's file, or your copy of it.")],
    key_file: Annotated[list[Path], typer.Option("--key", help="Your key file.")],
    root_hash: Annotated[
        str, typer.Option("--root", help="The beginning of the federation's root hash, as you know it.")
    ] = "",
    yes: Yes = False,
) -> None:
    """Show what a ceremony changes, ask, and sign it. Needs no network."""
    from clients.keyfile import KeyFile, Use
    from clients.operations import root
    from clients.operations.ceremonies import tell_drafts

    me = here()
    opened = root.open_ceremony(ceremony, root_hash)
    keys = [KeyFile.load(path, Use.ROOT, Use.TARGETS) for path in key_file]
    told = tell_drafts(opened)
    me.note(f"federation {'new' if told['root'] is None else told['root'][:32]}")
    if not yes or me.verbose:  # who is asked sees what is asked
        for line in changes(told["changes"]):
            me.note(line)
    me.confirm("sign this?", yes)
    with me.progress("signing"):
        signed = root.sign(ceremony, opened, keys, me.passphrases)
    data = {"file": str(ceremony), **tell_drafts(signed)}
    me.emit(data, lambda: "\n".join(signing_words(data)))


@app.command()
def merge(
    ceremony: Annotated[Path, typer.Argument(help="The ceremony's file.")],
    copies: Annotated[list[Path], typer.Argument(help="Copies of it that others have signed.")],
) -> None:
    """Put signatures from copies into one file."""
    from clients.operations import root
    from clients.operations.ceremonies import tell_drafts

    data = {"file": str(ceremony), **tell_drafts(root.merge(ceremony, copies))}
    here().emit(data, lambda: "\n".join(signing_words(data)))


@app.command()
def publish(
    key_file: Annotated[
        Path | None, typer.Option("--key", help="A key of the federation's administrators: publish at the relay.")
    ] = None,
    directory: Dir = FOLDER,
) -> None:
    """Publish what has been signed.

    The first time as a bundle for the relay's operator, later at the relay (--key)."""
    from clients.clock import SystemClock
    from clients.keyfile import KeyFile, Use
    from clients.operations import root

    me, folder = here(), root.Folder(directory)
    folder.plan()
    if key_file is None:
        data = root.publish_bundle(folder)
        me.emit(
            data,
            f"bundle     {data['bundle']}\nroot       {data['root']}\naddress    {data['address']}\n"
            f"next       the operator of {data['relay']}: securechan-relay adopt {data['bundle']}",
        )
        me.note("hint: tell the root hash to everyone by another channel; it is the federation's name")
        return
    signer = KeyFile.load(key_file, Use.TARGETS)
    with me.progress("publishing"):
        data = run(root.publish_online(folder, signer, me.passphrases, SystemClock()))
    me.emit(data, f"published  {', '.join(data['published'])}\ntrust      snapshot {data['version']}")


@app.command()
def sync(
    key_file: Annotated[Path, typer.Option("--key", help="A key of the federation's administrators.")],
    directory: Dir = FOLDER,
) -> None:
    """Read what stands from the relay.

    So that the next change starts from it."""
    from clients.clock import SystemClock
    from clients.keyfile import KeyFile, Use
    from clients.operations import root

    me, folder = here(), root.Folder(directory)
    folder.plan()
    signer = KeyFile.load(key_file, Use.TARGETS)
    with me.progress("reading trust"):
        data = run(root.sync(folder, signer, me.passphrases, SystemClock()))
    me.emit(data, f"trust      snapshot {data['version']}, publication {data['position']}")


for each in (plans.remake, plans.renew, plans.rotate):
    app.command()(each)


@app.command()
def reset(directory: Dir = FOLDER, yes: Yes = False) -> None:
    """Forget what is planned. What is published stands."""
    from clients.operations import plan as planning
    from clients.operations import root

    folder = root.Folder(directory)
    folder.plan()
    if folder.view() is None:
        raise NotReady("a federation that is not published yet is nothing but its plan", hint="remove its folder")
    here().confirm("forget what is planned?", yes)
    folder.keep_plan(planning.Plan())
    folder.keep_ceremony(None)
    here().emit({"planned": False}, "planned    nothing")


@app.command()
def status(directory: Dir = FOLDER) -> None:
    """What stands, what is planned, who has signed."""
    from clients.operations import root

    data = root.status(root.Folder(directory), now=now())
    here().emit(data, lambda: status_words(data))
