"""The way to the relay: through each kind of proxy and straight, with the operator's own certificate, and what is said
where it does not work."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from clients.connection import Up, connect
from clients.errand import fetch_card
from clients.line import NONE, Coat, Line, shown
from relay.config import Tls
from securechan.errors import Malformed, NotReady, SecurechanError, Unreachable
from tests.clients.relay_peer import Peer, StillClock
from tests.relay.certificates import certify
from tests.relay.inside import relay_inside
from tests.support.proxies import Proxy

SYSTEM = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy", "socks_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings stay out of it."""
    for name in (*SYSTEM, *map(str.upper, SYSTEM), "SECURECHAN_PROXY", "SECURECHAN_CA"):
        monkeypatch.delenv(name, raising=False)


def run(story: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story

    asyncio.run(bounded())


async def shake(peer: Peer, line: Line, url: str = "") -> Up:
    route = replace(peer.route(), line=line)
    connection = await connect(route, url or peer.url, StillClock())
    await connection.close()
    return connection.up


# ------------------------------------------------------------------------------------------------------------- proxies


@pytest.mark.parametrize("kind", ["http", "socks4a", "socks5"])
def test_a_session_goes_through_it_and_it_reads_nothing(kind: Any) -> None:
    async def story() -> None:
        async with (peer := Peer()).serving(), Proxy(kind) as proxy:
            port = peer.url.rpartition(":")[2]
            up = await shake(peer, Line(proxy.url), f"ws://relay.invalid:{port}")
            assert proxy.asked == [f"relay.invalid:{port}"]  # it looked the name up, not we
            assert up.proxy == proxy.url
            assert len(proxy.carried) > 2000
        assert peer.sessions == 1

    run(story())


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_may_want_a_name_and_a_password(kind: Any) -> None:
    async def story() -> None:
        async with (peer := Peer()).serving(), Proxy(kind, user="us", password="p@ss") as proxy:
            up = await shake(peer, Line(proxy.url.replace("p@ss", "p%40ss")))
            assert "p%40ss" not in up.proxy
            with pytest.raises(Unreachable) as caught:
                await shake(peer, Line(proxy.url.replace("p@ss", "wrong")))
            assert caught.value.code == "proxy"
            assert "wrong" not in caught.value.message
            assert f"127.0.0.1:{proxy.port}" in caught.value.message
        assert peer.sessions == 1

    run(story())


@pytest.mark.parametrize("kind", ["http", "socks4a", "socks5"])
def test_a_proxy_that_says_no_is_told_apart_from_a_relay_that_is_away(kind: Any) -> None:
    async def story() -> None:
        async with (peer := Peer()).serving(), Proxy(kind, refuse=True) as proxy:
            with pytest.raises(Unreachable, match="through the proxy") as caught:
                await shake(peer, Line(proxy.url))
            assert caught.value.code == "proxy"
            assert "SECURECHAN_PROXY" in caught.value.hint
        with pytest.raises(Unreachable) as caught:
            await Line("http://127.0.0.1:1").dial("ws://127.0.0.1:2")
        assert caught.value.code == "proxy"

    run(story())


def test_what_the_system_says_counts_unless_the_profile_or_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wss, ws = "wss://relay.example.int", "ws://relay.example.int:9"
    assert Line().proxy_for(wss) == ""
    monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:9050")
    assert Line().proxy_for(wss) == Line().proxy_for(ws) == "socks5h://127.0.0.1:9050"
    monkeypatch.setenv("https_proxy", "proxy.example.int:3128")
    assert Line().proxy_for(wss) == "http://proxy.example.int:3128"
    monkeypatch.setenv("wss_proxy", "http://other:1")
    assert Line().proxy_for(wss) == "http://other:1"
    monkeypatch.setenv("no_proxy", "example.int")
    assert Line().proxy_for(wss) == ""
    Line("http://mine:2").save(tmp_path)
    assert Line.find(tmp_path, {}).proxy_for(wss) == "http://mine:2"
    assert Line.find(tmp_path, {"SECURECHAN_PROXY": NONE}).proxy_for(wss) == ""
    assert Line.find(tmp_path, {"SECURECHAN_CA": "/c.pem"}) == Line("http://mine:2", Path("/c.pem"))
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("wss_proxy", "ftp://other")
    with pytest.raises(Malformed):
        Line().proxy_for(wss)


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("ftp://x:1", "'ftp' is none of the schemes"),
        ("https://x:1", "'https' is none of the schemes"),
        ("http://", "it names no host"),
        ("http://:3128", "it names no host"),
        ("http://x:99999", "its port is none"),
        ("http://x:0", "its port is none"),
        ("http://x:", "its port is none"),
        ("x:port", "its port is none"),
        ("http://x/path", "nothing stands after its port"),
        ("http://x:1?q", "nothing stands after its port"),
        ("http://a b:80", "'a b' is the name of no host"),
        ("http://a..b:80", "'a..b' is the name of no host"),
        ("http://-a:80", "'-a' is the name of no host"),
        ("nonsense", "it names neither a scheme nor a port"),
        ("us:secret@nonsense", "'nonsense' is no address of a proxy"),
    ],
)
def test_an_address_that_is_none_of_a_proxy_is_refused_with_one_that_is(
    address: str, fault: str, tmp_path: Path
) -> None:
    for make in (lambda: Line.find(None, {"SECURECHAN_PROXY": address}), lambda: Line(address).save(tmp_path)):
        with pytest.raises(Malformed) as caught:
            make()
        assert fault in caught.value.message
        assert "secret" not in caught.value.message
        assert "http://proxy.example.int:3128" in caught.value.hint


