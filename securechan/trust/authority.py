"""Making documents: what the federation's and the agencies' administrators sign.

    root_init, rotate_root        root                 the federation's key holders
    federation                    targets              the federation's administrators: agencies, relays, policy
    application                   <agency> 1           an agency that wants to be admitted
    agency                        <agency>             the agency's authority: who writes the roster
    roster                        <agency>-roster      the agency's administrators: devices

Each function takes the view as it is and gives the next version as an unsigned `Draft`; what breaks a rule of the
workflow is refused when the draft is made, not when it is published. Nothing here holds a private key.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tuf.api.metadata import DelegatedRole, Delegations, Role, Root, TargetFile, Targets

from securechan.errors import Conflict, Malformed, NotFound
from securechan.trust import document as doc
from securechan.trust import names, strict, workflow
from securechan.trust.contents import ONLINE, POLICY, Federation, RootContents, Roster, Signatories, target
from securechan.trust.document import Document
from securechan.trust.draft import Draft, date, enough
from securechan.trust.keys import Kind, TrustKey, TrustSigner
from securechan.trust.parcels import as_list, b64, load_file, read_drafts
from securechan.trust.records import (
    AgencyRecord,
    CommunityBinding,
    DeviceRecord,
    Lifetimes,
    Policy,
    Reason,
    RelayRecord,
    SealedCard,
    Tombstone,
    key_hash,
    made,
)
from securechan.trust.view import View

_NOTHING: Final = Federation(Policy(), {}, {}, {}, {})

# ---------------------------------------------------------------------------------------------------------------- root


def root_init(
    *,
    root_keys: Sequence[bytes],
    root_threshold: int,
    targets_keys: Sequence[bytes],
    targets_threshold: int,
    online: Sequence[bytes],
    now: int,
    lifetime: int = Lifetimes().root,
) -> Draft:
    """Root version 1: root-pair keys for the root, composite keys of the federation's administrators, the publisher's
    online keys. Its SHA-384, once signed, is the federation's name: ``View.root_id``."""
    roles = {
        "root": _signatories(root_keys, root_threshold),
        "targets": _signatories(targets_keys, targets_threshold),
        **{role: _signatories(online, 1) for role in ONLINE},
    }
    return _root(1, roles, now + lifetime)


def rotate_root(
    view: View,
    *,
    now: int,
    root_keys: Sequence[bytes] | None = None,
    root_threshold: int | None = None,
    targets_keys: Sequence[bytes] | None = None,
    targets_threshold: int | None = None,
    online: Sequence[bytes] | None = None,
) -> Draft:
    """The next root version; what is None stays. It is signed by enough of the old keys *and* of the new ones.

    New ``targets_keys`` must sign the targets document that is published with it (``federation`` with no changes); a
    new ``online`` key also belongs into the publisher's relay record.
    """
    current = view.roots[-1]
    old = doc.expect(current, RootContents).roles
    roles = {
        "root": _changed(old["root"], root_keys, root_threshold),
        "targets": _changed(old["targets"], targets_keys, targets_threshold),
        **{role: _changed(old[role], online, 1) for role in ONLINE},
    }
    lifetimes = view.policy.lifetimes if view.started else Lifetimes()
    return _root(current.version + 1, roles, now + lifetimes.root)


def _changed(old: Signatories, keys: Sequence[bytes] | None, threshold: int | None) -> Signatories:
    needed = old.threshold if threshold is None else threshold
    return Signatories(old.keys, needed) if keys is None else _signatories(keys, needed)


def _signatories(keys: Iterable[bytes], threshold: int) -> Signatories:
    return Signatories({key_hash(public).hex(): public for public in keys}, threshold)


def _root(version: int, roles: Mapping[str, Signatories], expires: int) -> Draft:
    keys = {
        keyid: TrustKey(Kind.ROOT_PAIR if role == "root" else Kind.COMPOSITE, public)
        for role, signatories in roles.items()
        for keyid, public in signatories.keys.items()
    }
    made_roles = {role: Role(sorted(signatories.keys), signatories.threshold) for role, signatories in roles.items()}
    return Draft.of("root", Root(version, None, date(expires), dict(keys), made_roles))


