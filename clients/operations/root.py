"""The federation's administrators: what they want, what their ceremonies sign, what gets published.

    plan.json ──make──► ceremony.json ──sign, sign, … (each holder, own machine)──► complete ──► published
       ▲                                                                               │
    add-relay, admit-agency, policy, …                          federation.json (first) or the relay (later)
                                                                                       ▼
                                                            federation.view: what stands, the base of the next plan

A folder holds all of it; nothing in it is secret but ``keys/``, and those lie there only while one person plays several
holders. Changing the plan makes the ceremony anew from what stands, so what was signed of it has to be signed again:
signatures are over the whole.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from clients import keyfile
from clients.clock import Clock
from clients.errand import Errand
from clients.federation import Address, publish, replay, route_to
from clients.keyfile import KeyFile, PublicKey, Use
from clients.profile import Passphrases, write_private
from clients.transport import Route
from securechan.errors import Conflict, Invalid, Malformed, NotFound, NotReady, Stale
from securechan.trust import authority
from securechan.trust.authority import Application
from securechan.trust.bundle import Bundle, Ceremony
from securechan.trust.document import Federation, parse
from securechan.trust.draft import Draft, Signing
from securechan.trust.records import Blob, CommunityBinding, Policy, Record, RelayRecord, made
from securechan.trust.view import View

MAX_FILE: Final = authority.MAX_FILE

Json = dict[str, Any]


class Plan(Record):
    """What the next ceremony changes. ``root_keys`` and ``targets_keys`` empty, thresholds 0: as they stand."""

    v: Literal[1] = 1
    root_keys: tuple[Blob, ...] = ()
    root_threshold: Annotated[int, Field(ge=0, le=16)] = 0
    targets_keys: tuple[Blob, ...] = ()
    targets_threshold: Annotated[int, Field(ge=0, le=16)] = 0
    new_root: bool = False
    renew: bool = False
    policy: Policy | None = None
    admit: tuple[Blob, ...] = ()
    rekey: tuple[Blob, ...] = ()
    remove: tuple[str, ...] = ()
    relays: tuple[RelayRecord, ...] = ()
    drop_relays: tuple[str, ...] = ()
    communities: tuple[CommunityBinding, ...] = ()
    drop_communities: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return self == Plan()

    def applications(self) -> tuple[tuple[Application, ...], tuple[Application, ...]]:
        """Those to be admitted and those with new keys."""
        decode = Application.decode
        return tuple(decode(data) for data in self.admit), tuple(decode(data) for data in self.rekey)


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
    def _plan_path(self) -> Path:
        return self.path / "plan.json"

    @property
    def _view_path(self) -> Path:
        return self.path / "federation.view"

    def plan(self) -> Plan:
        """Raises NotFound where there is no such folder, Malformed."""
        try:
            content = keyfile.read(self._plan_path, MAX_FILE)
        except NotFound:
            raise NotFound(
                f"{self.path} is no federation's folder",
                hint="make one with: securechan root init, or name yours with --dir",
            ) from None
        try:
            return Plan.model_validate_json(content)
        except ValidationError as e:
            raise Malformed(f"{self._plan_path} can't be read: {e.error_count()} fields are wrong") from None

    def view(self) -> View | None:
        """What stands, as last read; None before the first publication. Raises Malformed, Untrusted."""
        return View.decode(self._view_path.read_bytes()) if self._view_path.exists() else None

    def ceremony(self) -> Ceremony | None:
        """What is being signed. Raises Malformed, Untrusted."""
        if not self.ceremony_path.exists():
            return None
        return Ceremony.decode(keyfile.read(self.ceremony_path, MAX_FILE))

    def bundle(self) -> Bundle | None:
        """The federation's first documents, once they are signed."""
        return Bundle.decode(keyfile.read(self.bundle_path, MAX_FILE)) if self.bundle_path.exists() else None

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
        write_private(self._plan_path, plan.model_dump_json().encode(), replace=True)

    def keep_ceremony(self, ceremony: Ceremony | None) -> None:
        if ceremony is None:
            self.ceremony_path.unlink(missing_ok=True)
        else:
            write_private(self.ceremony_path, ceremony.encode(), replace=True)

    def keep_view(self, view: View) -> None:
        write_private(self._view_path, view.encode(), replace=True)

    def keep_bundle(self, bundle: Bundle) -> None:
        write_private(self.bundle_path, bundle.encode(), replace=True)


# ---------------------------------------------------------------------------------------------------------------- init


