"""What a draft changes, in words: the last thing that a key holder reads before signing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from securechan.trust.contents import AgencyContents, Federation, RootContents, Roster, Signatories
from securechan.trust.document import Document
from securechan.trust.draft import Draft
from securechan.trust.records import CommunityBinding, DeviceRecord, Policy, Record, Tombstone
from securechan.trust.view import View

R = TypeVar("R")

_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/@+-]+")
_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"))


def diff(before: View | None, draft: Draft) -> tuple[str, ...]:
    """One line a change, ``+`` added, ``-`` gone, ``~`` changed; the first line names the document. Raises Malformed,
    Invalid, Untrusted for a draft from elsewhere that is no document."""
    document = draft.document
    old = None if before is None else before.document(draft.role)
    return (_headline(old, document), *_changes(old, document))


def _headline(old: Document | None, new: Document) -> str:
    before = "new" if old is None else f"after version {old.version}"
    return f"{new.role} version {new.version} ({before}), expires {_day(new.expires)}"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _changes(old: Document | None, new: Document) -> Iterator[str]:
    was = None if old is None else old.contents
    match new.contents:
        case RootContents(roles):
            standing = was.roles if isinstance(was, RootContents) else {}
            for role in sorted(roles):
                yield from _signers(role, standing.get(role), roles[role])
        case Federation() as federation:
            yield from _federation(was if isinstance(was, Federation) else None, federation)
        case AgencyContents(roster):
            yield from _signers("roster", was.roster if isinstance(was, AgencyContents) else None, roster)
        case Roster() as roster:
            yield from _roster(was if isinstance(was, Roster) else Roster(roster.agency, {}, (), {}), roster)
        case _:
            return


def _signers(what: str, old: Signatories | None, new: Signatories) -> Iterator[str]:
    if old is None:
        yield f"+ {what}: {new.threshold} of {len(new.keys)} keys sign"
    elif old.threshold != new.threshold or len(old.keys) != len(new.keys):
        yield f"~ {what}: {new.threshold} of {len(new.keys)} keys sign, it was {old.threshold} of {len(old.keys)}"
    standing = {} if old is None else old.keys
    for keyid in sorted(set(new.keys) - set(standing)):
        yield f"+ {what}: key {keyid[:16]}"
    for keyid in sorted(set(standing) - set(new.keys)):
        yield f"- {what}: key {keyid[:16]}"


def _mapping(what: str, old: Mapping[str, R], new: Mapping[str, R], tell: Callable[[R], str]) -> Iterator[str]:
    for name in sorted(set(new) - set(old)):
        yield f"+ {what} {name}: {tell(new[name])}"
    for name in sorted(set(old) - set(new)):
        yield f"- {what} {name}"


def _fields(old: Record, new: Record) -> list[str]:
    before, after = dict(_flat(old.custom())), dict(_flat(new.custom()))
    names = [*after, *(name for name in before if name not in after)]
    return [f"{name}: {_said(before, name)} → {_said(after, name)}" for name in names if _differ(before, after, name)]


def _flat(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Fields of fields by dotted names, so that none hides behind the others of a long text."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{name}.")
        else:  # a key's id is told by its first 16 digits, as everywhere
            yield f"{prefix}{name if len(name) <= 24 else name[:16]}", inner


def _differ(before: Mapping[str, object], after: Mapping[str, object], name: str) -> bool:
    return name not in before or name not in after or before[name] != after[name]


def _said(fields: Mapping[str, object], name: str) -> str:
    if name not in fields:
        return "nothing"
    text = _value(name, fields[name])
    return text if len(text) <= 60 else text[:57] + "..."


def _value(name: str, value: object) -> str:
    """A field's value as people write it. What could be taken for something else stays in quotes, escaped."""
    if isinstance(value, list | tuple):
        return ", ".join(_value(name, each) for each in value) or "none"
    if isinstance(value, int) and (name == "grace" or name.startswith("lifetimes.")):
        return _span(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else ascii(value)


def _span(seconds: int) -> str:
    """A length of time, exactly: in the largest unit that divides it."""
    for size, unit in _UNITS:
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} s"