# ---------------------------------------------------------------------------------------------------------- federation


@dataclass(frozen=True, slots=True)
class Application:
    """What an agency hands the federation: its record, its authority's public keys, its first documents.

    That its agency document is signed by these keys proves that the agency holds them. Pass it on with `encode`.
    """

    record: AgencyRecord
    keys: tuple[bytes, ...]
    threshold: int
    documents: tuple[Draft, ...]

    @property
    def agency(self) -> str:
        """``"cert-hr"``."""
        return self.record.agency

    @property
    def draft(self) -> Draft:
        """The agency's own document."""
        return self.documents[0]

    def check(self) -> None:
        """Returns if the applicants hold their keys. Raises Untrusted."""
        enough([self.draft.signing(alone(self))])

    def encode(self) -> bytes:
        """JSON for a file."""
        return strict.dump(
            {
                "kind": "securechan agency application",
                "v": 1,
                "record": self.record.custom(),
                "keys": [base64.b64encode(key).decode("ascii") for key in self.keys],
                "threshold": self.threshold,
                "documents": [
                    [draft.role, base64.b64encode(draft.content).decode("ascii")] for draft in self.documents
                ],
            }
        )

    @classmethod
    def decode(cls, data: bytes, *, complete: bool = True) -> Application:
        """Raises Malformed, Invalid, Untrusted; calls `check` unless ``complete`` is False: it may still be signed."""
        value = load_file(data, "securechan agency application")
        try:
            record = AgencyRecord.read(value["record"], "application")
            keys = tuple(b64(key) for key in as_list(value["keys"]))
            threshold = value["threshold"]
            drafts = read_drafts(value["documents"])
        except KeyError as error:
            raise Malformed(f"application: no {error}") from None
        roles = [draft.role for draft in drafts]
        if type(threshold) is not int or threshold < 1:
            raise Malformed("application: its threshold is no whole number from 1")
        if roles not in ([record.agency], [record.agency, names.roster_role(record.agency)]):
            raise Malformed("application: its documents are not the agency's")
        found = cls(record, keys, threshold, drafts)
        if found.encode() != data:
            raise Malformed("application: fields that do not belong")
        if complete:
            found.check()
        return found


def application(
    record: AgencyRecord,
    *,
    keys: Sequence[bytes],
    threshold: int,
    roster_keys: Sequence[bytes],
    roster_threshold: int,
    now: int,
    first_roster: Draft | None = None,
    lifetime: int = Lifetimes().agency,
) -> Application:
    """A new agency's papers; its ``draft`` is to be signed by the authority's keys (``sign_application``)."""
    draft = _agency(record.agency, 1, _signatories(roster_keys, roster_threshold), now + lifetime)
    documents = (draft,) if first_roster is None else (draft, first_roster)
    return Application(record, tuple(keys), threshold, documents)


def sign_application(papers: Application, *signers: TrustSigner) -> Application:
    """With the authority's signatures on the agency document."""
    draft = papers.draft.sign(*signers)
    return Application(papers.record, papers.keys, papers.threshold, (draft, *papers.documents[1:]))


def alone(papers: Application) -> Document:
    """A federation of this agency alone: what its signatures are counted by."""
    signatories = {papers.agency: _signatories(papers.keys, papers.threshold)}
    return _targets(1, Federation(Policy(), {papers.agency: papers.record}, signatories, {}, {}), 1 << 32).document


