"""The federation's administrators: a folder of files, ceremonies that holders sign, publishing.

    plan.json ──make──► ceremony.json ──sign, sign, … (each holder, own machine)──► complete ──► published
       ▲                                                                               │
    add-relay, admit-agency, policy, … (`plan`)         federation.json (first) or the relay (later)
                                                                                       ▼
                                                            federation.view: what stands, the base of the next plan

Nothing in the folder is secret but ``keys/``, and those lie there only while one person plays several holders. Changing
the plan makes the ceremony anew from what stands, so what was signed of it has to be signed again: signatures are over
the whole.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from clients import files
from clients.clock import Clock
from clients.connection import Route
from clients.errand import Errand
from clients.federation import Address, publish, replay, route_to
from clients.keyfile import KeyFile, Use
from clients.operations.ceremonies import tell_drafts
from clients.operations.plan import Change, Holders, Json, Plan, given, make_ceremony, threshold_of
from clients.passphrase import Passphrases
from clients.render import when
from securechan.errors import Conflict, Invalid, Malformed, NotFound, NotReady, Stale
from securechan.trust.bundle import Bundle, Ceremony
from securechan.trust.contents import Federation
from securechan.trust.document import parse
from securechan.trust.parcels import MAX_FILE
from securechan.trust.records import RelayRecord, made
from securechan.trust.view import View


@dataclass(frozen=True, slots=True)
class Folder:
    """A federation administrator's folder. Use as ``Folder(path)``; `init` makes one."""

    path: Path

    @property
    def ceremony_path(self) -> Path:
        return self.path / "ceremony.json"

    @property
    def bundle_path(self) -> Path:
        return self.path / "federation.json"

    @property
    def plan_path(self) -> Path:
        return self.path / "plan.json"

    @property
    def _view_path(self) -> Path:
        return self.path / "federation.view"

    def plan(self) -> Plan:
        """Raises NotFound where there is no such folder, Malformed."""
        try:
            content = files.read(self.plan_path, MAX_FILE)
        except NotFound:
            raise NotFound(
                f"{self.path} is no federation's folder",
                hint="make one with: securechan root init, or name yours with --dir",
            ) from None
        try:
            return Plan.model_validate_json(content)
        except ValidationError as e:
            raise Malformed(f"{self.plan_path} can't be read: {e.error_count()} fields are wrong") from None

    def view(self) -> View | None:
        """What stands, as last read; None before the first publication. Raises Malformed, Untrusted."""
        return View.decode(self._view_path.read_bytes()) if self._view_path.exists() else None

    def ceremony(self) -> Ceremony | None:
        """What is being signed. Raises Malformed, Untrusted."""
        if not self.ceremony_path.exists():
            return None
        return Ceremony.decode(files.read(self.ceremony_path, MAX_FILE))

    def bundle(self) -> Bundle | None:
        """The federation's first documents, once they are signed."""
        return Bundle.decode(files.read(self.bundle_path, MAX_FILE)) if self.bundle_path.exists() else None

    def root_id(self) -> bytes | None:
        """The federation's name: SHA-384 of its first root document."""
        view = self.view()
        if view is not None:
            return view.root_id
        bundle = self.bundle()
        return None if bundle is None else hashlib.sha384(bundle.root).digest()

    def publisher(self) -> RelayRecord:
        """The relay that publishes. Raises NotReady where none is known."""
        view = self.view()
        if view is not None and view.publisher is not None:
            return view.publisher
        bundle = self.bundle()
        targets = None if bundle is None else dict(bundle.documents).get("targets")
        if targets is not None:
            contents = parse("targets", targets).contents
            if isinstance(contents, Federation):
                return next(relay for relay in contents.relays.values() if relay.publisher)
        raise NotReady("the federation is not published yet", hint="securechan root publish", code="not-published")

    def keep_plan(self, plan: Plan) -> None:
        files.write_private(self.plan_path, plan.model_dump_json().encode(), replace=True)

    def keep_ceremony(self, ceremony: Ceremony | None) -> None:
        if ceremony is None:
            self.ceremony_path.unlink(missing_ok=True)
        else:
            files.write_private(self.ceremony_path, ceremony.encode(), replace=True)

    def keep_view(self, view: View) -> None:
        files.write_private(self._view_path, view.encode(), replace=True)

    def keep_bundle(self, bundle: Bundle) -> None:
        files.write_private(self.bundle_path, bundle.encode(), replace=True)


# ----------------------------------------------------------------------------------------------------------------- init


