"""What the operator asks of a relay that runs: how it is, to read its configuration again, to go down.

Questions go through the Unix socket in the relay's folder, which is the owner's alone; signals to the process that
answers there.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from relay import keys as keyring
from relay import tls
from relay.backup import note
from relay.config import load
from relay.metrics import SHARED
from relay.vitals import installed
from relay.workers import Worker
from securechan.errors import NotReady, TimedOut, Unfit, Unreachable

PAUSE: Final = 0.05  # seconds between two looks
LONGEST: Final = 107  # bytes of a Unix socket's path


class _Inside(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(home: Path, socket: str = keyring.SOCKET) -> dict[str, Any]:
    """What the running relay says of itself, or one of its workers. Raises `Unreachable` where none answers,
    `NotReady` where none could."""
    path = home / socket
    if len(os.fsencode(path)) > LONGEST:
        raise NotReady(
            f"{path} is too long for a socket: a relay that runs there can't be asked",
            hint=f"name a folder of at most {LONGEST - len(socket) - 1} bytes, or go there and say --home .",
        )
    connection = _Inside(path)
    try:
        connection.request("GET", "/status")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        raise Unreachable("no relay runs on this folder", hint="start it with: securechan-relay run") from None
    finally:
        connection.close()
    return answer


def everyone(home: Path) -> dict[str, Any]:
    """`ask`, of all workers together: ready when all are; what each counts for itself (`SHARED` is one for all) is the
    sum, and ``each`` has every worker's part. Raises what `ask` raises, where the first worker doesn't answer."""
    told = ask(home)
    told["each"] = []
    if told["workers"] == 1:
        return told
    counts: dict[str, float] = dict(told["counts"])
    for number in range(told["workers"]):
        try:
            one = ask(home, Worker(number).socket) if number else told
        except Unreachable:
            told["each"].append({"worker": number, "answers": False, "ready": False, "sessions": 0})
            told["ready"], told["why"] = False, [*told["why"], f"worker {number} does not answer"]
            continue
        sessions = one["counts"]["sessions"]
        told["each"].append({"worker": number, "answers": True, "ready": one["ready"], "sessions": sessions})
        if number:
            for name in one["counts"].keys() - SHARED:
                counts[name] = counts.get(name, 0) + one["counts"][name]
            told["ready"] &= one["ready"]
            told["why"] += [why for why in one["why"] if why not in told["why"]]
    told["counts"] = counts
    return told


def reload(home: Path, patience: float = 30.0) -> dict[str, Any]:
    """Have the configuration read again; what the relay says of itself then. Raises `Unfit` where it refused it,
    `Unreachable`, `TimedOut`."""
    before = ask(home)
    os.kill(before["pid"], signal.SIGHUP)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        told = ask(home)
        if told["configuration"]["reloads"] > before["configuration"]["reloads"]:
            refused = told["configuration"]["refused"]
            if refused:
                raise Unfit(f"{refused}; the relay goes on as before", hint="securechan-relay check-config tells more")
            return told
        time.sleep(PAUSE)
    raise TimedOut("the relay did not read its configuration in time", hint="its log may say why")


def drain(home: Path, patience: float = 60.0) -> dict[str, Any]:
    """Have the relay finish what was accepted, say bye and end; wait for that. Raises `Unreachable`, `TimedOut`."""
    before = everyone(home)
    os.kill(before["pid"], signal.SIGTERM)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if not _alive(before["pid"]):
            return {"sessions": before["counts"]["sessions"]}
        time.sleep(PAUSE)
    raise TimedOut("the relay is still going down", hint="its log may say why; see drain_seconds")


def _alive(pid: int) -> bool:
    """Whether it runs; one that has ended and waits for its parent to hear of it doesn't."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def status(home: Path) -> dict[str, Any]:
    """What can be said of the relay in ``home``. Raises `NotReady` where there is none."""
    settings = load(home)
    if not keyring.exist(home):
        raise NotReady(f"there is no relay in {home}", hint="make one with: securechan-relay init")
    card = keyring.load(home).card(settings.name, settings.address(settings.port))
    told: dict[str, Any] = {
        "home": str(home),
        "card": card,
        "adopted": (home / keyring.BUNDLE).exists(),
        "running": None,
        "restored": note(home),
    }
    with contextlib.suppress(Unreachable):
        told["running"] = everyone(home)
    told["version"] = installed()
    return told


def words(told: Mapping[str, Any]) -> str:
    """`status` for people."""
    card, running, version = told["card"], told["running"], told["version"]
    lines = [f"relay      {card['name']}  {card['url']}", f"keys       KEM {card['key_id']}  in {told['home']}"]
    if told.get("restored"):
        then = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(told["restored"]["made"]))
        lines.append(f"warn       restored from a backup of {then}: what was acknowledged after that is forgotten")
    if running is None:
        lines.append("running    no")
        lines.append(f"federation {'adopted' if told['adopted'] else 'none yet: securechan-relay adopt BUNDLE'}")
        return "\n".join(lines)
    lines.append(
        f"running    {running['address']}  up {_time(running['uptime'])}  process {running['pid']}"
        f"{'' if running['workers'] == 1 else '  workers ' + str(running['workers'])}  version {running['version']}"
        f"  {'ready' if running['ready'] else 'not ready: ' + ', '.join(running['why'])}"
    )
    if running["version"] != version:
        lines.append(f"warn       version {version} is installed; it serves once the relay is started anew")
    federation = running["federation"]
    if federation is None:
        lines.append("federation none yet: securechan-relay adopt BUNDLE")
    else:
        lines.append(f"federation {federation['root'][:16]}…  trust position {federation['position']}")
        lines += [f"{expiry['state']:10} {expiry['text']}" for expiry in running["expiries"] if expiry["state"] != "ok"]
    counts = running["counts"]
    stored = _size(counts["store_bytes"]) if "store_bytes" in counts else "size unknown"
    free = f"  disk {counts['disk_free_ratio']:.0%} free" if "disk_free_ratio" in counts else ""
    published = running["published"]
    if published is not None and card["key_id"] not in published:
        lines.append("warn       the newest key is not published yet: have card.json published (root add-relay)")
    lines.append(f"store      {running['store']}  {stored}{free}  entries kept {running['retention_days']} d")
    lines.append(
        f"now        sessions {counts['sessions']}  subscriptions {counts['subscriptions']}"
        f"  stored {counts['appends']} entries since the start, pushed {counts['pushed']}"
    )
    for each in running["each"]:
        has = f"sessions {each['sessions']}" if each["answers"] else "does not answer"
        lines.append(f"worker     {each['worker']}  {has}{'' if each['ready'] else '  not ready'}")
    for name, share in running["agencies"].items():
        lines.append(f"agency     {name}  {_size(share['stored'])} of {_size(share['may'])}")
    if running["configuration"]["refused"]:
        lines.append(f"warn       the configuration was refused: {running['configuration']['refused']}")
    if "tls_expires_seconds" in counts and (words := tls.warning(counts["tls_expires_seconds"], 0)):
        lines.append(f"warn       {words}")
    if running["configuration"]["waits"]:
        lines.append(f"warn       {waits(running)}")
    return "\n".join(lines)


def waits(running: Mapping[str, Any]) -> str:
    """What of the configuration a reload could not take up."""
    return f"changed, but taken up at the next start alone: {', '.join(running['configuration']['waits'])}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _time(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    return (
        f"{days} d {hours} h" if days else f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
    )
