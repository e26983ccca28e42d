"""``securechan status``: who I am, which relay, how fresh trust is, what waits."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.doing import do
from clients.cli.frame import group, here
from clients.render import safe

app = group("Where I stand.")


@app.command()
def status(
    offline: Annotated[bool, typer.Option("--offline", help="Don't ask the relay.")] = False,
) -> None:
    """Who I am, which relay, how fresh trust is, what waits."""
    data = do("status.status", online=not offline, offline=offline)
    me = here()
    me.emit(data, lambda: _words(data))
    for each in data["trust"].get("warnings", ()):
        me.warn(f"{each['text']}: {each['hint']}")


def _words(data: dict[str, Any]) -> str:
    roles = ", ".join(data["roles"]) or "not in the roster"
    lines = [
        f"officer        {data['officer']}  ({roles})   profile {data['profile']}",
        f"relay          {_relay(data['relay'])}",
        f"device         {data['device']}  {_keys(data['keys'])}",
        f"trust          {_trust(data['trust'])}",
        f"conversations  {_counts(data)}",
    ]
    lines += [f"frozen         {safe(name)}: waits to be added again" for name in data["frozen"]]
    lines += [f"held           {safe(name)}: see the alarm, then conversation resume" for name in data["held"]]
    return "\n".join(lines)


def _relay(relay: dict[str, Any]) -> str:
    if relay["state"] == "up":
        return f"{relay['name']}  {relay['url']}  up, {relay['took_ms']} ms  handshake {relay['handshake']}"
    if relay["state"] == "down":
        return f"{relay['name']}  down: {safe(relay['message'])}"
    return f"{relay['name']}  not asked"


def _keys(keys: list[dict[str, Any]]) -> str:
    return "ML-DSA-65+Ed25519, " + ", ".join(f"{key['state']} since {key['made']}" for key in keys)


def _trust(trust: dict[str, Any]) -> str:
    if not trust["version"]:
        return f"federation {trust['root_id'][:16]}, nothing read yet"
    return (
        f"federation {trust['root_id'][:16]}  snapshot {trust['version']}, root {trust['root']}"
        f" ({trust['threshold']} of {trust['holders']}), {trust['agencies']} agencies"
    )


def _counts(data: dict[str, Any]) -> str:
    parts = [f"{data['conversations']}", f"unread {data['unread']}"]
    if data["offers"]:
        parts.append(f"offered {data['offers']}")
    if data["queued"]:
        parts.append(f"to send {data['queued']}")
    if data["to_acknowledge"]:
        parts.append(f"to acknowledge {data['to_acknowledge']} (by {data['acknowledge_by']})")
    if data["waiting_devices"]:
        parts.append(f"devices waiting for a word {data['waiting_devices']} (securechan verify show)")
    return "   ".join(parts)
