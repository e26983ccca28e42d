"""``securechan init``: make this machine ready before an invite is at hand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.frame import group, here, run
from clients.exitcodes import Exit
from clients.render import safe
from securechan.errors import Conflict, Malformed, Unreachable

app = group("Make this machine ready.")


@app.command()
def init(
    relay: Annotated[str, typer.Option("--relay", help="A relay to try the way to: wss://relay.example.int.")] = "",
    proxy: Annotated[
        str | None, typer.Option("--proxy", help="The proxy to it, as in: profile set. Kept in the profile.")
    ] = None,
    ca: Annotated[
        str | None, typer.Option("--ca", help="A PEM file to believe instead of the system's. Kept in the profile.")
    ] = None,
) -> None:
    """Make a profile, and check that this machine can do what is needed.

    Libraries, algorithms, files, disk; with --relay the way to it too. Keys and passphrase come with enrol or admin
    init. Exits with 13 where a check fails."""
    from clients.operations import doctor
    from clients.operations import profile as profiles

    me = here()
    profile = me.profile
    if profile.enrolled:
        raise Conflict(
            f"profile {profile.name} is in use already",
            hint="securechan doctor checks it; another one: securechan init --profile NAME",
        )
    with me.progress("checking"):
        profile.make()
        if proxy is not None or ca is not None:
            profiles.set_line(profile, proxy, ca)
        checks = doctor.here(profile)
        if relay:
            checks.append(run(_way(relay)))
    failed = [each for each in checks if each["state"] == "fail"]
    data = {**profiles.show(profile, profile.name), "healthy": not failed, "checks": checks}
    me.emit(data, lambda: "\n".join(_words(data)))
    if failed:
        raise typer.Exit(Exit.DOCTOR)
    me.note("next       with an invite: securechan enrol -   to found an agency: securechan admin init AGENCY")


async def _way(relay: str) -> dict[str, Any]:
    """A check like the doctor's: who answers at a relay's address."""
    from clients.errand import fetch_card
    from clients.line import Line
    from clients.operations.doctor import fail, ok

    line = Line.find(here().profile.folder)
    try:
        card = await fetch_card(relay, line)
    except (Unreachable, Malformed) as e:
        return fail("relay", e.message, e.hint)
    return ok("relay", f"{card.name} answers at {relay}{' through the proxy' if line.proxy_for(relay) else ''}")


def _words(data: dict[str, Any]) -> list[str]:
    told = [f"profile    {data['profile']}  in {data['folder']}"]
    for check in data["checks"]:
        if check["state"] != "ok":
            told.append(f"{check['state']:10} {check['check']}: {safe(check['detail'])}")
            told.append(f"           hint: {safe(check['hint'])}")
    good = sum(check["state"] == "ok" for check in data["checks"])
    return [*told, f"checked    {good} of {len(data['checks'])} are as they should be"]
