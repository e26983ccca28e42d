"""``securechan profile``: the identities on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.frame import group, here
from clients.operations import profile as profiles
from clients.render import safe, table
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


@app.command()
def passphrase(
    name: Annotated[str, typer.Argument(help="The profile's name; else the one that is used.")] = "",
    new_file: Annotated[
        Path | None, typer.Option("--new-passphrase-file", help="Take the new one from the first line of this file.")
    ] = None,
    new_fd: Annotated[
        int | None, typer.Option("--new-passphrase-fd", min=0, help="Take the new one from an open file descriptor.")
    ] = None,
) -> None:
    """Change the passphrase that opens a profile.

    The old one is taken as every command takes it. The new one is asked for twice, or comes from --new-passphrase-file
    or --new-passphrase-fd; SECURECHAN_PASSPHRASE_FILE never names it.

    What was copied before still opens with the old one, and with that copy also what the profile holds later. Who may
    have both has this device: revoke it and enrol anew. Keys in files have passphrases of their own, which stay."""
    me = here()
    if new_file is not None and new_fd is not None:
        raise typer.BadParameter("give one of them", param_hint="--new-passphrase-file and --new-passphrase-fd")
    if new_fd is not None and new_fd == me.passphrase_fd:
        raise typer.BadParameter("the old passphrase comes from this descriptor", param_hint="--new-passphrase-fd")
    profile = me.home.profile(name) if name else me.profile
    with me.progress("opening the vault"):
        data = profiles.change_passphrase(profile, me.passphrases, me.new_passphrases(new_file, new_fd), me.command)
    me.emit(data, f"changed    the passphrase of profile {profile.name}")
    source = me.passphrases.file
    if source is not None and me.passphrase_fd is None:
        me.note(f"{safe(str(source))} still holds the old passphrase")
    if data["keys"]:
        me.note(f"these keys keep passphrases of their own: {', '.join(safe(key) for key in data['keys'])}")
