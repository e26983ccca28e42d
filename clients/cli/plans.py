"""Verbs of ``root`` that say what the federation is to be: who belongs, which relays, which rules, which keys.

Each changes the plan in the federation's folder and shows what the ceremony has become; nothing counts until enough
holders have signed that and it is published.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.ceremony import ceremony_words
from clients.cli.doing import length, now
from clients.cli.frame import here
from clients.render import duration, table

if TYPE_CHECKING:
    from clients.operations.plan import Change
    from securechan.trust.records import Policy

Dir = Annotated[Path, typer.Option("--dir", help="The federation's folder.", envvar="SECURECHAN_FEDERATION")]
FOLDER = Path("federation")


def _plan(path: Path, change: Change, said: str) -> None:
    """Change the plan, show what the ceremony has become."""
    from clients.operations import root

    me = here()
    data = root.planned(root.Folder(path), change, now=now())
    if data["signatures_lost"]:
        me.warn(f"the ceremony was made anew, signatures lost: {data['signatures_lost']}")
    me.emit(data, lambda: f"{said}\n{ceremony_words(data['ceremony'])}")


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


def remove_relay(
    name: Annotated[str, typer.Argument(help="The relay's name.")],
    directory: Dir = FOLDER,
) -> None:
    """Take a relay out of the federation."""
    from clients.operations import plan as planning

    _plan(directory, planning.drop_relay(name), f"planned    relay {name} goes")


def admit_agency(
    request: Annotated[Path, typer.Argument(help="The application that securechan admin init wrote.")],
    rekey: Annotated[bool, typer.Option("--rekey", help="The agency stands; its authority has new keys.")] = False,
    directory: Dir = FOLDER,
) -> None:
    """Admit an agency by its application. Make sure by another channel that it comes from that agency."""
    from clients.operations import plan as planning

    change = planning.admit_agency(here().read_in(request), rekey=rekey)
    _plan(directory, change, f"planned    agency of {request}")


def remove_agency(
    agency: Annotated[str, typer.Argument(help="The agency's name.")],
    directory: Dir = FOLDER,
) -> None:
    """Remove an agency and all its devices.

    Once that is published, they are out at once and everywhere."""
    from clients.operations import plan as planning

    _plan(directory, planning.remove_agency(agency), f"planned    agency {agency} goes")


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
    lifetimes = {name: length(value, "--lifetime") for name, value in _pairs(lifetime)}
    thresholds = {name: _count(value) for name, value in _pairs(minimum)}

    def change(standing: Policy) -> Policy:
        return planning.policy_with(
            standing,
            lifetimes=lifetimes,
            thresholds=thresholds,
            grace=length(grace, "--grace") if grace else None,
            devices=devices,
            agencies=agencies,
        )

    _plan(directory, planning.policy(change), "planned    policy")


def _pairs(said: list[str] | None) -> list[tuple[str, str]]:
    pairs = [each.partition("=")[::2] for each in said or ()]
    if any(not name or not value for name, value in pairs):
        raise typer.BadParameter("write NAME=VALUE, as in roster=30d")
    return pairs


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


def remake(directory: Dir = FOLDER) -> None:
    """Make the ceremony again on what stands now.

    It has to be signed again."""
    from clients.operations import plan as planning

    _plan(directory, planning.remake, "planned    the same on what stands now")


def renew(directory: Dir = FOLDER) -> None:
    """Plan the same federation for longer."""
    from clients.operations import plan as planning

    _plan(directory, planning.renew, "planned    the federation's document for longer")


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
