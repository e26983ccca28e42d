"""A federation as those see it who have no device: the holders of trust keys, and who is about to join.

    bundle (root 1, targets)  ──►  which federation, which relay  ──►  route to the relay
    trust topic               ──►  replay: every publication in order, verified  ──►  View

The bundle is what the first ceremony wrote. Its root's hash *is* the federation's name: whoever takes a bundle from
someone else compares it (``root status`` shows it). Everything after it comes from the relay and is proved by the
root; what is kept here between two commands is public.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from clients.clock import Clock
from clients.errand import Errand
from clients.profile import Home, write_private
from clients.transport import Route
from securechan.errors import Conflict, Malformed, NotReady, SecurechanError, Stale, Untrusted
from securechan.trust.bundle import Bundle
from securechan.trust.document import Federation as FederationContents
from securechan.trust.document import parse
from securechan.trust.draft import Draft, enough
from securechan.trust.records import RelayRecord
from securechan.trust.view import View
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import TRUST_TOPIC, Appended, Entry, EntryKind, Publication, Publish, TrustDocument
from securechan.wire.handshake import Credential, RelayIdentity

FILE: Final = "federation.json"


@dataclass(frozen=True, slots=True)
class Federation:
    """Which federation, and the relay that publishes for it."""

    bundle: Bundle
    root_id: bytes
    relay: RelayRecord

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """From a finished bundle. Raises Untrusted, Malformed where it isn't signed by enough of its own root's keys,
        or names no publishing relay."""
        root, targets = parse("root", bundle.root), None
        for role, content in bundle.documents:
            if role == "targets":
                targets = Draft(role, content)
        if targets is None:
            raise Malformed(
                "a bundle without the federation's targets", hint="it is written by: securechan root publish"
            )
        enough([Draft("root", bundle.root).signing(root), targets.signing(root)])
        contents = targets.document.contents
        publisher = (
            next((relay for relay in contents.relays.values() if relay.publisher), None)
            if isinstance(contents, FederationContents)
            else None
        )
        if publisher is None:
            raise NotReady("this federation has no publishing relay yet", hint="securechan root init --relay CARD")
        return cls(bundle, root.digest, publisher)

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a bundle's file. Raises NotReady where there is none."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise NotReady(
                f"there is no federation at {path}",
                hint="name the federation's bundle: --federation FILE",
                code="no-federation",
            ) from None
        except OSError as e:
            raise NotReady(f"{path} can't be read: {e.strerror}", hint="check its permissions") from e
        return cls.of(Bundle.decode(content))

    def keep(self, home: Home) -> Path:
        """Remember it as the home's own. Raises Conflict where there is another."""
        path = home.folder / FILE
        if path.exists():
            if Federation.read(path).root_id != self.root_id:
                raise Conflict(
                    f"{home.folder} belongs to another federation", hint="use another SECURECHAN_HOME for this one"
                )
            return path
        write_private(path, self.bundle.encode())
        return path

    def route(self, credential: Credential, url: str | None = None, relay: RelayRecord | None = None) -> Route:
        """To the publishing relay, as ``credential``. ``url`` replaces the addresses that the record gives."""
        return route_to(self.root_id, relay or self.relay, credential, url)


def route_to(root_id: bytes, relay: RelayRecord, credential: Credential, url: str | None = None) -> Route:
    """To a relay as its record names it. Of two KEM keys, while one replaces the other, the relay holds both."""
    public = next(reversed(relay.kem.values()))
    return Route(RelayIdentity(root_id, relay.name, public), (url,) if url else relay.urls, credential)


# -------------------------------------------------------------------------------------------------------------- replay


async def replay(errand: Errand, root_id: bytes) -> View:
    """The trust view that the relay's trust topic gives: every publication from the first on, each proved by the
    federation's root. Raises Untrusted where the topic isn't this federation's."""
    view: View | None = None
    position = start(TRUST_TOPIC)
    for entry in await errand.history(TRUST_TOPIC):
        position = advance(position, entry.kind, entry.entry_id, entry.sequence, entry.body)
        view = _step(view, entry, position, root_id)
    if view is None:
        raise NotReady("the federation has published nothing yet", hint="securechan root publish")
    return view


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
        if view is None:
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


async def current(federation: Federation, credential: Credential, clock: Clock, url: str | None) -> View:
    """The current view, read with ``credential``."""
    async with Errand.begin(federation.route(credential, url), clock) as errand:
        return await replay(errand, federation.root_id)
