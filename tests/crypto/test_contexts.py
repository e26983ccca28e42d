"""Contexts: one for each use, none the same as another."""

from __future__ import annotations

from securechan.crypto import contexts


def test_each_use_has_its_own_context() -> None:
    named = {name: value for name, value in vars(contexts).items() if isinstance(value, bytes)}
    assert named.pop("MLS") == b""
    assert named == {name: b"securechan/1 " + name.lower().encode() for name in named}
    assert set(named) == {"HANDSHAKE", "BULLETIN", "ENROL", "REQUEST", "RECEIPT", "CONSENT", "HEAD", "TUF"}
    assert all(len(value) <= 255 for value in named.values())
