"""The trust topic: every publication of the federation, in order, checked before it is written.

A relay serves a federation once it has adopted one: a bundle brings root version 1 and the first documents, and the
relay, if the root names its online key, publishes them as the first entry of its trust topic, root version 1 first.
From then on `publish` takes documents that others signed, checks them through the same `View` as every client, adds
snapshot and timestamp, and appends the whole as one entry; `renew` signs a new timestamp when half of the old one's
life is over, with nobody's help.

The view follows the topic, whoever writes there, and is rebuilt from it at start: nothing else is kept, so nothing can
disagree with it. A crash between
signing and appending leaves a publication that nobody saw; the next one has the same version and other bytes, which is
no matter, for only what stands in the topic counts. Publications happen one after another; what comes while one is
under way waits, and is then judged by the view as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Self

from relay.heads import HeadSigner
from relay.logs import event
from relay.store.base import Append, Behind, Placed, Result, Store, StoreFailed, StoreFull, TopicKind, tail_of
from securechan.errors import Invalid, Malformed, Stale, Untrusted
from securechan.trust.bundle import Bundle
from securechan.trust.document import parse
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.publisher import needs_refresh, publish, refresh
from securechan.trust.view import View
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import MAX_ENTRY, TRUST_TOPIC, EntryKind, Publication, TrustDocument

log = logging.getLogger("relay.trust")

Post = Callable[[Append], Awaitable[Result]]
Documents = tuple[tuple[str, bytes], ...]

_READ: Final = 4 << 20
_AGAIN: Final = 1.0  # seconds until the next try to read


class TrustTopic:
    """The federation's state as this relay knows it. ``view`` is None before adoption."""

    def __init__(self, store: Store, online: HeadSigner, clock: Callable[[], int]) -> None:
        self.view: View | None = None
        self._store = store
        self._signer = TrustSigner(Kind.COMPOSITE, online.key.private)
        self._clock = clock
        self._turn = asyncio.Lock()
        self._grown = asyncio.Event()
        self._post: Post = self._write
        self._changed: Callable[[View], None] | None = None

    @classmethod
    async def load(cls, store: Store, *, online: HeadSigner, clock: Callable[[], int]) -> Self:
        """The trust topic of this store. ``clock`` gives Unix milliseconds. Raises `StoreFailed` when it can't be
        read, `Untrusted` when its first publication does not hold."""
        trust = cls(store, online, clock)
        await trust._follow()
        return trust

    async def _follow(self) -> bool:
        """Take up what stands in the topic behind the view; False when there was nothing."""
        view = self.view
        position = start(TRUST_TOPIC) if view is None else Position(view.position.sequence, view.position.chain)
        before = position
        while True:
            run = await self._store.read(TRUST_TOPIC, position.sequence, None, _READ)
            for stored in run.entries:
                entry = stored.entry()
                position = advance(position, entry.kind, entry.entry_id, entry.sequence, entry.body)
                documents = _documents(Publication.decode(entry.body))
                self.view = await asyncio.to_thread(_follow, self.view, documents, position)
            if not run.more:
                return position != before

    def grown(self) -> None:
        """The topic has a new entry, by whomever."""
        self._grown.set()

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            try:
                async with self._turn:
                    self._adopt_view(await self._follow())
            except StoreFailed as error:
                event(log, "the trust topic cannot be read", level=logging.ERROR, cause=error.code)
                await asyncio.sleep(_AGAIN)
                self._grown.set()

    def _adopt_view(self, changed: bool) -> None:
        if changed and self.view is not None and self._changed is not None:
            self._changed(self.view)

    def attach(self, post: Post, changed: Callable[[View], None]) -> None:
        """From now on append through ``post`` (so that subscribers hear of it), and tell ``changed`` of each view."""
        self._post = post
        self._changed = changed

    async def _write(self, write: Append) -> Result:
        (result,) = await self._store.commit([write])
        if isinstance(result, StoreFull | StoreFailed):
            raise result
        return result

    async def adopt(self, bundle: bytes) -> bool:
        """Take up a federation from its bundle (JSON); False when there was nothing new in it. Raises `Untrusted`
        (also for the bundle of another federation), `Malformed`, `Invalid`, `Refused` by the store."""
        parsed = await asyncio.to_thread(Bundle.decode, bundle)
        async with self._turn:
            self._adopt_view(await self._follow())  # another relay may have adopted it meanwhile
            if self.view is None:
                first = parsed.root
                view = View.bootstrap(first, position=start(TRUST_TOPIC))
                await self._append(view, parsed.rest, (("root", first),))
                return True
            news = await asyncio.to_thread(_news, self.view, parsed)
            if news:
                await self._append(self.view, news)
            return bool(news)

    async def publish(self, expected: int, documents: Sequence[TrustDocument]) -> int:
        """Publish what others signed: the sequence of its entry. Raises `Stale` when ``expected`` is not the newest
        entry, `Untrusted`, `Malformed`, `Invalid`, `Refused`."""
        given = tuple((document.role, document.content) for document in documents)
        async with self._turn:
            view = self.view
            if view is None:
                raise Untrusted("this relay serves no federation yet", code="closed")
            known = {document.role: document.content for document in view.documents()}
            if all(known.get(role) == content for role, content in given):
                return view.position.sequence  # a repeated request: it stands already
            if expected != view.position.sequence:
                raise Stale("the trust topic has moved on", hint="read it, make the document again on what it says now")
            return await self._append(view, given)

    async def renew(self, now: int) -> bool:
        """Sign a new timestamp where half of its life is over (``now`` in Unix seconds). A relay that is not the
        publisher leaves it."""
        async with self._turn:
            view = self.view
            if view is None or not view.started or not needs_refresh(view, now):
                return False
            try:
                documents = await asyncio.to_thread(refresh, view, self._signer, now=now)
            except Untrusted as error:
                if error.code != "wrong-key":
                    raise
                return False
            try:
                await self._post_publication(view, documents, ())
            except Stale:
                return False  # another relay was first
            event(log, "timestamp renewed")
            return True

    async def _append(self, view: View, given: Documents, first: Documents = ()) -> int:
        now = self._clock() // 1000
        documents = await asyncio.to_thread(publish, view, given, self._signer, now=now)
        return await self._post_publication(view, documents, first)

    async def _post_publication(self, view: View, documents: Documents, first: Documents) -> int:
        body = Publication(tuple(TrustDocument(role, content) for role, content in (*first, *documents))).encode()
        if len(body) > MAX_ENTRY:
            raise Invalid(f"a publication of {len(body)} bytes, at most {MAX_ENTRY} fit", hint="publish it in parts")
        after = await asyncio.to_thread(view.apply, documents, position=view.position)
        write = Append(
            TRUST_TOPIC,
            EntryKind.TRUST,
            hashlib.sha256(body).digest(),
            body,
            tail_of(body, None),
            self._clock(),
            creates=TopicKind.TRUST,
            after=view.position.sequence,
        )
        match await self._post(write):
            case Placed(stored, position):
                if position is not None:
                    self.view = after.skip(position)
                else:
                    await self._follow()  # an earlier try, whose answer was lost, had put it there
                self._adopt_view(True)
                return stored.sequence
            case Behind():
                self._adopt_view(await self._follow())
                raise Stale("the trust topic has moved on", hint="read it, make the document again on what it says now")
            case result:
                raise StoreFailed(f"the trust topic refuses an entry: {type(result).__name__.lower()}")


def _documents(publication: Publication) -> Documents:
    return tuple((document.role, document.content) for document in publication.documents)


def _follow(view: View | None, documents: Documents, position: Position) -> View:
    """The view after one entry of the topic."""
    if view is None:
        (role, first), *rest = documents
        if role != "root":
            raise Malformed("the trust topic does not begin with a root")
        return View.bootstrap(first).apply(rest, position=position)
    try:
        return view.apply(documents, position=position)
    except (Untrusted, Invalid, Malformed):  # as every reader does: it changes nothing
        return view.skip(position)


def _news(view: View, bundle: Bundle) -> Documents:
    """Those of a bundle's documents that are newer than what the view holds. Raises `Untrusted` for another
    federation's."""
    news = []
    for role, content in bundle.documents:
        document = parse(role, content)
        if role == "root" and document.version == 1 and document.digest != view.root_id:
            raise Untrusted(
                "this bundle is of another federation",
                code="wrong-root",
                hint="a relay serves one federation for its life: start another in another folder",
            )
        held = view.document(role)
        if held is None or document.version > held.version:
            news.append((role, content))
    return tuple(news)
