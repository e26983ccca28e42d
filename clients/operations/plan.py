"""What the federation's administrators want next, and the ceremony that carries it out.

    Plan ──change──► Plan ──make_ceremony(plan, view)──► drafts of root, targets and what comes with them

A plan is a value; changes are functions over it, each refused when it is made and not when it is signed. Making the
ceremony anew is always the same act, so a plan can be carried over to a federation that has moved on meanwhile.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from clients.keyfile import PublicKey, Use
from securechan.errors import Conflict, Invalid, Malformed, NotFound, NotReady
from securechan.trust import authority
from securechan.trust.authority import Application
from securechan.trust.bundle import Ceremony
from securechan.trust.draft import Draft
from securechan.trust.records import Blob, CommunityBinding, Policy, Record, RelayRecord, made
from securechan.trust.view import View

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
class Holders:
    """Who signs for a role: keys made elsewhere, and how many to make here. ``threshold`` 0 means more than half."""

    given: tuple[Path, ...] = ()
    made: int = 0
    threshold: int = 0


def threshold_of(asked: int, count: int, what: str) -> int:
    threshold = asked or count // 2 + 1
    if not 1 <= count <= 16 or not 1 <= threshold <= count:
        raise Invalid(
            f"{what}: {threshold} of {count} keys can't sign",
            hint="use 1 to 16 keys, and a threshold that is not above their number",
            code="usage",
        )
    return threshold


def given(paths: Sequence[Path], use: Use) -> list[bytes]:
    publics = [PublicKey.load(path, use).public for path in paths]
    if len(set(publics)) != len(publics):
        raise Invalid(f"{use.value}: one key is named twice", hint="each holder has a key of their own")
    return publics


# --------------------------------------------------------------------------------------------------------- the ceremony


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


# -------------------------------------------------------------------------------------------------------------- changes


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
    root_keys, targets_keys = given(root.given, Use.ROOT), given(targets.given, Use.TARGETS)

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


def remake(plan: Plan, view: View | None) -> Plan:
    """The same plan on what stands now."""
    del view
    if plan.empty:
        raise NotReady("nothing is planned", hint="change something first: see securechan root", code="nothing")
    return plan