def federation(
    view: View | None,
    *,
    now: int,
    policy: Policy | None = None,
    admit: Sequence[Application] = (),
    rekey: Sequence[Application] = (),
    remove: Sequence[str] = (),
    relays: Sequence[RelayRecord] = (),
    drop_relays: Sequence[str] = (),
    communities: Sequence[CommunityBinding] = (),
    drop_communities: Sequence[str] = (),
) -> Draft:
    """The next targets document: the one that stands, changed. ``rekey`` replaces the keys of agencies that stand;
    relays and communities replace those of their name. Publish the applications' documents together with it."""
    document = None if view is None else view.held.get("targets")
    old = _NOTHING if view is None or document is None else workflow.federation(view.held)
    agencies, signatories = dict(old.agencies), dict(old.signatories)
    for name in remove:
        if agencies.pop(name, None) is None:
            raise NotFound(f"{name[:60]!a} is no agency of the federation", hint="list them with root status")
        del signatories[name]
    for papers in admit:
        if papers.agency in agencies:
            raise Conflict(f"{papers.agency} stands already", hint="rekey what stands, admit what is new")
    for papers in rekey:
        if papers.agency not in agencies:
            raise NotFound(f"{papers.agency} is no agency of the federation", hint="admit it")
    for papers in (*admit, *rekey):
        papers.check()
        agencies[papers.agency] = papers.record
        signatories[papers.agency] = _signatories(papers.keys, papers.threshold)
    next_relays = dict(old.relays)
    _drop(next_relays, drop_relays, "relay")
    next_relays.update({relay.name: relay for relay in relays})
    next_communities = dict(old.communities)
    _drop(next_communities, drop_communities, "community")
    next_communities.update({community.name: community for community in communities})
    rules = policy or old.policy
    contents = Federation(rules, agencies, signatories, next_relays, next_communities)
    return _targets(1 if document is None else document.version + 1, contents, now + rules.lifetimes.targets)


def _drop(things: dict[str, RelayRecord] | dict[str, CommunityBinding], gone: Iterable[str], what: str) -> None:
    for name in gone:
        if name not in things:
            raise NotFound(f"there is no {what} {name[:60]!a}")
        del things[name]


def _targets(version: int, contents: Federation, expires: int) -> Draft:
    targets: dict[str, TargetFile] = {POLICY: target(POLICY, contents.policy)}
    for name, record in contents.agencies.items():
        targets[f"agencies/{name}"] = target(f"agencies/{name}", record)
    for name, relay in contents.relays.items():
        targets[f"relays/{name}"] = target(f"relays/{name}", relay)
    for name, community in contents.communities.items():
        targets[f"communities/{name}"] = target(f"communities/{name}", community)
    delegated = {name: (name, signatories) for name, signatories in contents.signatories.items()}
    return Draft.of("targets", Targets(version, None, date(expires), targets, _delegations(delegated)))


def _delegations(roles: Mapping[str, tuple[str, Signatories]]) -> Delegations:
    """role → (agency, signatories): each speaks for the agency's paths, and the search ends there."""
    keys = {
        keyid: TrustKey(Kind.COMPOSITE, public)
        for _, signatories in roles.values()
        for keyid, public in signatories.keys.items()
    }
    delegated = {
        role: DelegatedRole(role, sorted(signatories.keys), signatories.threshold, True, [f"{agency}/*"])
        for role, (agency, signatories) in sorted(roles.items())
    }
    return Delegations(dict(keys), delegated)


# -------------------------------------------------------------------------------------------------------------- agency


def agency(
    view: View, name: str, *, now: int, roster_keys: Sequence[bytes] | None = None, roster_threshold: int | None = None
) -> Draft:
    """The agency's next document: new roster keys, or the same for longer. New keys must also sign the roster that is
    published with it."""
    member = view.agency(name)
    standing = member.roster
    if standing is None and (roster_keys is None or roster_threshold is None):
        raise NotFound(f"{name} has published nothing yet", hint="name the roster's keys and threshold")
    old = standing if standing is not None else Signatories({}, 1)
    return _agency(
        name, member.version + 1, _changed(old, roster_keys, roster_threshold), now + view.policy.lifetimes.agency
    )


def _agency(name: str, version: int, roster: Signatories, expires: int) -> Draft:
    delegations = _delegations({names.roster_role(name): (name, roster)})
    return Draft.of(names.check_agency(name), Targets(version, None, date(expires), {}, delegations))


# -------------------------------------------------------------------------------------------------------------- roster


