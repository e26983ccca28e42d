"""An agency comes to be: its first administrator, further ones, and their devices' way in.

admin init cert-hr --officer alice                keys, and an application for the federation
admin prepare cert-hr --officer bob               a further administrator's keys, and papers for who founds it
admin join ADDRESS                                once it is admitted, every administrator's device comes in
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from clients.cli.doing import now
from clients.cli.frame import here, run
from clients.cli.office import Roles, Yes

_ALL: Final = ("admin", "desk", "liaison")


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
    """Found an agency, and apply for the federation.

    Makes the agency's authority's keys, this device, and the application that the federation admits."""
    from clients.operations import founding
    from securechan.trust.enrolment import check_roles
    from securechan.trust.names import check_agency
    from securechan.trust.records import AgencyRecord, made

    me = here()
    check_agency(agency)
    others = [founding.Administrator.decode(me.read_in(path)) for path in second or ()]
    for other in others:
        me.note(f"administrator {other.record.address}  words {'  '.join(other.words)}")
    if others:
        me.confirm("are these the words that the other administrators see?", yes)
    record = made(AgencyRecord, agency=agency, title=title or agency, country=country, contact=contact)
    with me.profile.hold(me.command), me.progress("making keys"):
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
            now=now(),
        )
    me.emit(
        {**data, "profile": me.profile.name},
        lambda: "\n".join(
            [
                f"agency     {agency}  administrator {data['officer']}  device {data['device']}",
                *(f"authority  {path}" for path in data["authority"]),
                f"wrote      {data['application']}",
                *application_words(data),
            ]
        ),
    )
    if data["authority"]:
        me.note("hint: the authority's key is needed rarely: move it to a place that is offline, and back it up")


def application_words(data: dict[str, Any]) -> list[str]:
    missing = [
        f"signed     {signing['role']}: {len(signing['signed'])} of {signing['needed']}"
        for signing in data["signing"]
        if signing["missing"]
    ]
    if missing:
        return [*missing, "next       who has to sign: securechan admin sign APPLICATION"]
    return ["next       give it to the federation's administrators; then securechan admin join ADDRESS"]


def prepare(
    agency: Annotated[str, typer.Argument(help="The agency's name.")],
    officer: Annotated[str, typer.Option("--officer", help="Who you are: a handle, as in bob.")],
    device: Annotated[str, typer.Option("--device", help="What to call this device; else a name is made up.")] = "",
    role: Roles = None,
    out: Annotated[Path | None, typer.Option("--out", help="The papers' file.")] = None,
) -> None:
    """Make a further administrator's keys.

    And papers for who founds the agency (admin init --second)."""
    from clients.operations import founding
    from securechan.trust.enrolment import check_roles

    me = here()
    path = out or Path(f"{officer}.administrator")
    with me.profile.hold(me.command), me.progress("making keys"):
        papers, _ = founding.prepare(
            me.profile,
            lambda: me.passphrases.new(f"profile {me.profile.name}"),
            agency=agency,
            officer=officer,
            device=device,
            roles=check_roles({*(role or _ALL), "admin"}),
            now=now(),
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


def join(
    address: Annotated[str, typer.Argument(help="The federation's address line; - reads it from stdin.")],
) -> None:
    """Bring your device in, once the agency is admitted."""
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
    from clients.clock import SystemClock
    from clients.federation import Address
    from clients.line import Line
    from clients.operations import founding
    from clients.operations.engine import open_vault

    me = here()
    parsed = Address.parse(line).reached()
    with me.profile.hold(me.command), await open_vault(me.profile, me.passphrases) as vault:
        return await founding.join(vault, parsed, SystemClock(), Line.find(me.profile.folder))
