"""Notices of sessions while the cluster is away: one for each device waits, however often it comes and goes."""

from __future__ import annotations

from typing import Any

import pytest

from relay.store import sessions
from relay.store.jetstream import Unsure
from relay.store.news import Elsewhere
from tests.relay.store.test_nats import Ear, eventually, relays
from tests.support.cluster import Cluster


async def test_a_crowd_that_comes_again_and_again_leaves_one_notice_each(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_AGAIN", 0.01)
    async with relays(cluster, 2) as (first, second):
        ear = Ear(second)
        honest, away, tried = first.link.put, True, 0

        async def put(*given: Any, **also: Any) -> int:
            nonlocal tried
            tried += 1
            if away:
                raise Unsure("no answer in time")
            return await honest(*given, **also)

        monkeypatch.setattr(first.link, "put", put)
        crowd = [b"device %d" % n for n in range(20)]
        for _ in range(50):
            for who in crowd:
                first.announce(who)

        async def all_tried() -> bool:
            return tried >= 3 * len(crowd)

        await eventually(all_tried)
        assert len(first._sessions._unsent) == len(crowd)
        assert len(first._tasks) <= len(crowd) + 2  # beside the feed, and the looks at the log
        away = False
        await ear.until(lambda heard: len(heard) == len(crowd))
        assert {news.who for news in ear.heard if isinstance(news, Elsewhere)} == set(crowd)

        async def nothing_left() -> bool:
            return not first._sessions._unsent and not first._sessions._announced

        await eventually(nothing_left)
        first.announce(crowd[0])  # a later one is told again
        await ear.until(lambda heard: heard.count(Elsewhere(crowd[0])) == 2)
