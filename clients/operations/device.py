"""Devices: mine, an officer's, an agency's, as the trust records list them."""

from __future__ import annotations

from typing import Any, Final

from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work
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


OPERATIONS: Final[dict[str, Operation]] = {"ls": ls}
