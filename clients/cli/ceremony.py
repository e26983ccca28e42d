"""What people are told of a federation: what stands, what a ceremony changes, who has signed, what comes next."""

from __future__ import annotations

from typing import Any

from clients.cli.frame import here
from clients.cli.office import changes
from clients.render import count, duration, safe

_MARKS = ("+", "-", "~")  # of a line that says a change


def ceremony_words(told: dict[str, Any] | None) -> str:
    if told is None:
        return "ceremony   none yet: a federation needs a relay (securechan root add-relay CARD)"
    me = here()
    counted = f"{count(sum(line.startswith(_MARKS) for line in told['changes']), 'change')} in {_documents(told)}"
    if not me.verbose:
        counted += " (each of them: --verbose)"
    lines = [f"ceremony   {told['file']}", f"holds      {counted}"]
    if me.verbose:
        lines += changes(told["changes"])
    return "\n".join([*lines, *signing_words(told)])


def _documents(told: dict[str, Any]) -> str:
    """The federation's own by name; agencies' papers may be many, and are counted."""
    roles = {signing["role"]: signing["version"] for signing in told["signing"]}
    own = [f"{role} {version}" for role, version in roles.items() if role in ("root", "targets")]
    others = len(roles) - len(own)
    return " and ".join((", ".join(own), *([count(others, "document") + " of agencies"] if others else [])))


def signing_words(told: dict[str, Any]) -> list[str]:
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


def status_words(data: dict[str, Any]) -> str:
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
        lines.append(ceremony_words(data["ceremony"]))
    return "\n".join(lines)