@dataclass(frozen=True, slots=True)
class Holders:
    """Who signs for a role: keys made elsewhere, and how many to make here. ``threshold`` 0 means more than half."""

    given: tuple[Path, ...] = ()
    made: int = 0
    threshold: int = 0


def init(path: Path, root: Holders, targets: Holders, passphrase: Callable[[str], str]) -> Json:
    """A new federation's folder. ``passphrase`` gives a new one for each key that is made here. Raises Conflict where
    there is one already, Invalid for numbers that can't be."""
    folder = Folder(path)
    if folder._plan_path.exists():  # noqa: SLF001 - this is the folder's maker
        raise Conflict(f"{path} is a federation's folder already", hint="name another with --dir")
    counts = {use: len(holders.given) + holders.made for use, holders in ((Use.ROOT, root), (Use.TARGETS, targets))}
    thresholds = {
        Use.ROOT: _threshold(root.threshold, counts[Use.ROOT], "root"),
        Use.TARGETS: _threshold(targets.threshold, counts[Use.TARGETS], "targets"),
    }
    publics = {Use.ROOT: _given(root.given, Use.ROOT), Use.TARGETS: _given(targets.given, Use.TARGETS)}
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


def _threshold(asked: int, count: int, what: str) -> int:
    threshold = asked or count // 2 + 1
    if not 1 <= count <= 16 or not 1 <= threshold <= count:
        raise Invalid(
            f"{what}: {threshold} of {count} keys can't sign",
            hint="use 1 to 16 keys, and a threshold that is not above their number",
            code="usage",
        )
    return threshold


def _given(paths: Sequence[Path], use: Use) -> list[bytes]:
    publics = [PublicKey.load(path, use).public for path in paths]
    if len(set(publics)) != len(publics):
        raise Invalid(f"{use.value}: one key is named twice", hint="each holder has a key of their own")
    return publics


# ------------------------------------------------------------------------------------------------------------- planning


def planned(folder: Folder, change: Callable[[Plan, View | None], Plan], *, now: int) -> Json:
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


def make_ceremony(plan: Plan, view: View | None, *, now: int) -> Ceremony | None:
    """The drafts that carry out a plan; None while it says too little or nothing. Raises what breaks a rule."""
    if view is not None and plan.empty:
        return None
    admit, rekey = plan.applications()
    agencies = tuple(document for papers in (*admit, *rekey) for document in papers.documents)
    targets: dict[str, Any] = {
        "policy": plan.policy,
        "admit": admit,
        "rekey": rekey,
        "remove": plan.remove,
        "relays": plan.relays,
        "drop_relays": plan.drop_relays,
        "communities": plan.communities,
        "drop_communities": plan.drop_communities,
    }
    publisher = next((relay for relay in plan.relays if relay.publisher), None)
    if view is None:
        if publisher is None:
            return None
        root = authority.root_init(
            root_keys=plan.root_keys,
            root_threshold=plan.root_threshold,
            targets_keys=plan.targets_keys,
            targets_threshold=plan.targets_threshold,
            online=tuple(publisher.online.values()),
            now=now,
            lifetime=(plan.policy or Policy()).lifetimes.root,
        )
        return Ceremony(None, (root, authority.federation(None, now=now, **targets), *agencies))
    standing = view.publisher
    online_changes = publisher is not None and (standing is None or publisher.online != standing.online)
    drafts = []
    if plan.new_root or plan.root_keys or plan.root_threshold or plan.targets_keys or plan.targets_threshold:
        drafts.append(_rotated(plan, view, now))
    elif online_changes:
        raise Invalid(
            f"the online key of {publisher.name if publisher else ''} changes, and the root names it",
            hint="securechan root rotate --online CARD",
        )
    drafts.append(authority.federation(view, now=now, **targets))
    return Ceremony(view, (*drafts, *agencies))


def _rotated(plan: Plan, view: View, now: int) -> Draft:
    publisher = next((relay for relay in plan.relays if relay.publisher), None)
    return authority.rotate_root(
        view,
        now=now,
        root_keys=plan.root_keys or None,
        root_threshold=plan.root_threshold or None,
        targets_keys=plan.targets_keys or None,
        targets_threshold=plan.targets_threshold or None,
        online=None if publisher is None else tuple(publisher.online.values()),
    )


Change = Callable[[Plan, View | None], Plan]


