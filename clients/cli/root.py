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
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.frame import group, here, run
from clients.render import count, duration, safe, table
from securechan.errors import NotReady

if TYPE_CHECKING:
    from clients.operations.plan import Change
    from clients.operations.root import Folder

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

Dir = Annotated[Path, typer.Option("--dir", help="The federation's folder.", envvar="SECURECHAN_FEDERATION")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
FOLDER = Path("federation")
_MARKS = ("+", "-", "~")  # of a line that says a change


def _now() -> int:
    from clients.clock import SystemClock

    return int(SystemClock().time())


def _folder(path: Path) -> Folder:
    from clients.operations.root import Folder

    return Folder(path)


def _plan(path: Path, change: Change, said: str) -> None:
    """Change the plan, show what the ceremony has become."""
    from clients.operations import root

    me = here()
    data = root.planned(root.Folder(path), change, now=_now())
    if data["signatures_lost"]:
        me.warn(f"the ceremony was made anew, signatures lost: {data['signatures_lost']}")
    me.emit(data, lambda: f"{said}\n{_ceremony_words(data['ceremony'])}")


# ---------------------------------------------------------------------------------------------------------------- words


def _ceremony_words(told: dict[str, Any] | None) -> str:
    if told is None:
        return "ceremony   none yet: a federation needs a relay (securechan root add-relay CARD)"
    me = here()
    counted = f"{count(sum(line.startswith(_MARKS) for line in told['changes']), 'change')} in {_documents(told)}"
    if not me.verbose:
        counted += " (each of them: --verbose)"
    lines = [f"ceremony   {told['file']}", f"holds      {counted}"]
    if me.verbose:
        lines += _changes(told)
    return "\n".join([*lines, *_signing_words(told)])


def _documents(told: dict[str, Any]) -> str:
    """The federation's own by name; agencies' papers may be many, and are counted."""
    roles = {signing["role"]: signing["version"] for signing in told["signing"]}
    own = [f"{role} {version}" for role, version in roles.items() if role in ("root", "targets")]
    others = len(roles) - len(own)
    return " and ".join((", ".join(own), *([count(others, "document") + " of agencies"] if others else [])))


def _changes(told: dict[str, Any]) -> list[str]:
    return [f"  {safe(line)}" for line in told["changes"]]


def _signing_words(told: dict[str, Any]) -> list[str]:
    """What is missing, one line a document; what has all its signatures is only named with --verbose."""
    lines = []
    for signing in told["signing"]:
        document = f"{signing['role']} {signing['version']}"
        if not signing["missing"] and not here().verbose:
            continue
        whose = "named in it" if signing["by"] == document else f"named in {signing['by']}"
        more = f", {signing['missing']} more to sign" if signing["missing"] else ""
        lines.append(
            f"signed     {document}: {len(signing['signed'])} of {signing['needed']} key holders {whose}{more}"
        )
    if told["complete"]:
        return [*lines, "signed     by all who must", "next       securechan root publish"]
    return [*lines, f"next       each holder: securechan root sign {told['file']} --key FILE"]


# ------------------------------------------------------------------------------------------------------------- commands


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


@app.command("add-relay")
def add_relay(
    card: Annotated[Path, typer.Argument(help="The card that securechan-relay init wrote.")],
    url: Annotated[
        list[str] | None, typer.Option("--url", help="Where clients find it; else as its card says.")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="It does not publish trust for the federation.")] = False,
    directory: Dir = FOLDER,
) -> None:
    """Add a relay, or replace its card.

    The first one publishes for the federation."""
    from clients.operations import plan as planning

    change = planning.add_relay(here().read_in(card, 1 << 20), tuple(url or ()), publisher=False if mirror else None)
    _plan(directory, change, f"planned    relay of {card}")


@app.command("remove-relay")
def remove_relay(
    name: Annotated[str, typer.Argument(help="The relay's name.")],
    directory: Dir = FOLDER,
) -> None:
    """Take a relay out of the federation."""
    from clients.operations import plan as planning

    _plan(directory, planning.drop_relay(name), f"planned    relay {name} goes")


