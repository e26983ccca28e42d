"""``securechan bulletin forward``, ``ask-consent``, ``consents``, ``consent``: bulletins brought elsewhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.desk import Bulletin, Timeout, Wait, published
from clients.cli.doing import do
from clients.cli.frame import here
from clients.render import safe, stranger, table


def forward(
    bulletin: Bulletin,
    to: Annotated[str, typer.Option("--to", help="The conversation to bring it to.")],
    identity: Annotated[
        str | None, typer.Option("--id", help="32 hexadecimal digits: the same id is the same forward, sent once.")
    ] = None,
    wait: Wait = "sent",
    timeout: Timeout = 120.0,
) -> None:
    """Bring a bulletin elsewhere, as far as its label lets it.

    Its revisions and its withdrawal follow by themselves. Exit 7 where its label doesn't let it: then its issuer can
    be asked for consent."""
    data = do("bulletin.forward", bulletin=bulletin, to=to, id=identity, wait=wait, timeout=timeout)
    here().emit(data, lambda: published("forwarded", data))


def ask_consent(
    bulletin: Bulletin,
    to: Annotated[str, typer.Option("--to", help="The conversation that it shall be read in.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the people who are asked.")] = None,
    timeout: Timeout = 60.0,
) -> None:
    """Ask its issuer whether a bulletin may be forwarded."""
    data = do("bulletin.ask-consent", bulletin=bulletin, to=to, reason=reason, timeout=timeout)
    here().emit(data, lambda: f"asked  about {data['bulletin']} rev {data['revision']} in {safe(data['name'])}")


def consents(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that a person here has to answer.")] = False,
) -> None:
    """Consents to forward: asked of this desk, and by it."""
    data = do("bulletin.consents", online=False, waiting=waiting)
    here().show(data, lambda: _asked(data))


def _asked(data: dict[str, Any]) -> str:
    rows = [
        (
            each["bulletin"],
            each["state"],
            each["officer"],
            stranger(each["name"]),
            " ".join(each["agencies"]),
            each["until"] or "",
            stranger(each["reason"]),
        )
        for each in data["consents"]
    ]
    head = ("bulletin", "state", "asked by", "to be read in", "where are", "until", "reason")
    return table([tuple(map(safe, row)) for row in rows], head=head) if rows else "none"


def consent(
    bulletin: Bulletin,
    agency: Annotated[str, typer.Option("--to-agency", help="The agency that asked.")],
    to: Annotated[str | None, typer.Option("--to", help="The conversation, where it asked about several.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="How long the consent holds.")] = 30,
    deny: Annotated[bool, typer.Option("--deny", help="Say no.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    timeout: Timeout = 60.0,
) -> None:
    """Answer an agency that asked to forward a bulletin of yours.

    A consent is signed, and shown to everyone who reads the forward."""
    me = here()
    question = do("bulletin.asked", online=False, bulletin=bulletin, agency=agency, to=to)
    named, there = question["bulletin"], question["agencies"]
    if not deny:
        place = f"{stranger(question['name'])}, where {' '.join(there)} read"
        me.confirm(safe(f"let {agency} bring {named} to {place}?"), yes)
    answer = {"bulletin": named, "agency": agency, "to": question["to"], "agencies": there}
    data = do("bulletin.consent", **answer, days=days, deny=deny, timeout=timeout)
    until = f" until {data['until']}" if data["until"] else ""
    me.emit(data, lambda: f"{data['state']}  {data['bulletin']} to {safe(agency)} in {safe(data['name'])}{until}")
