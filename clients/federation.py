"""A federation as those see it who have no device yet, or none at all: newcomers, and the holders of trust keys.

    address (one line by hand)  ──►  the relay's card, checked  ──►  route
    trust topic                 ──►  replay: every publication in order, verified  ──►  View

The root's hash *is* the federation's name: it comes by hand, in an invite or in the address line that ``root status``
and ``admin status`` show. The relay can hold back the newest publications from who reads them, and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Annotated, Final

from clients.connection import Route
from clients.errand import Errand, fetch_card
from clients.line import Line
from securechan.codec import Struct, fixed, text
from securechan.errors import Malformed, NotReady, SecurechanError, Stale, Untrusted
from securechan.trust import names
from securechan.trust.records import RelayRecord
from securechan.trust.view import View
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import TRUST_TOPIC, Appended, Entry, EntryKind, Publication, Publish, TrustDocument
from securechan.wire.handshake import Credential, RelayIdentity

PREFIX: Final = "securechan-federation1:"
_CHECK: Final = b"securechan/1 federation address"


class Address(Struct):
    """Where a federation is found and what proves that it is this one: a relay's address and name, SHA-384 of its
    handshake key, SHA-384 of the first root document. Nothing in it is secret; it must come by a way that is trusted.
    """

    url: Annotated[str, text(320)]
    relay: Annotated[str, text(64)]
    kem_hash: Annotated[bytes, fixed(48)]
    root_id: Annotated[bytes, fixed(48)]

    @classmethod
    def of(cls, root_id: bytes, relay: RelayRecord) -> Address:
        """That of a relay as trust names it."""
        return cls(relay.urls[0], relay.name, hashlib.sha384(newest_kem(relay)).digest(), root_id)

    def line(self) -> str:
        """One line to hand on: ``securechan-federation1:…``."""
        body = self.encode()
        return PREFIX + base64.urlsafe_b64encode(body + _check(body)).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, line: str) -> Address:
        """Raises Malformed for what is no such line or not whole."""
        packed = "".join(line.split())
        if not packed.startswith(PREFIX) or len(packed) > 2048:
            raise Malformed(
                "this is no federation's address",
                hint=f"it is one line that begins with {PREFIX} (root publish prints it)",
            )
        packed = packed.removeprefix(PREFIX)
        try:
            whole = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise Malformed("the address has characters that don't belong", hint="copy the whole line again") from None
        body, check = whole[:-4], whole[-4:]
        if _check(body) != check:
            raise Malformed("the address is not whole", hint="copy the whole line again")
        address = cls.decode(body)
        names.check_handle(address.relay, "relay")
        return address

    def reached(self, environment: Mapping[str, str] = os.environ) -> Address:
        """The same, at the address that ``SECURECHAN_RELAY`` names, where it names one."""
        url = environment.get("SECURECHAN_RELAY")
        return replace(self, url=url) if url else self

    async def route(self, credential: Credential, line: Line) -> Route:
        """The way to it, once it is known who answers. Raises as `relay_key`."""
        return Route(await self.relay_key(line), (self.url,), credential, line)

    async def relay_key(self, line: Line) -> RelayIdentity:
        """The relay that answers there, if it is the one. Raises Unreachable, and Untrusted (``wrong-relay``) where
        another answers."""
        card = await fetch_card(self.url, line)
        if hashlib.sha384(card.kem).digest() != self.kem_hash or card.name != self.relay:
            raise Untrusted(
                f"who answers at {self.url} is not the relay {self.relay} that was named",
                hint="somebody may be in between; or the relay has new keys: ask for a new invite or address",
                code="wrong-relay",
            )
        return RelayIdentity(self.root_id, card.name, card.kem)


def _check(body: bytes) -> bytes:
    return hashlib.sha384(_CHECK + body).digest()[:4]


def newest_kem(relay: RelayRecord) -> bytes:
    """The handshake key to use: of two, while one replaces the other, the relay holds both."""
    return next(reversed(relay.kem.values()))


def route_to(root_id: bytes, relay: RelayRecord, credential: Credential) -> Route:
    """To a relay as its record names it; ``SECURECHAN_RELAY`` replaces its addresses."""
    url = os.environ.get("SECURECHAN_RELAY")
    return Route(RelayIdentity(root_id, relay.name, newest_kem(relay)), (url,) if url else relay.urls, credential)


# -------------------------------------------------------------------------------------------------------------- replay


async def replay(errand: Errand, root_id: bytes) -> View:
    """The trust view that the relay's trust topic gives now. Raises Untrusted where the topic isn't this federation's,
    NotReady where it is empty."""
    view: View | None = None
    async for newer in follow(errand, root_id, live=False):
        view = newer
    if view is None:
        raise NotReady(
            "the relay serves no federation yet",
            hint="its operator runs: securechan-relay adopt BUNDLE",
            code="no-federation",
        )
    return view


async def follow(errand: Errand, root_id: bytes, *, live: bool = True) -> AsyncIterator[View]:
    """The trust view after each publication from the first on, each proved by the federation's root; what the rules
    refuse is skipped, as by everybody."""
    view: View | None = None
    position = start(TRUST_TOPIC)
    async for entry in errand.follow(TRUST_TOPIC, live=live):
        position = advance(position, entry.kind, entry.entry_id, entry.sequence, entry.body)
        view = await asyncio.to_thread(_step, view, entry, position, root_id)
        yield view


def _step(view: View | None, entry: Entry, position: Position, root_id: bytes) -> View:
    if entry.kind is not EntryKind.TRUST:
        raise Malformed("the relay sends entries of another kind on the trust topic")
    try:
        documents = tuple((d.role, d.content) for d in Publication.decode(entry.body).documents)
        if view is None:
            if not documents or documents[0][0] != "root":
                raise Untrusted("the trust topic does not begin with a root", code="wrong-root")
            view = View.bootstrap(documents[0][1], root_id=root_id)
            documents = documents[1:]
        return view.apply(documents, position=position)
    except SecurechanError:
        if view is None or not view.started:
            raise
        return view.skip(position)  # refused by all alike


async def publish(errand: Errand, view: View, documents: tuple[tuple[str, bytes], ...]) -> int:
    """Have the relay publish documents over ``view``; the sequence of the publication. Raises Stale where another
    publication came first, Untrusted where the rules refuse it."""
    body = Publish(view.position.sequence, tuple(TrustDocument(role, content) for role, content in documents))
    try:
        answer = await errand.ask(body)
    except Stale as e:
        raise Stale(
            "something else was published meanwhile", hint="make the change again from the current state", code=e.code
        ) from e
    if not isinstance(answer, Appended):
        raise Malformed("the relay answers a publication with something else")
    return answer.sequence