@pytest.mark.parametrize(
    "address", ["proxy:3128", "http://proxy", "socks5h://[::1]:9050", "http://10.0.0.5:80/", "http://ä.example.int:1"]
)
def test_addresses_of_proxies(address: str) -> None:
    assert Line.find(None, {"SECURECHAN_PROXY": address}).proxy.rpartition("://")[2] == address.rpartition("://")[2]


def test_what_is_set_for_the_system_may_be_a_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy")
    assert Line().proxy_for("wss://relay.example.int") == "http://proxy"


def test_a_profile_that_was_written_by_another_hand_is_said(tmp_path: Path) -> None:
    (tmp_path / "line.json").write_text("{}")
    with pytest.raises(Malformed, match=r"line\.json"):
        Line.load(tmp_path)


def test_no_password_is_shown() -> None:
    assert shown("http://u:secret@p:1") == "http://p:1"
    assert (shown(""), shown(NONE)) == ("", NONE)


# ----------------------------------------------------------------------------------------------------------------- TLS


def test_a_relay_with_a_certificate_of_its_own_through_a_proxy(tmp_path: Path) -> None:
    """Session and card alike, with TLS inside the tunnel."""

    async def story() -> None:
        certificate, key = certify(tmp_path)
        tls = Tls(certificate=certificate, key=key)
        async with (
            relay_inside(tmp_path / "relay", settings={"tls": tls}) as (relay, founded),
            Proxy("socks5") as proxy,
        ):
            for line in (Line(proxy.url, certificate), Line(NONE, certificate)):
                card = await fetch_card(relay.address, line)
                assert card.name == "relay-1"
                route = replace(_route(relay.address, founded), line=line)
                connection = await connect(route, relay.address, StillClock())
                await connection.close()
                coat = connection.up.coat
                assert coat is not None
                assert coat.version == "TLSv1.3"
                assert coat.cipher
            assert len(proxy.asked) == 2
            assert b"/card" not in proxy.carried
            with pytest.raises(Unreachable) as caught:
                await fetch_card(relay.address, Line(NONE))
            assert caught.value.code == "tls"
            with pytest.raises(Unreachable) as caught:
                await connect(replace(route, line=Line(proxy.url)), relay.address, StillClock())
            assert caught.value.code == "tls"

    run(story())


def _route(url: str, founded: Any) -> Any:
    from clients.connection import Route

    return Route(founded.relay, (url,), founded.credential("cert-hr/a"))


def test_certificates_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for path in (tmp_path / "none.pem", tmp_path / "bad.pem"):
        with pytest.raises(NotReady) as caught:
            Line(ca=path).context("wss://x")
        assert "SECURECHAN_CA" in caught.value.hint
    assert Line(ca=tmp_path / "none.pem").context("ws://x") is None


@pytest.mark.parametrize(
    ("version", "group", "openssl", "wanted"),
    [
        ("TLSv1.3", "X25519MLKEM768", (3, 5), True),
        ("TLSv1.3", "x25519", (3, 5), False),
        ("TLSv1.3", "", (3, 0), False),  # it knows none
        ("TLSv1.2", "", (3, 5), False),
        ("TLSv1.3", "", (3, 5), None),
    ],
)
def test_whether_the_coat_is_post_quantum(version: str, group: str, openssl: Any, wanted: bool | None) -> None:
    with mock.patch.object(ssl, "OPENSSL_VERSION_INFO", openssl):
        assert Coat(version, "TLS_AES_256_GCM_SHA384", group).post_quantum is wanted
    assert Coat.of(None) is None


def test_a_card_needs_an_address() -> None:
    for url in ("http://x", "ws://", "ws://x:port", "wss://x:99999"):
        with pytest.raises(SecurechanError):
            asyncio.run(fetch_card(url))
