"""clients/federation.py: an address is whole and the relay is the one it names; trust is read from the root or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from clients.clock import SystemClock
from clients.connection import Route
from clients.errand import Errand
from clients.federation import PREFIX, Address, newest_kem, publish, replay, route_to
from clients.line import Line
from securechan.errors import Malformed, Stale, Untrusted
from securechan.trust.records import RelayRecord
from securechan.trust.view import View
from securechan.wire.handshake import RelayIdentity
from tests.clients.conftest import Town


def address(town: Town) -> Address:
    return Address.of(town.founded.root_id, record(town))


def record(town: Town) -> RelayRecord:
    return asyncio.run(view_of(town)).relays["relay-1"]


def way(town: Town) -> Route:
    return Route(town.founded.relay, (town.relay.url,), town.founded.office("targets"))


async def view_of(town: Town) -> View:
    async with Errand.begin(way(town), SystemClock()) as errand:
        return await replay(errand, town.founded.root_id)


def test_a_line_says_where_and_what_proves_it(town: Town) -> None:
    made = address(town)
    line = made.line()
    assert line.startswith(PREFIX)
    assert Address.parse(f" {line[:60]}\n{line[60:]} ") == made
    assert (made.relay, made.url) == ("relay-1", town.relay.url)


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda line: line[:-4], lambda line: line[:40] + "!" + line[41:], lambda _: ""]
)
def test_a_line_that_is_not_whole_is_told(town: Town, spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(Malformed):
        Address.parse(spoil(address(town).line()))


def test_one_altered_letter_is_noticed(town: Town) -> None:
    line = address(town).line()
    for at in range(len(PREFIX), len(line), 37):
        other = "A" if line[at] != "A" else "B"
        with pytest.raises(Malformed):
            Address.parse(line[:at] + other + line[at + 1 :])


def test_the_relay_that_answers_is_the_one_that_was_named(town: Town) -> None:
    made = address(town)
    assert asyncio.run(made.relay_key(Line())) == town.founded.relay
    for wrong in (
        Address(made.url, made.relay, bytes(48), made.root_id),
        Address(made.url, "relay-2", made.kem_hash, made.root_id),
    ):
        with pytest.raises(Untrusted) as e:
            asyncio.run(wrong.relay_key(Line()))
        assert e.value.code == "wrong-relay"


def test_another_way_to_the_same_relay_may_be_named(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    made = address(town)
    assert made.reached({}) == made
    elsewhere = made.reached({"SECURECHAN_RELAY": "ws://127.0.0.1:1"})
    assert (elsewhere.url, elsewhere.kem_hash) == ("ws://127.0.0.1:1", made.kem_hash)
    known = record(town)
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    assert route_to(made.root_id, known, town.founded.office("targets")).urls == ("ws://127.0.0.1:1",)


def test_trust_is_replayed_from_the_root(town: Town) -> None:
    view = asyncio.run(view_of(town))
    assert view.root_id == town.founded.root_id
    assert set(view.agencies) == {"cert-hr", "cert-pl", "cert-si"}


def test_another_root_is_refused(town: Town) -> None:
    async def read() -> View:
        async with Errand.begin(way(town), SystemClock()) as errand:
            return await replay(errand, bytes(48))

    with pytest.raises(Untrusted) as e:
        asyncio.run(read())
    assert e.value.code == "wrong-root"


def test_a_relay_without_a_federation_says_so() -> None:
    class Empty:
        async def follow(self, topic: bytes, *, live: bool) -> AsyncIterator[object]:
            del topic, live
            return
            yield

    with pytest.raises(Exception, match="serves no federation yet"):
        asyncio.run(replay(Empty(), bytes(48)))  # nothing else of it is used


def test_who_publishes_on_an_old_view_is_told(town: Town) -> None:
    async def try_it() -> None:
        async with Errand.begin(way(town), SystemClock()) as errand:
            view = await replay(errand, town.founded.root_id)
            old = View.bootstrap(view.roots[0].content)
            await publish(errand, old, [town.founded.roster("cert-si", view)])

    with pytest.raises(Stale, match="published meanwhile"):
        asyncio.run(try_it())


def test_of_two_keys_the_newer_is_used(town: Town) -> None:
    made = record(town)
    route = route_to(town.founded.root_id, made, town.founded.office("targets"))
    assert route.relay == RelayIdentity(town.founded.root_id, "relay-1", newest_kem(made))
    assert route.urls == made.urls
