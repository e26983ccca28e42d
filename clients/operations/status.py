"""Who I am, which relay, how fresh trust is, what waits."""

from __future__ import annotations

from typing import Any, Final

from clients.connection import SKEW_WARN, Up
from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work, skewed
from clients.operations.shelf import due
from clients.transport import Down
from securechan.errors import SecurechanError, TimedOut
from securechan.trust.freshness import State
from securechan.wire.handshake import KEM


async def status(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Everything at a glance. Without ``offline`` the relay is asked first, and not reaching it is part of the
    answer, not a failure."""
    error: SecurechanError | None = None
    if not Params(said).flag("offline"):
        try:
            await work.synced(20.0)
        except TimedOut:
            pass  # it is up, and has more to tell than this command waits for
        except SecurechanError as e:
            error = e
    agent = work.agent
    conversations, bulletins = agent.conversations(), agent.bulletins()
    mine = agent.keys()
    to_acknowledge = [each for each in bulletins if due(each)]
    return {
        "profile": work.profile.name,
        "device": agent.device,
        "officer": agent.officer,
        "agency": agent.agency,
        "roles": _roles(work),
        "relay": _relay(work, error),
        "keys": [{"state": each.state.name.lower(), "made": lookup.moment(each.made)} for each in mine],
        "trust": _trust(work),
        "conversations": len(conversations),
        "offers": len(agent.offers()),
        "unread": sum(each.unread for each in conversations),
        "queued": sum(each.queued for each in conversations),
        "idle": agent.idle,
        "held": [each.name for each in conversations if each.held],
        "frozen": [each.name for each in conversations if each.standing == "frozen"],
        "waiting_devices": sum(len(each.waiting) for each in conversations),
        "to_acknowledge": len(to_acknowledge),
        "acknowledge_by": lookup.moment(min((each.ack_by for each in to_acknowledge), default=0)),
    }


def _roles(work: Work) -> list[str]:
    record = work.agent.view.find(work.agent.device)
    return [] if record is None else sorted(record.roles)


def _relay(work: Work, error: SecurechanError | None) -> dict[str, Any]:
    link = work.runtime.link
    if isinstance(link, Up):
        return {
            "name": link.relay,
            "url": link.url,
            "state": "up",
            "handshake": KEM.name,
            "took_ms": round(link.took * 1000),
            "skew": round(link.skew, 1) + 0.0,  # no -0.0
            "warning": skewed(link.skew) if abs(link.skew) > SKEW_WARN else "",
        }
    told = error or (link.error if isinstance(link, Down) else None)
    down: dict[str, Any] = {"name": work.agent.me.relay, "state": "down" if told else "not asked"}
    if told is not None:
        down |= {"code": told.code, "message": told.message, "hint": told.hint}
    return down


def _trust(work: Work) -> dict[str, Any]:
    view = work.agent.view
    if not view.started:
        return {"root_id": view.root_id.hex(), "version": 0}
    root = view.signatories("root")
    expiries = view.check_fresh(work.now)
    return {
        "root_id": view.root_id.hex(),
        "version": view.version,
        "position": view.position.sequence,
        "root": view.root_version,
        "threshold": root.threshold,
        "holders": len(root.keys),
        "agencies": len(view.agencies),
        "warnings": [
            {"role": each.role, "state": each.state.value, "text": each.text, "hint": each.hint}
            for each in expiries
            if each.state is not State.OK and not _short_lived(each.role, each.state)
        ],
    }


def _short_lived(role: str, state: State) -> bool:
    """Timestamp and snapshot are renewed by a machine in the second half of their lives: that is no news."""
    return role in ("timestamp", "snapshot") and state is State.WARN


OPERATIONS: Final[dict[str, Operation]] = {"status": status}
