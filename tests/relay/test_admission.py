"""Who someone is, says trust; whoever is not admitted any more goes at once."""

from __future__ import annotations

import pytest

from relay.people import Guest, Office
from securechan.errors import Refused, Untrusted
from securechan.wire import chain
from securechan.wire.door import DeviceClaim, GuestClaim, OfficeClaim
from securechan.wire.frames import (
    TRUST_TOPIC,
    Appended,
    Code,
    CreateBox,
    Deliver,
    Done,
    Halt,
    Publish,
    Reason,
    Subscribe,
    TrustDocument,
    inbox_topic,
)
from securechan.wire.handshake_formats import DeviceProof, GuestProof, OfficeProof
from tests.relay.desk import Client, digest, founded, open_desk

T = digest("topic")
S0, S1, S2, S3 = (digest("secret", n) for n in range(4))


async def test_an_office_reads_trust_and_publishes() -> None:
    async with open_desk() as desk:
        office = Client(desk, Office("targets", "00"))
        await office.read(TRUST_TOPIC)
        await office.halted(TRUST_TOPIC, Halt.TAIL, 1)
        assert (await office.refused(Deliver(S0, S0, b""))).code is Code.FORBIDDEN
        assert (await office.refused(Subscribe(T, 0))).code is Code.UNKNOWN_TOPIC
        assert (await office.refused(Publish(1, (TrustDocument("targets", b"{}"),)))).code is Code.UNTRUSTED


async def test_a_revoked_device_is_out_in_the_batch_that_revokes_it() -> None:
    async with open_desk() as desk:
        one, lost = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.read(TRUST_TOPIC)
        await one.halted(TRUST_TOPIC, Halt.TAIL)
        view = founded().read(one.entries(TRUST_TOPIC))
        role, content = founded().roster("cert-si", view, revoke={"c": "lost"})
        assert (await one.refused(Publish(7, (TrustDocument(role, content),)))).code is Code.STALE
        assert await one.ask(Publish(1, (TrustDocument(role, content),))) == Appended(2)
        assert await one.ask(Publish(1, (TrustDocument(role, content),))) == Appended(2)  # its answer was lost
        assert lost.outlet.ended is Reason.REVOKED
        assert lost.member.gone
        assert one.outlet.ended is None
        await one.halted(TRUST_TOPIC, Halt.TAIL, 2)
        after = founded().read(one.entries(TRUST_TOPIC))
        assert after.find("cert-si/c") is None
        assert after.position == desk.trust.view.position if desk.trust.view else False
        gone = await one.refused(Deliver(inbox_topic("cert-si/c"), S0, b"x"))
        assert gone.code is Code.NOT_FOUND
        with pytest.raises(Untrusted) as refused:
            await desk.mailroom.identify(claim_of("cert-si/c"))
        assert refused.value.code == "revoked"


def claim_of(name: str, public: bytes | None = None) -> DeviceClaim:
    known = founded().devices.get(name, founded().devices["cert-hr/a"])
    proof = DeviceProof(name, public or known.key.public, chain.start(TRUST_TOPIC), b"")
    return DeviceClaim(None, proof)  # only the proof is looked at


async def test_who_someone_says_they_are_is_looked_up() -> None:
    async with open_desk() as desk:
        known = await desk.mailroom.identify(claim_of("cert-hr/a"))
        assert known.key == founded().devices["cert-hr/a"].key.public
        assert known.who == desk.device("cert-hr/a")
        with pytest.raises(Untrusted):
            await desk.mailroom.identify(claim_of("cert-hr/a", founded().devices["cert-hr/b"].key.public))
        with pytest.raises(Untrusted, match="no device"):
            await desk.mailroom.identify(claim_of("cert-hr/nobody"))

        admin = desk.client("cert-hr/a")
        assert await admin.ask(CreateBox(T, S3, desk.clock.now // 1000 + 60)) == Done()

        def guest(box: bytes) -> GuestClaim:
            return GuestClaim(None, GuestProof(box, bytes(32)))

        known = await desk.mailroom.identify(guest(T))
        assert known.key == S3
        assert known.who == Guest(T, "cert-hr", desk.clock.now // 1000 + 60)
        with pytest.raises(Refused) as refused:
            await desk.mailroom.identify(guest(S0))
        assert refused.value.code == "not-found"
        desk.clock.now += 60_000
        with pytest.raises(Refused) as refused:
            await desk.mailroom.identify(guest(T))
        assert refused.value.code == "expired"

        office = founded().office("cert-hr-roster")
        proof = OfficeProof(office.role, office.key_id, office.public, b"")
        known = await desk.mailroom.identify(OfficeClaim(None, proof))
        assert (known.key, known.who) == (office.public, Office(office.role, office.key_id))
        proof = OfficeProof("targets", office.key_id, office.public, b"")
        with pytest.raises(Untrusted):
            await desk.mailroom.identify(OfficeClaim(None, proof))
