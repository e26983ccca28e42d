"""``securechan profile``: the identities on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.frame import group, here
from clients.operations import profile as profiles
from clients.render import table
from securechan.errors import NotFound

app = group("The identities on this machine.")


@app.command()
def ls() -> None:
    """List profiles; the one that is used is marked."""
    me = here()
    data = profiles.ls(me.home, me.profile.name)
    if not data:
        me.note("no profile yet: securechan enrol -")
    me.emit(data, lambda: table([_row(profile) for profile in data]))


def _row(profile: dict[str, Any]) -> list[str]:
    held = profile["held_by"]
    return [
        "*" if profile["current"] else " ",
        profile["profile"],
        "" if profile["enrolled"] else "empty",
        "" if held is None else f"in use by process {held['pid']}",
    ]


@app.command()
def use(name: Annotated[str, typer.Argument(help="The profile's name.")]) -> None:
    """Use this profile where none is named."""
    me = here()
    chosen = me.home.use(name)
    me.emit(profiles.show(chosen, name), f"profile    {name}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="The profile's name; else the one that is used.")] = "") -> None:
    """Where a profile lies and who holds it."""
    me = here()
    profile = me.home.profile(name) if name else me.profile
    if not profile.folder.exists():
        raise NotFound(f"no profile {profile.name}", hint="securechan profile ls")
    data = profiles.show(profile, me.profile.name)
    held = data["held_by"]
    by = "nobody" if held is None else f"process {held['pid']}: {held['command']}"
    me.emit(
        data,
        f"profile    {profile.name}{'  (used)' if data['current'] else ''}\nfolder     {data['folder']}\n"
        f"vault      {'there' if data['enrolled'] else 'none'}\n"
        f"held by    {by}\n"
        f"proxy      {data['proxy'] or 'as the system says'}\n"
        f"believes   {data['ca'] or 'the certificates of the system'}",
    )


@app.command("set")
def set_(
    proxy: Annotated[
        str | None,
        typer.Option("--proxy", help="http://HOST:PORT, socks5h://…; none: straight; empty: as the system says."),
    ] = None,
    ca: Annotated[
        str | None, typer.Option("--ca", help="A PEM file to believe instead of the system's; none: the system's.")
    ] = None,
) -> None:
    """How this profile gets to the relay. SECURECHAN_PROXY and SECURECHAN_CA stand over it."""
    me = here()
    if proxy is None and ca is None:
        raise typer.BadParameter("name what is to change: --proxy or --ca")
    profiles.set_line(me.profile, proxy, ca)
    data = profiles.show(me.profile, me.profile.name)
    me.emit(data, f"profile    {me.profile.name}\nproxy      {data['proxy'] or 'as the system says'}")