@app.command("admit-agency")
def admit_agency(
    request: Annotated[Path, typer.Argument(help="The application that securechan admin init wrote.")],
    rekey: Annotated[bool, typer.Option("--rekey", help="The agency stands; its authority has new keys.")] = False,
    directory: Dir = FOLDER,
) -> None:
    """Admit an agency by its application. Make sure by another channel that it comes from that agency."""
    from clients.operations import plan as planning

    change = planning.admit_agency(here().read_in(request), rekey=rekey)
    _plan(directory, change, f"planned    agency of {request}")


@app.command("remove-agency")
def remove_agency(
    agency: Annotated[str, typer.Argument(help="The agency's name.")],
    directory: Dir = FOLDER,
) -> None:
    """Remove an agency and all its devices.

    Once that is published, they are out at once and everywhere."""
    from clients.operations import plan as planning

    _plan(directory, planning.remove_agency(agency), f"planned    agency {agency} goes")


@app.command()
def community(
    name: Annotated[str, typer.Argument(help="The community's name, as in eu-csirts.")],
    founder: Annotated[
        list[str] | None, typer.Option("--founder", help="A device (agency/device) that may found it.")
    ] = None,
    bound_group: Annotated[str, typer.Option("--group", help="The group that it is, once it is founded.")] = "",
    title: Annotated[str, typer.Option("--title", help="What it is, in words.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Free the name again.")] = False,
    directory: Dir = FOLDER,
) -> None:
    """Bind a community's name to founders or a group.

    Whoever is invited then joins it unasked."""
    from clients.operations import plan as planning

    if not remove and not founder and not bound_group:
        raise typer.BadParameter("name who may found it (--founder), or the group that it is (--group)")
    change = (
        planning.drop_community(name)
        if remove
        else planning.community(name, founders=tuple(founder or ()), group=bound_group, title=title)
    )
    _plan(directory, change, f"planned    community {name}{' goes' if remove else ''}")


@app.command()
def policy(
    lifetime: Annotated[
        list[str] | None, typer.Option("--lifetime", help="How long documents live: roster=30d, targets=90d, …")
    ] = None,
    minimum: Annotated[
        list[str] | None, typer.Option("--threshold", help="How many must sign at least: agency=1, roster=2, …")
    ] = None,
    grace: Annotated[str, typer.Option("--grace", help="How long sending goes on after an expiry: 14d.")] = "",
    devices: Annotated[int | None, typer.Option("--devices", help="Devices of one agency at most.")] = None,
    agencies: Annotated[int | None, typer.Option("--agencies", help="Agencies at most.")] = None,
    directory: Dir = FOLDER,
) -> None:
    """Show the federation's shared rules, or plan others."""
    from clients.operations import plan as planning
    from clients.operations import root
    from securechan.trust.records import Policy

    if not (lifetime or minimum or grace) and devices is None and agencies is None:
        folder = root.Folder(directory)
        plan, view = folder.plan(), folder.view()
        standing = plan.policy or (view.policy if view is not None else Policy())
        here().emit(standing.custom(), lambda: _policy_words(standing.custom()))
        return
    lifetimes = {name: _seconds(value) for name, value in _pairs(lifetime)}
    thresholds = {name: _count(value) for name, value in _pairs(minimum)}

    def change(standing: Policy) -> Policy:
        return planning.policy_with(
            standing,
            lifetimes=lifetimes,
            thresholds=thresholds,
            grace=_seconds(grace) if grace else None,
            devices=devices,
            agencies=agencies,
        )

    _plan(directory, planning.policy(change), "planned    policy")


def _pairs(said: list[str] | None) -> list[tuple[str, str]]:
    pairs = [each.partition("=")[::2] for each in said or ()]
    if any(not name or not value for name, value in pairs):
        raise typer.BadParameter("write NAME=VALUE, as in roster=30d")
    return pairs


def _seconds(said: str) -> int:
    from clients.render import parse_duration

    try:
        return parse_duration(said)
    except ValueError as e:
        raise typer.BadParameter(str(e)) from None


def _count(said: str) -> int:
    if not said.isdecimal():
        raise typer.BadParameter(f"{said!r} is no number")
    return int(said)


