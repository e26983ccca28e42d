"""A small federation with all its private keys, for tests: honest documents by the front door, forged ones by the back.

The root key is made and used once a process (an SLH-DSA signature takes half a second); everything else is fresh for
each `World`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from securesystemslib.formats import encode_canonical

from securechan.crypto.kem import MLKEM768_X25519, KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.trust import authority, publisher, strict
from securechan.trust.contents import HASH
from securechan.trust.draft import Draft
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import AgencyRecord, DeviceRecord, Policy, RelayRecord, made
from securechan.trust.view import Place, View

NOW = 1_800_000_000  # 2027-01-15


@cache
def root_signer(number: int = 0) -> TrustSigner:
    """The same root key for the same number, all process long."""
    del number
    return TrustSigner.generate(Kind.ROOT_PAIR)


@cache
def _founded() -> tuple[TrustSigner, TrustSigner, bytes]:
    targets, online = TrustSigner.generate(Kind.COMPOSITE), TrustSigner.generate(Kind.COMPOSITE)
    draft = authority.root_init(
        root_keys=[root_signer().public],
        root_threshold=1,
        targets_keys=[targets.public],
        targets_threshold=1,
        online=[online.public],
        now=NOW,
    )
    return targets, online, draft.sign(root_signer()).content


@dataclass(frozen=True)
class Device:
    """A device with its private keys."""

    record: DeviceRecord
    key: SigningKey
    inbox: KemKey

    @property
    def name(self) -> str:
        return self.record.name


def make_device(agency: str, device: str, officer: str = "liaison-1", *roles: str, now: int = NOW) -> Device:
    """A device that is not listed yet."""
    key, inbox = COMPOSITE.load(Secret.random(64)), MLKEM768_X25519.load(MLKEM768_X25519.generate()[0])
    record = made(
        DeviceRecord,
        agency=agency,
        device=device,
        officer=officer,
        roles=frozenset(roles or ("liaison",)),
        keys={"hybrid": (key.public,)},
        inbox=inbox.public,
        since=now,
    )
    return Device(record, key, inbox)


@dataclass
class AgencyKeys:
    """An agency's offline key and its administrators' roster keys."""

    authority: TrustSigner
    roster: list[TrustSigner]


class World:
    """A federation that publishes. ``view`` is its present state, ``log`` every publication."""

    def __init__(
        self,
        agencies: Iterable[str] = ("cert-hr", "cert-lt"),
        *,
        policy: Policy | None = None,
        roster_threshold: int = 1,
        relay_kem: bytes | None = None,
        relay_url: str = "ws://127.0.0.1:1",
        online: TrustSigner | None = None,
    ) -> None:
        self.targets, founded_online, self.root = _founded()
        self.online = online or founded_online
        self.root_key = root_signer()
        self.relay_kem = MLKEM768_X25519.generate()[1] if relay_kem is None else relay_kem
        self.keys: dict[str, AgencyKeys] = {}
        self.log: list[tuple[tuple[str, bytes], ...]] = []
        self.view = View.bootstrap(self.root)
        self.now = NOW
        papers = [self.apply_for(name, roster_threshold) for name in agencies]
        relay = RelayRecord.make("relay-1", [relay_url], [self.relay_kem], [self.online.public], publisher=True)
        federation = authority.federation(None, now=NOW, policy=policy, admit=papers, relays=[relay])
        self.publish(
            federation.sign(self.targets), *(draft for application in papers for draft in application.documents)
        )

    def apply_for(self, name: str, roster_threshold: int = 1) -> authority.Application:
        """An agency's signed application; its keys are kept."""
        keys = AgencyKeys(
            TrustSigner.generate(Kind.COMPOSITE),
            [TrustSigner.generate(Kind.COMPOSITE) for _ in range(roster_threshold)],
        )
        self.keys[name] = keys
        papers = authority.application(
            made(AgencyRecord, agency=name, title=f"Agency {name}", country="HR"),
            keys=[keys.authority.public],
            threshold=1,
            roster_keys=[key.public for key in keys.roster],
            roster_threshold=roster_threshold,
            now=self.now,
        )
        return authority.sign_application(papers, keys.authority)

    def place(self) -> Place:
        """The next position; its chain value is only unlike the others."""
        sequence = self.view.position.sequence + 1
        return Place(sequence, hashlib.sha384(b"%d" % sequence).digest())

    def publish(self, *drafts: Draft) -> View:
        """Publish as an honest relay does."""
        return self.take(publisher.publish(self.view, [draft.pair() for draft in drafts], self.online, now=self.now))

    def refresh(self) -> View:
        """Renew the timestamp."""
        return self.take(publisher.refresh(self.view, self.online, now=self.now))

    def take(self, publication: tuple[tuple[str, bytes], ...]) -> View:
        """Apply a publication."""
        self.view = self.view.apply(publication, position=self.place())
        self.log.append(publication)
        return self.view

    def roster(self, agency: str, **changes: Any) -> Draft:
        """A signed roster draft."""
        return authority.roster(self.view, agency, now=self.now, **changes).sign(*self.keys[agency].roster)

    def enrol(self, agency: str, device: str, officer: str = "liaison-1", *roles: str) -> Device:
        """A new device, listed."""
        new = make_device(agency, device, officer, *roles, now=self.now)
        self.publish(self.roster(agency, add=[new.record]))
        return new

    def revoke(self, name: str, reason: str = "lost") -> View:
        """Tombstone ``"agency/device"``."""
        agency, _, device = name.partition("/")
        return self.publish(self.roster(agency, revoke={device: reason}))

    # ---------------------------------------------------------------------------------------------------- the back door

    def seal(
        self,
        documents: Mapping[str, bytes],
        *,
        drop: Iterable[str] = (),
        versions: Mapping[str, int] | None = None,
        signer: TrustSigner | None = None,
        snapshot: Callable[[dict[str, Any]], None] = lambda _: None,
        timestamp: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> tuple[tuple[str, bytes], ...]:
        """What a relay that checks nothing would sign over documents: ``versions`` overrides what snapshot and
        timestamp call theirs; ``snapshot`` and ``timestamp`` may alter the signed parts before they are signed."""
        signer = signer or self.online
        versions = versions or {}
        held = {role: d.content for role, d in self.view.held.items() if role not in {"snapshot", "timestamp"}}
        held |= {role: content for role, content in documents.items() if role != "root"}
        meta = {f"{role}.json": stamp(content) for role, content in held.items() if role not in set(drop)}
        number = versions.get("snapshot", self.view.version + 1)
        body: dict[str, Any] = base("snapshot", number, NOW + 7 * 86_400) | {"meta": meta}
        snapshot(body)
        made_snapshot = signed(body, signer)
        old = self.view.held.get("timestamp")
        number = versions.get("timestamp", 1 if old is None else old.version + 1)
        body = base("timestamp", number, NOW + 86_400) | {"meta": {"snapshot.json": stamp(made_snapshot)}}
        timestamp(body)
        return (*documents.items(), ("snapshot", made_snapshot), ("timestamp", signed(body, signer)))

    def force(self, documents: Mapping[str, bytes], **how: Any) -> View:
        """Apply what `seal` makes."""
        return self.view.apply(self.seal(documents, **how), position=self.place())


def base(kind: str, version: int, expires: int) -> dict[str, Any]:
    """The common fields of a signed part."""
    from securechan.trust.draft import date

    when = date(expires).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"_type": kind, "version": version, "spec_version": "1.0.31", "expires": when}


def stamp(content: bytes) -> dict[str, Any]:
    """What a snapshot or timestamp says of a document."""
    version = json.loads(content)["signed"].get("version", 1)
    return {"version": version, "length": len(content), "hashes": {HASH: hashlib.sha384(content).hexdigest()}}


def signed(body: object, *signers: TrustSigner) -> bytes:
    """A document over any JSON, signed."""
    canonical = encode_canonical(body)
    assert canonical is not None
    signatures = {signer.keyid: signer.sign(canonical.encode()).signature for signer in signers}
    return strict.dump({"signatures": [{"keyid": k, "sig": signatures[k]} for k in sorted(signatures)], "signed": body})


def forge(content: bytes, change: Callable[[dict[str, Any]], object], *signers: TrustSigner) -> bytes:
    """A document with its signed part changed in place, and signed anew."""
    body = json.loads(content)["signed"]
    change(body)
    return signed(body, *signers)
