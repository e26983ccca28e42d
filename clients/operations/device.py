"""Devices: mine, an officer's, an agency's, as the trust records list them; and having one of mine revoked.

An administrator's device revokes at once. Any other asks the agency's administrators, by a letter to their devices.
"""

from __future__ import annotations

from typing import Any, Final

from clients.operations import farewells, lookup, rosters
from clients.operations.engine import Operation, Params, Work
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from securechan.agent.inputs import SendOpaque
from securechan.errors import NotReady
from securechan.trust.records import DeviceRecord


async def ls(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Devices of an ``officer`` or an ``agency``; without either, mine."""
    params = Params(said)
    officer, agency = params.text("officer", ""), params.text("agency", "")
    view = work.agent.view
    records = view.devices(view.agency(agency).name) if agency else view.devices_of(officer or work.agent.officer)
    stones = view.tombstones(agency) if agency else ()
    return {
        "devices": [_record(work, record) for record in sorted(records, key=lambda record: record.name)],
        "revoked": [
            {"device": stone.name, "officer": stone.officer, "reason": stone.reason, "at": lookup.moment(stone.at)}
            for stone in stones
            if stone.final
        ],
    }


def _record(work: Work, record: DeviceRecord) -> dict[str, Any]:
    return {
        "device": record.name,
        "officer": record.address,
        "roles": sorted(record.roles),
        "since": lookup.moment(record.since),
        "not_after": lookup.moment(record.not_after or 0),
        "keys": [key.hex() for key in record.hashes()],
        "own": record.name == work.agent.device,
    }


async def revoke(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """``device`` ("agency/device" or "device"), ``reason``: have it revoked."""
    params = Params(said)
    await work.synced()
    view, me = work.agent.view, work.agent.view.device(work.agent.device)
    reason = farewells.reason(params.text("reason", "lost"))
    name = params.text("device")
    name = name if "/" in name else f"{me.agency}/{name}"
    if "admin" in me.roles and work.vault.get(OFFICE, ROSTER_KEY) is not None:
        return {**await rosters.revoke(work, {"device": name, "reason": reason}), "asked": []}
    farewells.check(view, name, me.name)
    offices = [record for record in view.devices(me.agency) if "admin" in record.roles and record.name != name]
    if not offices:
        raise NotReady(
            f"{me.agency} has no administrator's device that could be asked",
            hint="tell whoever holds the agency's authority keys",
            code="no-administrator",
        )
    letter = farewells.Farewell(name, reason, me.name, work.now).encode()
    for record in offices:
        await work.runtime.do(SendOpaque(record.name, farewells.KIND, letter))
    await rosters.delivered(work)
    return {"device": name, "reason": reason, "published": False, "asked": [record.name for record in offices]}


OPERATIONS: Final[dict[str, Operation]] = {"ls": ls, "revoke": revoke}
