"""clients/operations/upkeep.py: a watching administrator's device renews its roster, and nobody else's does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clients.cli.events import line
from clients.operations import rosters, upkeep
from clients.operations.engine import perform
from clients.passphrase import Passphrases
from securechan.errors import Unreachable
from tests.clients.station import Station


async def watched(station: Station, wanted: str) -> dict[str, Any]:
    """The first event of that kind that a watching device tells of."""
    found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def give(event: dict[str, Any]) -> None:
        if event["event"] == wanted and not found.done():
            found.set_result(event)

    watching = asyncio.create_task(
        perform(station.profile, Passphrases(file=station.passphrase), "watch.watch", {}, give=give)
    )
    try:
        async with asyncio.timeout(30):
            return await found
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at once and often, and finds every roster old."""
    for name, value in (("FIRST", 0.05), ("EVERY", 0.05), ("SPREAD", 0.0), ("SHARE", 2.0)):
        monkeypatch.setattr(upkeep, name, value)


@pytest.mark.usefixtures("hurried")
def test_a_roster_is_renewed_by_who_can(office: Station) -> None:
    before = office.json("admin", "status")["roster"]
    told = asyncio.run(watched(office, "roster-renewed"))
    assert told["roster"] > before
    assert office.json("admin", "status")["roster"] >= told["roster"]
    assert line(told) == f"renewed the roster of cert-hr: version {told['roster']}"


@pytest.mark.usefixtures("hurried")
def test_what_fails_is_told_and_tried_again(office: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    renew, tries = rosters.renew, []

    async def first_fails(work: Any, params: dict[str, Any]) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise Unreachable("no relay answers", code="unreachable")
        return await renew(work, params)

    monkeypatch.setattr(rosters, "renew", first_fails)
    assert line(asyncio.run(watched(office, "roster-kept-back"))) == "the roster could not be renewed: no relay answers"
    assert asyncio.run(watched(office, "roster-renewed"))["agency"] == "cert-hr"


def test_it_is_not_due_for_who_holds_no_key_nor_before_half_of_its_time(
    keyless: Station, office: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clients.operations.engine import opened

    async def is_due(station: Station, share: float) -> bool:
        passphrases = Passphrases(file=station.passphrase)
        with station.profile.hold("test"):
            async with opened(station.profile, passphrases) as work:
                await work.synced()
                monkeypatch.setattr(upkeep, "SHARE", share)
                return upkeep.due(work)

    assert not asyncio.run(is_due(keyless, 2.0))
    assert asyncio.run(is_due(office, 2.0))
    assert not asyncio.run(is_due(office, 0.5))