def roster(
    view: View | None,
    name: str,
    *,
    now: int,
    add: Sequence[DeviceRecord] = (),
    replace: Sequence[DeviceRecord] = (),
    revoke: Mapping[str, Reason] | None = None,
    cards: Mapping[str, bytes | None] | None = None,
) -> Draft:
    """The agency's next roster. ``replace`` changes records of standing devices: keys that they no longer hold become
    tombstones. ``revoke``: device id → why. ``cards``: officer → sealed card, or None to take it away. With no changes:
    the same roster for longer."""
    role = names.roster_role(names.check_agency(name))
    document = None if view is None else view.held.get(role)
    old = (
        document.contents
        if document is not None and isinstance(document.contents, Roster)
        else Roster(name, {}, (), {})
    )
    devices, stones = dict(old.devices), list(old.tombstones)
    for record in add:
        if record.device in devices:
            raise Conflict(f"{record.name} stands in the roster already", hint="choose another device name")
        devices[record.device] = record
    for record in replace:
        before = devices.get(record.device)
        if before is None:
            raise NotFound(f"{record.name} does not stand in the roster")
        dropped = tuple(key for key in before.hashes(None) if key not in record.hashes(None))
        if dropped:
            stones.append(_stone(before, dropped, "rotated", now))
        devices[record.device] = record
    for device, reason in (revoke or {}).items():
        gone = devices.pop(device, None)
        if gone is None:
            raise NotFound(f"{names.device_name(name, device)} does not stand in the roster")
        stones.append(_stone(gone, gone.hashes(None), reason, now))
    officers = {record.officer for record in devices.values()}
    kept = {**old.cards, **(cards or {})}
    shown = {officer: card for officer, card in kept.items() if card is not None and officer in officers}
    lifetimes = view.policy.lifetimes if view is not None and view.started else Lifetimes()
    draft = _roster(
        Roster(name, devices, tuple(stones), shown),
        1 if document is None else document.version + 1,
        now + lifetimes.roster,
    )
    if document is not None:
        workflow.check_succession(document, draft.document)
    return draft


def _stone(record: DeviceRecord, keys: Sequence[bytes], reason: Reason, now: int) -> Tombstone:
    return made(
        Tombstone,
        agency=record.agency,
        device=record.device,
        officer=record.officer,
        keys=tuple(keys),
        reason=reason,
        at=now,
    )


def _roster(contents: Roster, version: int, expires: int) -> Draft:
    name = contents.agency
    targets: dict[str, TargetFile] = {}
    for record in contents.devices.values():
        targets[record.name] = target(record.name, record)
    for number, stone in enumerate(contents.tombstones, 1):
        targets[f"{name}/+{number}"] = target(f"{name}/+{number}", stone)
    for officer, sealed in contents.cards.items():
        targets[f"{name}/@{officer}"] = target(f"{name}/@{officer}", made(SealedCard, sealed=sealed))
    return Draft.of(names.roster_role(name), Targets(version, None, date(expires), targets, None))


def add_key(record: DeviceRecord, suite: str, public: bytes) -> DeviceRecord:
    """A device's record with a new signature key beside the old one. Raises Conflict while one replaces another."""
    keys = record.keys.get(suite, ())
    if len(keys) > 1:
        raise Conflict(f"{record.name} is replacing a key already", hint="drop the old key first")
    return changed(record, keys={**record.keys, suite: (*keys, public)})


def drop_key(record: DeviceRecord, suite: str, key: bytes) -> DeviceRecord:
    """A device's record without the signature key whose hash is ``key``, which becomes a tombstone."""
    left = tuple(public for public in record.keys.get(suite, ()) if key_hash(public) != key)
    if not left or len(left) == len(record.keys[suite]):
        raise Conflict(f"{record.name}: that key is not there, or the only one", hint="add the new key first")
    return changed(record, keys={**record.keys, suite: left})


def changed(record: DeviceRecord, **values: object) -> DeviceRecord:
    """A device's record with other values, checked like any. Raises Invalid."""
    fields = {name: getattr(record, name) for name in DeviceRecord.model_fields}
    return made(DeviceRecord, **{**fields, **values})
