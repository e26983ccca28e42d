"""The second coat: a pair that can't be used is refused with a remedy, and never spoils the one in use."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest

from relay import tls
from relay.config import Tls
from securechan.errors import Unfit
from tests.relay.certificates import certify


def pair(folder: Path, **how: bytes) -> Tls:
    folder.mkdir(exist_ok=True)
    certificate, key = certify(folder, **how)
    return Tls(certificate=certificate, key=key)


async def _shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a server with this context shows now (DER)."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=blind)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    server.close()
    return shown


async def test_a_renewed_certificate_is_shown_and_one_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    first, second = pair(tmp_path / "1"), pair(tmp_path / "2")
    held = tls.context(first)
    one = await _shown(held)
    tls.renew(held, second)
    two = await _shown(held)
    assert one != two
    with pytest.raises(Unfit, match="can't be used"):
        tls.renew(held, Tls(certificate=first.certificate, key=second.key))
    assert await _shown(held) == two


def test_a_key_under_a_passphrase_is_refused_without_asking_anyone(tmp_path: Path) -> None:
    with pytest.raises(Unfit) as caught:
        tls.context(pair(tmp_path / "locked", passphrase=b"secret"))
    assert "must not be encrypted" in caught.value.hint


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    given = pair(tmp_path / "1")
    given.certificate.write_text("no certificate\n")
    with pytest.raises(Unfit) as caught:
        tls.context(given)
    assert caught.value.hint
    given.certificate.unlink()
    with pytest.raises(Unfit, match="can't be read"):
        tls.context(given)


def test_a_certificate_is_warned_of_while_there_is_time(tmp_path: Path) -> None:
    end = tls.expires(pair(tmp_path / "1"))
    assert 0 < end - time.time() <= 3600
    assert tls.warning(end, end - tls.SOON - 1) == ""
    assert tls.warning(end, end - 90_000) == "the TLS certificate expires in 1 d 1 h"
    assert "has expired" in tls.warning(end, end)
    (tmp_path / "2").mkdir()
    with pytest.raises(Unfit, match="can't be read"):
        tls.expires(Tls(certificate=tmp_path / "2", key=tmp_path / "2"))
