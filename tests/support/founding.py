"""A federation founded now, for relays that run: agencies, their devices with all keys, and the bundle to adopt.

    founded = found(relay.card(), devices=("cert-hr/a", "cert-si/b"))
    relay.adopt(founded.bundle)
    client = await Client.connect(relay.url, founded.relay, founded.credential("cert-hr/a"))

`tests.support.federation` has a federation whose time stands still; this one lives by the clock, as a relay does.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from securechan.crypto.secret import Secret
from securechan.trust import authority
from securechan.trust.bundle import Bundle
from securechan.trust.keys import Kind, TrustSigner, generate
from securechan.trust.publisher import publish
from securechan.trust.records import AgencyRecord, RelayRecord, made
from securechan.trust.view import View
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import TRUST_TOPIC, Entry, Publication
from securechan.wire.handshake import DeviceCredential, OfficeCredential, RelayIdentity
from tests.support.federation import Device, make_device, root_signer


@cache
def private_key(role: str) -> bytes:
    """One key for each office, all process long."""
    del role
    return generate(Kind.COMPOSITE)[0]


def _signer(role: str) -> TrustSigner:
    return TrustSigner(Kind.COMPOSITE, private_key(role))


@dataclass(frozen=True)
class Founded:
    """A federation's first bundle, and every private key behind it."""

    bundle: bytes
    root_id: bytes
    relay: RelayIdentity
    devices: Mapping[str, Device]
    view: View  # of the root alone; `follow` what the relay publishes
    now: int

    def credential(self, device: str) -> DeviceCredential:
        """What ``"agency/device"`` proves itself with."""
        held = self.devices[device]
        return DeviceCredential(device, held.key, held.key.public, Position(0, bytes(48)))

    def office(self, role: str) -> OfficeCredential:
        """What a holder of the trust role's key proves itself with: "targets", "cert-hr", "cert-hr-roster"."""
        signer = _signer(role)
        return OfficeCredential(role, signer.keyid, private_key(role), signer.public)

    def read(self, entries: Iterable[Entry], view: View | None = None) -> View:
        """The view after these entries of the trust topic, the first of which is the founding."""
        view = view or View.bootstrap(Bundle.decode(self.bundle).root, position=start(TRUST_TOPIC))
        for entry in entries:
            opens = view.position.sequence == 0  # with root version 1
            place = advance(view.position, entry.kind, entry.entry_id, entry.sequence, entry.body)
            documents = [(d.role, d.content) for d in Publication.decode(entry.body).documents]
            view = view.apply(documents[1:] if opens else documents, position=place)
        return view

    def with_key(self, kem: bytes, online: Secret) -> bytes:
        """The bundle in which the federation gives the relay this KEM key instead. ``online`` is the relay's own key,
        which publishes."""
        first = Bundle.decode(self.bundle)
        signer = TrustSigner(Kind.COMPOSITE, online)
        view = self.view.apply(publish(self.view, first.rest, signer, now=self.now), position=Position(1, bytes(48)))
        record = view.relays[self.relay.name]
        changed = RelayRecord.make(record.name, record.urls, [kem], list(record.online.values()), publisher=True)
        targets = authority.federation(view, now=self.now, relays=[changed]).sign(_signer("targets"))
        kept = (pair for pair in first.rest if pair[0] != "targets")
        return Bundle((("root", first.root), targets.pair(), *kept)).encode()

    def roster(self, agency: str, view: View | None = None, **changes: Any) -> tuple[str, bytes]:
        """A signed roster (role, content) that changes this: ``add=[record]``, ``revoke={device: reason}``."""
        draft = authority.roster(view or self.view, agency, now=self.now, **changes)
        return draft.sign(_signer(f"{agency}-roster")).pair()


def found(
    card: Mapping[str, Any],
    devices: Iterable[str] = ("cert-hr/a", "cert-si/b"),
    *,
    roles: Iterable[str] = ("liaison", "desk", "admin"),
) -> Founded:
    """Found a federation around the relay of this card; a root signature takes half a second."""
    now = int(time.time())
    kem, online = base64.b64decode(card["kem"]), base64.b64decode(card["online"])
    made_devices = {name: make_device(*name.split("/"), "liaison-1", *roles, now=now) for name in devices}
    papers = []
    for agency in sorted({name.partition("/")[0] for name in made_devices}):
        records = [device.record for name, device in made_devices.items() if name.startswith(f"{agency}/")]
        roster = authority.roster(None, agency, now=now, add=records).sign(_signer(f"{agency}-roster"))
        application = authority.application(
            made(AgencyRecord, agency=agency, title=f"Agency {agency}", country="EU"),
            keys=[_signer(agency).public],
            threshold=1,
            roster_keys=[_signer(f"{agency}-roster").public],
            roster_threshold=1,
            now=now,
            first_roster=roster,
        )
        papers.append(authority.sign_application(application, _signer(agency)))
    root = authority.root_init(
        root_keys=[root_signer().public],
        root_threshold=1,
        targets_keys=[_signer("targets").public],
        targets_threshold=1,
        online=[online],
        now=now,
    ).sign(root_signer())
    relay = RelayRecord.make(card["name"], [card["url"]], [kem], [online], publisher=True)
    targets = authority.federation(None, now=now, admit=papers, relays=[relay]).sign(_signer("targets"))
    bundle = Bundle.of([root, targets, *(draft for paper in papers for draft in paper.documents)])
    root_id = hashlib.sha384(bundle.root).digest()
    return Founded(
        bundle.encode(),
        root_id,
        RelayIdentity(root_id, card["name"], kem),
        made_devices,
        View.bootstrap(bundle.root),
        now,
    )