def _changed(what: str, old: Mapping[str, Record], new: Mapping[str, Record]) -> Iterator[str]:
    for name in sorted(set(old) & set(new)):
        for change in _fields(old[name], new[name]):
            yield f"~ {what} {name}: {change}"


def _federation(old: Federation | None, new: Federation) -> Iterator[str]:
    if old is None:
        yield from _policy(new.policy)
    else:
        yield from (f"~ policy: {change}" for change in _fields(old.policy, new.policy))
    agencies = {} if old is None else old.agencies
    yield from _mapping("agency", agencies, new.agencies, lambda record: f"{record.title!a} {record.country}".rstrip())
    yield from _changed("agency", agencies, new.agencies)
    for name, signatories in sorted(new.signatories.items()):
        yield from _signers(f"agency {name}", None if old is None else old.signatories.get(name), signatories)
    relays = {} if old is None else old.relays
    yield from _mapping("relay", relays, new.relays, lambda record: ", ".join(record.urls))
    yield from _changed("relay", relays, new.relays)
    communities = {} if old is None else old.communities
    yield from _mapping("community", communities, new.communities, _community)
    yield from _changed("community", communities, new.communities)


def _policy(policy: Policy) -> Iterator[str]:
    """Every rule of a new federation, those of one kind in one line."""
    kinds: dict[str, list[str]] = {}
    for name, value in _flat(policy.custom()):
        kind, dot, inner = name.partition(".")
        said = _value(name, value)
        kinds.setdefault(kind, []).append(f"{inner} {said}" if dot else said)
    yield from (f"+ policy: {kind}: {', '.join(said)}" for kind, said in kinds.items())


def _community(record: CommunityBinding) -> str:
    """Whose invitation into it is joined unasked: what signing this is about."""
    bound = [] if record.group is None else [f"group {record.group.hex()[:16]}"]
    bound += [f"founder {founder}" for founder in record.founders]
    return ", ".join([ascii(record.title), *bound])


def _roster(old: Roster, new: Roster) -> Iterator[str]:
    gone: dict[str, Tombstone] = {stone.device: stone for stone in new.tombstones[len(old.tombstones) :] if stone.final}
    for name in sorted(set(new.devices) - set(old.devices)):
        yield f"+ device {name}: {_device(new.devices[name])}"
    for name in sorted(set(old.devices) - set(new.devices)):
        reason = gone[name].reason if name in gone else "without a tombstone"
        yield f"- device {name} of {old.devices[name].officer}: {reason}"
    for name in sorted(set(old.devices) & set(new.devices)):
        yield from (f"~ device {name}: {change}" for change in _device_changes(old.devices[name], new.devices[name]))
    for officer in sorted(set(new.cards) | set(old.cards)):
        if new.cards.get(officer) != old.cards.get(officer):
            sign = "-" if officer not in new.cards else "+" if officer not in old.cards else "~"
            yield f"{sign} contact card of {officer}"


def _device(record: DeviceRecord) -> str:
    until = "" if record.not_after is None else f", until {_day(record.not_after)}"
    return (
        f"officer {record.officer}, {' and '.join(sorted(record.roles))}, key {record.hashes()[-1].hex()[:16]}{until}"
    )


def _device_changes(old: DeviceRecord, new: DeviceRecord) -> Iterator[str]:
    if old.officer != new.officer:
        yield f"officer {old.officer} → {new.officer}"
    if old.roles != new.roles:
        yield f"roles {', '.join(sorted(old.roles))} → {', '.join(sorted(new.roles))}"
    for key in new.hashes(None):
        if key not in old.hashes(None):
            yield f"new key {key.hex()[:16]}"
    for key in old.hashes(None):
        if key not in new.hashes(None):
            yield f"key {key.hex()[:16]} revoked"
    if old.inbox != new.inbox:
        yield "new inbox key"
    if old.not_after != new.not_after:
        yield f"until {'further notice' if new.not_after is None else _day(new.not_after)}"