def init(path: Path, root: Holders, targets: Holders, passphrase: Callable[[str], str]) -> Json:
    """A new federation's folder. ``passphrase`` gives a new one for each key that is made here. Raises Conflict where
    there is one already, Invalid for numbers that can't be."""
    folder = Folder(path)
    if folder.plan_path.exists():
        raise Conflict(f"{path} is a federation's folder already", hint="name another with --dir")
    counts = {use: len(holders.given) + holders.made for use, holders in ((Use.ROOT, root), (Use.TARGETS, targets))}
    thresholds = {
        Use.ROOT: threshold_of(root.threshold, counts[Use.ROOT], "root"),
        Use.TARGETS: threshold_of(targets.threshold, counts[Use.TARGETS], "targets"),
    }
    publics = {Use.ROOT: given(root.given, Use.ROOT), Use.TARGETS: given(targets.given, Use.TARGETS)}
    made_here: list[KeyFile] = []
    for use, holders in ((Use.ROOT, root), (Use.TARGETS, targets)):
        for number in range(1, holders.made + 1):
            name = f"{use.value}-{number}"
            key = KeyFile.make(path / "keys" / f"{name}.key", use, name, passphrase(f"the key {name}"))
            made_here.append(key)
            publics[use].append(key.public.public)
    plan = made(
        Plan,
        root_keys=tuple(publics[Use.ROOT]),
        root_threshold=thresholds[Use.ROOT],
        targets_keys=tuple(publics[Use.TARGETS]),
        targets_threshold=thresholds[Use.TARGETS],
    )
    folder.keep_plan(plan)
    return {
        "folder": str(path),
        "root": {"keys": counts[Use.ROOT], "threshold": plan.root_threshold},
        "targets": {"keys": counts[Use.TARGETS], "threshold": plan.targets_threshold},
        "made": [{"file": str(key.path), "use": key.public.use.value, "key": key.public.keyid} for key in made_here],
    }


# ------------------------------------------------------------------------------------------------------------- planning


def planned(folder: Folder, change: Change, *, now: int) -> Json:
    """Change the plan and make the ceremony anew. Raises what ``change`` raises and what breaks a rule; then nothing
    has changed."""
    view = folder.view()
    if view is None and folder.bundle() is not None:
        raise NotReady(
            "what the relay has made of the published bundle is not known here yet",
            hint="securechan root sync --key FILE",
            code="not-synced",
        )
    before = folder.ceremony()
    plan = change(folder.plan(), view)
    ceremony = make_ceremony(plan, view, now=now)
    folder.keep_plan(plan)
    folder.keep_ceremony(ceremony)
    lost = 0 if before is None else _signatures(before)
    return {**tell_ceremony(folder, ceremony), "signatures_lost": lost}


def _signatures(ceremony: Ceremony) -> int:
    """How many of the federation's own; an agency's stand whatever the plan."""
    federal = {draft.role: draft.document for draft in ceremony.drafts if draft.role in ("root", "targets")}
    return sum(len(document.metadata.signatures) for document in federal.values())


# -------------------------------------------------------------------------------------------------------------- signing


def open_ceremony(path: Path, root: str = "") -> Ceremony:
    """A ceremony from a file; ``root``: the beginning of the root hash that the holder knows. Raises Conflict where it
    is another federation's."""
    ceremony = Ceremony.decode(files.read(path, MAX_FILE))
    known = root.lower().replace(":", "").replace(" ", "")
    if known:
        if len(known) < 16:
            raise Invalid("that is too little of a root hash", hint="give 16 hexadecimal digits or more", code="usage")
        if ceremony.base is None or not ceremony.base.root_id.hex().startswith(known):
            raise Conflict(
                "this ceremony is of another federation, or of one that is only being founded",
                hint="check who sent the file",
                code="wrong-root",
            )
    return ceremony


def sign(path: Path, ceremony: Ceremony, keys: Sequence[KeyFile], passphrases: Passphrases) -> Ceremony:
    """The ceremony with these keys' signatures, written back to ``path``. Raises Denied for a key that nothing waits
    for, NotReady for a wrong passphrase."""
    signed = ceremony.sign(*(key.unlock(passphrases) for key in keys))
    files.write_private(path, signed.encode(), replace=True)
    return signed


def merge(path: Path, others: Sequence[Path]) -> Ceremony:
    """The ceremony at ``path`` with the signatures of its copies. Raises Conflict where one is no copy."""
    merged = Ceremony.decode(files.read(path, MAX_FILE))
    for other in others:
        merged = merged.merge(Ceremony.decode(files.read(other, MAX_FILE)))
    files.write_private(path, merged.encode(), replace=True)
    return merged


# ----------------------------------------------------------------------------------------------------------- publishing