def add_relay(card: bytes, urls: Sequence[str], *, publisher: bool | None = None) -> Change:
    """A relay from its card. ``publisher`` None: the first relay is it. Raises Malformed, Invalid."""
    name, kem, online = _card(card)

    def change(plan: Plan, view: View | None) -> Plan:
        others = {} if view is None else dict(view.relays)
        others.update({relay.name: relay for relay in plan.relays})
        before = others.pop(name, None)
        is_publisher = publisher
        if is_publisher is None:
            is_publisher = before.publisher if before else not any(relay.publisher for relay in others.values())
        standing = next((relay for relay in others.values() if relay.publisher), None)
        if is_publisher and standing is not None:
            raise Conflict(
                f"{standing.name} publishes for the federation", hint="a federation has one publisher; others mirror"
            )
        record = RelayRecord.make(name, urls or _card_url(card), [kem], [online], publisher=is_publisher)
        kept = tuple(relay for relay in plan.relays if relay.name != name)
        return _with(plan, relays=(*kept, record))

    return change


def _card(card: bytes) -> tuple[str, bytes, bytes]:
    try:
        said = json.loads(card)
        if said["v"] != 1 or not isinstance(said["name"], str):
            raise ValueError("another form")
        return (
            said["name"],
            base64.b64decode(said["kem"], validate=True),
            base64.b64decode(said["online"], validate=True),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Malformed("this is no relay's card", hint="it is made by: securechan-relay init") from None


def _card_url(card: bytes) -> tuple[str, ...]:
    url = json.loads(card).get("url")
    return (url,) if isinstance(url, str) and url else ()


def drop_relay(name: str) -> Change:
    """A relay goes."""
    return lambda plan, view: _dropped(plan, view, name, "relays", "drop_relays")


def admit_agency(application: bytes, *, rekey: bool = False) -> Change:
    """An agency comes in, or stands with new keys. Raises what `Application.decode` raises."""
    papers = Application.decode(application)
    if len(papers.documents) > 1:
        signing = papers.documents[1].signing(papers.draft.document)
        if signing.missing:
            raise NotReady(
                f"the first roster of {papers.agency} still needs {signing.missing} of its administrators' signatures",
                hint=f"they run: securechan admin sign {papers.agency}.application",
                code="threshold",
            )

    def change(plan: Plan, view: View | None) -> Plan:
        del view
        kept = [data for data in plan.admit if Application.decode(data).agency != papers.agency]
        kept_rekey = [data for data in plan.rekey if Application.decode(data).agency != papers.agency]
        if rekey:
            return _with(plan, admit=tuple(kept), rekey=(*kept_rekey, application))
        return _with(plan, admit=(*kept, application), rekey=tuple(kept_rekey))

    return change


def remove_agency(name: str) -> Change:
    """An agency goes; so do its devices, at once and everywhere."""

    def change(plan: Plan, view: View | None) -> Plan:
        kept = tuple(data for data in plan.admit if Application.decode(data).agency != name)
        if len(kept) != len(plan.admit):
            return _with(plan, admit=kept)
        if view is None or name not in view.agencies:
            raise NotFound(
                f"{name[:60]!a} is no agency of the federation", hint="list them with: securechan root status"
            )
        return _with(plan, remove=tuple(dict.fromkeys((*plan.remove, name))))

    return change


def community(name: str, *, founders: Sequence[str] = (), group: str = "", title: str = "") -> Change:
    """A community's name, bound to those who may found it or to the group that it is. Raises Invalid."""
    try:
        topic = bytes.fromhex(group) or None
    except ValueError:
        raise Invalid(
            f"{group[:80]!a} is no group", hint="it has 64 hexadecimal digits: conversation show", code="usage"
        ) from None
    record = made(CommunityBinding, name=name, title=title, group=topic, founders=tuple(founders))
    return lambda plan, _: _with(
        plan, communities=(*(other for other in plan.communities if other.name != name), record)
    )


def drop_community(name: str) -> Change:
    """A community's name is free again."""
    return lambda plan, view: _dropped(plan, view, name, "communities", "drop_communities")


def policy(change_policy: Callable[[Policy], Policy]) -> Change:
    """Other shared rules."""

    def change(plan: Plan, view: View | None) -> Plan:
        standing = plan.policy or (view.policy if view is not None else Policy())
        return _with(plan, policy=change_policy(standing))

    return change


def policy_with(
    standing: Policy,
    *,
    lifetimes: Mapping[str, int],
    thresholds: Mapping[str, int],
    grace: int | None = None,
    devices: int | None = None,
    agencies: int | None = None,
) -> Policy:
    """Shared rules with other numbers (seconds, key holders, counts). Raises Invalid."""
    values: dict[str, Any] = {
        "profiles": standing.profiles,
        "lifetimes": made(type(standing.lifetimes), **{**dict(standing.lifetimes), **lifetimes}),
        "thresholds": made(type(standing.thresholds), **{**dict(standing.thresholds), **thresholds}),
        "grace": standing.grace if grace is None else grace,
        "devices_per_agency": standing.devices_per_agency if devices is None else devices,
        "agencies": standing.agencies if agencies is None else agencies,
    }
    return made(Policy, **values)


def rotate(root: Holders, targets: Holders, card: bytes | None = None) -> Change:
    """A new root version: other holders, another online key of the publisher, or the same for longer."""
    root_keys, targets_keys = _given(root.given, Use.ROOT), _given(targets.given, Use.TARGETS)

    def change(plan: Plan, view: View | None) -> Plan:
        if view is None:
            raise NotReady("there is no published root to rotate", hint="securechan root publish", code="not-published")
        if card is not None:
            if view.publisher is None:
                raise NotFound("the federation has no publishing relay")
            name, _, _ = _card(card)
            if name != view.publisher.name:
                raise Invalid(f"the publisher is {view.publisher.name}, this is the card of {name[:60]!a}")
            plan = add_relay(card, view.publisher.urls, publisher=True)(plan, view)
        return _with(
            plan,
            new_root=True,
            root_keys=tuple(root_keys),
            root_threshold=root.threshold,
            targets_keys=tuple(targets_keys),
            targets_threshold=targets.threshold,
        )

    return change


def renew(plan: Plan, view: View | None) -> Plan:
    """The federation's document for longer, with nothing else changed."""
    if view is None:
        raise NotReady("nothing is published yet", hint="securechan root publish", code="not-published")
    return _with(plan, renew=True)


def _dropped(plan: Plan, view: View | None, name: str, field: str, drops: str) -> Plan:
    mine = getattr(plan, field)
    kept = tuple(record for record in mine if record.name != name)
    standing = {} if view is None else getattr(view, field)
    if len(kept) == len(mine) and name not in standing:
        raise NotFound(f"there is no {name[:60]!a}", hint="see: securechan root status")
    gone = (*getattr(plan, drops), name) if name in standing else getattr(plan, drops)
    return _with(plan, **{field: kept, drops: tuple(dict.fromkeys(gone))})


def _with(plan: Plan, **values: object) -> Plan:
    return made(Plan, **{**dict(plan), **values})


# -------------------------------------------------------------------------------------------------------------- signing


def open_ceremony(path: Path, root: str = "") -> Ceremony:
    """A ceremony from a file; ``root``: the beginning of the root hash that the holder knows. Raises Conflict where it
    is another federation's."""
    ceremony = Ceremony.decode(keyfile.read(path, MAX_FILE))
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
    write_private(path, signed.encode(), replace=True)
    return signed


def merge(path: Path, others: Sequence[Path]) -> Ceremony:
    """The ceremony at ``path`` with the signatures of its copies. Raises Conflict where one is no copy."""
    merged = Ceremony.decode(keyfile.read(path, MAX_FILE))
    for other in others:
        merged = merged.merge(Ceremony.decode(keyfile.read(other, MAX_FILE)))
    write_private(path, merged.encode(), replace=True)
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
            {"role": expiry.role, "expires": expiry.expires, "state": expiry.state.value, "left": expiry.left}
            for expiry in view.check_fresh(now)
        ],
    }


def tell_ceremony(folder: Folder, ceremony: Ceremony | None) -> Json:
    """How far a ceremony is."""
    if ceremony is None:
        return {"ceremony": None}
    return {"ceremony": {"file": str(folder.ceremony_path), **tell_drafts(ceremony)}}


def tell_drafts(ceremony: Ceremony) -> Json:
    """What a ceremony changes, and who has signed."""
    return {
        "root": None if ceremony.base is None else ceremony.base.root_id.hex(),
        "changes": list(ceremony.describe()),
        "signing": [tell_signing(signing) for signing in ceremony.status()],
        "complete": ceremony.complete,
    }


def tell_signing(signing: Signing) -> Json:
    """How far one document is."""
    return {
        "role": signing.role,
        "version": signing.version,
        "by": signing.delegator,
        "signed": sorted(signing.signed),
        "waiting": sorted(signing.waiting),
        "needed": signing.needed,
        "missing": signing.missing,
    }


def remake(plan: Plan, view: View | None) -> Plan:
    """The same plan on what stands now."""
    del view
    if plan.empty:
        raise NotReady("nothing is planned", hint="change something first: see securechan root", code="nothing")
    return plan
