"""``securechan doctor``: is everything here as it should be?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.frame import group, here, run
from clients.exitcodes import Exit
from clients.render import safe
from securechan.errors import SecurechanError

app = group("Check this device.")
COMMAND = "securechan doctor"


@app.command()
def doctor(
    strict: Annotated[bool, typer.Option("--strict", help="A warning counts as a failure.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the relay alone.")] = False,
) -> None:
    """Check libraries, algorithms, files, clock, relay, trust and key packages. Exits with 13 where a check fails."""
    from clients.operations import doctor as checks

    me = here()
    profile = me.profile
    with me.progress("checking"):
        found = checks.here(profile)
        device = None
        if profile.enrolled:
            device, more = _device(offline)
            found += more
    failed = [each for each in found if each["state"] == "fail" or (strict and each["state"] == "warn")]
    data = {"profile": profile.name, "device": device, "healthy": not failed, "checks": found}
    me.emit(data, lambda: "\n".join(_words(each) for each in found))
    if failed:
        raise typer.Exit(Exit.DOCTOR)


def _device(offline: bool) -> tuple[str | None, list[dict[str, Any]]]:
    """The checks that need the open vault. That it doesn't open is itself what a check finds."""
    from clients.operations.doctor import fail
    from clients.operations.engine import perform

    me = here()
    work = perform(
        me.profile, me.passphrases, "doctor.device", {"offline": offline}, online=not offline, command=COMMAND
    )
    try:
        data = run(work)
    except SecurechanError as e:
        if e.code in ("passphrase-needed", "no-passphrase", "wrong-passphrase", "passphrase-file"):
            raise
        return None, [fail("vault", e.message, e.hint)]
    return data["device"], data["checks"]


def _words(check: dict[str, Any]) -> str:
    line = f"{check['state']:5} {check['check']}: {safe(check['detail'])}"
    return line if not check["hint"] else f"{line}\n      hint: {safe(check['hint'])}"