def publish_bundle(folder: Folder) -> Json:
    """The first publication: a bundle for the relay's operator. Raises Untrusted ``threshold``, NotReady."""
    ceremony = folder.ceremony()
    bundle = folder.bundle()
    if ceremony is None:
        if bundle is None or folder.view() is not None:
            raise NotReady("there is nothing to publish", hint="securechan root add-relay CARD", code="nothing")
    else:
        if ceremony.base is not None:
            raise NotReady(
                "this changes a federation that stands: it is published at its relay",
                hint="securechan root publish --key TARGETS-KEY",
                code="online",
            )
        bundle = ceremony.bundle()
        folder.keep_bundle(bundle)
        folder.keep_ceremony(None)
        folder.keep_plan(Plan())
    relay = folder.publisher()
    root_id = hashlib.sha384(bundle.root).digest()
    return {
        "root": root_id.hex(),
        "bundle": str(folder.bundle_path),
        "relay": relay.name,
        "url": relay.urls[0],
        "address": Address.of(root_id, relay).line(),
    }


async def publish_online(folder: Folder, key: KeyFile, passphrases: Passphrases, clock: Clock) -> Json:
    """Publish the complete ceremony at the relay. Raises Stale where trust has moved on since it was made, Untrusted
    ``threshold`` where signatures miss, and what the relay refuses."""
    ceremony = folder.ceremony()
    if ceremony is None:
        raise NotReady(
            "there is nothing to publish", hint="change something first: see securechan root", code="nothing"
        )
    if ceremony.base is None:
        raise NotReady(
            "the first publication goes to the relay's operator", hint="securechan root publish", code="online"
        )
    bundle = ceremony.bundle()
    root_id = ceremony.base.root_id
    credential = await asyncio.to_thread(key.office, "targets", passphrases)
    way = route_to(root_id, folder.publisher(), credential)
    async with Errand.begin(way, clock) as errand:
        view = await replay(errand, root_id)
        folder.keep_view(view)
        _check_base(ceremony, view)
        await publish(errand, view, bundle.documents)
    folder.keep_ceremony(None)
    folder.keep_plan(Plan())
    view = await _read_again(folder, way, clock, root_id)
    return {"root": root_id.hex(), "version": view.version, "published": [role for role, _ in bundle.documents]}


async def _read_again(folder: Folder, way: Route, clock: Clock, root_id: bytes) -> View:
    async with Errand.begin(way, clock) as errand:
        view = await replay(errand, root_id)
    folder.keep_view(view)
    return view


def _check_base(ceremony: Ceremony, view: View) -> None:
    """What the ceremony changes must still be what stands; rosters and timestamps may have moved on meanwhile."""
    base = ceremony.base
    for draft in ceremony.drafts:
        was = None if base is None else base.document(draft.role)
        if view.document(draft.role) != was:
            raise Stale(
                f"{draft.role} has changed since this ceremony was made",
                hint="make it again: securechan root remake, then have it signed again",
            )


async def sync(folder: Folder, key: KeyFile, passphrases: Passphrases, clock: Clock) -> Json:
    """Read what stands from the relay, so that the next plan starts from it."""
    root_id = folder.root_id()
    if root_id is None:
        raise NotReady("nothing is published yet", hint="securechan root publish", code="not-published")
    credential = await asyncio.to_thread(key.office, "targets", passphrases)
    view = await _read_again(folder, route_to(root_id, folder.publisher(), credential), clock, root_id)
    return {"root": root_id.hex(), "version": view.version, "position": view.position.sequence}


# --------------------------------------------------------------------------------------------------------------- status


def status(folder: Folder, *, now: int) -> Json:
    """What stands, what is planned, what is being signed."""
    plan, view, ceremony = folder.plan(), folder.view(), folder.ceremony()
    root_id = folder.root_id()
    return {
        "folder": str(folder.path),
        "root": None if root_id is None else root_id.hex(),
        "address": None if root_id is None else Address.of(root_id, folder.publisher()).line(),
        "federation": None if view is None or not view.started else tell_view(view, now),
        "planned": not plan.empty,
        **tell_ceremony(folder, ceremony),
    }


def tell_view(view: View, now: int) -> Json:
    """A federation, for people and scripts."""
    return {
        "root_version": view.root_version,
        "version": view.version,
        "agencies": [
            {
                "agency": name,
                "title": agency.record.title,
                "devices": len(view.devices(name)),
                "roster": agency.roster_version,
            }
            for name, agency in sorted(view.agencies.items())
        ],
        "relays": [
            {"relay": relay.name, "urls": list(relay.urls), "publisher": relay.publisher}
            for relay in view.relays.values()
        ],
        "communities": [binding.custom() for binding in view.communities.values()],
        "policy": view.policy.custom(),
        "expiries": [
            {"role": expiry.role, "expires": when(expiry.expires), "state": expiry.state.value, "left": expiry.left}
            for expiry in view.check_fresh(now)
        ],
    }


def tell_ceremony(folder: Folder, ceremony: Ceremony | None) -> Json:
    """How far a ceremony is."""
    if ceremony is None:
        return {"ceremony": None}
    return {"ceremony": {"file": str(folder.ceremony_path), **tell_drafts(ceremony)}}