def _policy_words(told: dict[str, Any]) -> str:
    rows = [["profiles", ", ".join(told["profiles"])]]
    rows += [[f"lifetime {name}", duration(value)] for name, value in told["lifetimes"].items()]
    rows += [[f"threshold {name}", str(value)] for name, value in told["thresholds"].items()]
    rows += [
        ["grace", duration(told["grace"])],
        ["devices of an agency", str(told["devices_per_agency"])],
        ["agencies", str(told["agencies"])],
    ]
    return table(rows)


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
        for line in _changes(told):
            me.note(line)
    me.confirm("sign this?", yes)
    with me.progress("signing"):
        signed = root.sign(ceremony, opened, keys, me.passphrases)
    data = {"file": str(ceremony), **tell_drafts(signed)}
    me.emit(data, lambda: "\n".join(_signing_words(data)))


@app.command()
def merge(
    ceremony: Annotated[Path, typer.Argument(help="The ceremony's file.")],
    copies: Annotated[list[Path], typer.Argument(help="Copies of it that others have signed.")],
) -> None:
    """Put signatures from copies into one file."""
    from clients.operations import root
    from clients.operations.ceremonies import tell_drafts

    data = {"file": str(ceremony), **tell_drafts(root.merge(ceremony, copies))}
    here().emit(data, lambda: "\n".join(_signing_words(data)))


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


@app.command()
def remake(directory: Dir = FOLDER) -> None:
    """Make the ceremony again on what stands now.

    It has to be signed again."""
    from clients.operations import plan as planning

    _plan(directory, planning.remake, "planned    the same on what stands now")


@app.command()
def renew(directory: Dir = FOLDER) -> None:
    """Plan the same federation for longer."""
    from clients.operations import plan as planning

    _plan(directory, planning.renew, "planned    the federation's document for longer")


@app.command()
def rotate(
    root_key: Annotated[
        list[Path] | None, typer.Option("--root-key", help="A public root key (.pub): all that are to stand.")
    ] = None,
    threshold: Annotated[int, typer.Option("--threshold", help="How many of them must sign.", min=0)] = 0,
    targets_key: Annotated[
        list[Path] | None, typer.Option("--targets-key", help="A public administrators' key: all that are to stand.")
    ] = None,
    targets_threshold: Annotated[int, typer.Option("--targets-threshold", help="How many must sign.", min=0)] = 0,
    online: Annotated[
        Path | None, typer.Option("--online", help="The publishing relay's card, when its keys have changed.")
    ] = None,
    directory: Dir = FOLDER,
) -> None:
    """Plan the next root: other keys or thresholds.

    Or another online key; or, with no option, the same for longer. Enough of the old holders and of the new ones sign
    it."""
    from clients.operations import plan as planning

    card = None if online is None else here().read_in(online, 1 << 20)
    change = planning.rotate(
        planning.Holders(tuple(root_key or ()), 0, threshold),
        planning.Holders(tuple(targets_key or ()), 0, targets_threshold),
        card,
    )
    _plan(directory, change, "planned    root rotation")


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

    data = root.status(root.Folder(directory), now=_now())
    here().emit(data, lambda: _status_words(data))


def _status_words(data: dict[str, Any]) -> str:
    lines = [f"folder     {data['folder']}", f"root       {data['root'] or 'not published yet'}"]
    federation = data["federation"]
    if federation is not None:
        lines.append(f"trust      root {federation['root_version']}, snapshot {federation['version']}")
        lines += [
            f"agency     {agency['agency']}  {safe(agency['title'])}  roster {agency['roster']}, "
            f"{count(agency['devices'], 'device')}"
            for agency in federation["agencies"]
        ]
        lines += [
            f"relay      {relay['relay']}  {', '.join(relay['urls'])}{'  publisher' if relay['publisher'] else ''}"
            for relay in federation["relays"]
        ]
        lines += [f"community  {binding['name']}  {safe(binding['title'])}" for binding in federation["communities"]]
        lines += [
            f"{expiry['state']:10} {expiry['role']} until {expiry['expires']} ({duration(expiry['left'])})"
            for expiry in federation["expiries"]
            if expiry["state"] != "ok"
        ]
    if data["address"] is not None:
        lines.append(f"address    {data['address']}")
    if data["ceremony"] is not None or data["planned"]:
        lines.append(_ceremony_words(data["ceremony"]))
    return "\n".join(lines)
