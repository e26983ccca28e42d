"""Is everything here as it should be? Each check says ok, warn or fail, what was found, and what to do.

    here      the machine: libraries, both implementations of each algorithm, clock, disk, files and their permissions
    device    the enrolled device: vault, relay, trust, key packages (an operation: it runs where the vault is open)

A check never raises: what goes wrong is what it reports.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import platform
import shutil
import ssl
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from clients.connection import SKEW_WARN, Up
from clients.errand import fetch_card
from clients.line import Coat, Line
from clients.operations.engine import Work, route
from clients.operations.office import asked
from clients.probe import takes_post_quantum
from clients.profile import Profile
from clients.render import duration, size
from securechan.agent.inputs import TryRelay
from securechan.agent.state import PACKAGES
from securechan.crypto.selftest import selftest
from securechan.errors import SecurechanError
from securechan.trust.freshness import State

Json = dict[str, Any]

LOW_DISK: Final = 64 << 20  # bytes: below it a vault is soon stuck
TIGHT_DISK: Final = 512 << 20
LOW_STOCK: Final = 5  # key packages
NEEDED: Final = {
    "pqcrypto": (1, 2),
    "cryptography": (50, 51),
    "tuf": (7, 8),
    "websockets": (15, 18),
    "pydantic": (2, 3),
}
"""Package → (from this major version, below that one): others have another API."""


def _said(state: str, check: str, detail: str, hint: str = "") -> Json:
    return {"check": check, "state": state, "detail": detail, "hint": hint}


def ok(check: str, detail: str) -> Json:
    return _said("ok", check, detail)


def warn(check: str, detail: str, hint: str) -> Json:
    return _said("warn", check, detail, hint)


def fail(check: str, detail: str, hint: str) -> Json:
    return _said("fail", check, detail, hint)


# ----------------------------------------------------------------------------------------------------------------- here


def here(profile: Profile) -> list[Json]:
    """What can be said without opening anything."""
    return [*_versions(), *_algorithms(), *_files(profile), *_disk(profile)]


def _versions(found: Callable[[str], str] = version) -> Iterator[Json]:
    for package, (least, below) in NEEDED.items():
        try:
            number = found(package)
        except PackageNotFoundError:
            yield fail(package, "is not installed", "install securechan again, with its dependencies")
            continue
        major = int(number.partition(".")[0])
        if least <= major < below:
            yield ok(package, number)
        else:
            yield fail(
                package,
                f"{number}, needed is {least} or newer, below {below}",
                f"pip install '{package}>={least},<{below}'",
            )
    libc, number = platform.libc_ver()
    if libc == "glibc" and tuple(int(part) for part in number.split(".")[:2]) < (2, 34):
        yield warn("glibc", f"{number}: pqcrypto has no wheels for it", "use a system with glibc 2.34 or newer")


def _algorithms() -> Iterator[Json]:
    for check in selftest():
        if check.ok:
            yield ok(check.name, check.detail)
        else:
            yield fail(
                check.name, check.detail, "don't use this machine for keys: its libraries or processor are wrong"
            )


def _files(profile: Profile) -> Iterator[Json]:
    if not profile.folder.exists():
        yield warn("profile", f"{profile.name} is not there yet", "securechan enrol -")
        return
    for path, wanted in ((profile.folder, 0o700), *((each, 0o600) for each in _secret_files(profile))):
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            yield fail("permissions", f"{path} is open to others ({mode:03o})", f"chmod {wanted:o} {path}")
        elif status.st_uid != os.geteuid():
            yield fail("permissions", f"{path} belongs to user {status.st_uid}", "make it yours: chown")
        else:
            yield ok("permissions", f"{path.name} {mode:03o}")
    holder = profile.holder()
    if holder is not None:
        yield ok("in use by", f"process {holder.pid} ({holder.command})")


def _secret_files(profile: Profile) -> list[Path]:
    found = [profile.vault] if profile.enrolled else []
    return [*found, *sorted(profile.keys.glob("*.key"))]


def _disk(profile: Profile) -> Iterator[Json]:
    place = next(path for path in (profile.folder, *profile.folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    detail = f"{size(free)} free at {place}"
    if free < LOW_DISK:
        yield fail("disk", detail, "make room: nothing can be sent or received without it")
    elif free < TIGHT_DISK:
        yield warn("disk", detail, "make room soon")
    else:
        yield ok("disk", detail)


# --------------------------------------------------------------------------------------------------------------- device


async def device(work: Work, params: Json) -> Json:
    """Everything that needs the open vault, and the relay unless ``offline``."""
    checks = [await _vault(work)]
    if not params.get("offline"):
        checks += await _relay(work)
    checks += list(_trust(work))
    checks += list(_stock(work))
    checks += list(_conversations(work))
    return {"device": work.agent.device, "checks": checks}


async def _vault(work: Work) -> Json:
    try:
        tables = await asyncio.to_thread(work.vault.check)
    except SecurechanError as e:
        return fail("vault", e.message, e.hint or "enrol this device anew; don't restore a copy of the vault")
    return ok("vault", f"opens, integrity ok: {sum(tables.values())} records, generation {work.vault.generation}")


async def _relay(work: Work) -> list[Json]:
    try:
        up = await work.online()
    except SecurechanError as e:
        return [fail("relay", e.message, e.hint or "check the network; securechan status")]
    checks = [ok("relay", f"{up.relay} at {up.url}: hands shaken in {up.took * 1000:.0f} ms, X25519+ML-KEM-768")]
    record, line = work.agent.view.publisher, Line.find(work.profile.folder)
    if record is not None:
        checks += await _others(route(work.agent).urls, record.kem.values(), up, line)
    checks.append(_clock(up))
    takes = None
    if up.coat is not None and up.coat.post_quantum is None:
        takes = await takes_post_quantum(up.url, line)
    checks += _way(up, takes)
    try:
        await work.synced()
    except SecurechanError as e:
        checks.append(fail("sync", e.message, e.hint or "securechan sync"))
    else:
        checks.append(ok("sync", "everything that the relay holds for this device has been read"))
    return [*checks, await _keeps(work)]


async def _keeps(work: Work) -> Json:
    """Whether the relay keeps what it is given. One whose disk is full or whose cluster is away can still be read, so
    that to have read is no proof: it is given a byte, and forgets it."""
    try:
        await asked(work, TryRelay(), "try")
    except SecurechanError as e:
        hint = "what you send is kept here, and leaves when the relay takes it again: tell the relay's operator"
        return fail("storage", f"the relay can be read, and keeps nothing now: {e.message}", hint)
    return ok("storage", "the relay keeps what it is given")


async def _others(urls: Iterable[str], keys: Collection[bytes], up: Up, line: Line) -> list[Json]:
    """The relay's other addresses: a device goes to them by itself when the one that it uses is gone."""
    checks = []
    for url in urls:
        if url == up.url:
            continue
        try:
            card = await fetch_card(url, line)
        except SecurechanError as e:
            hint = f"{up.url} serves meanwhile, and nothing is lost: tell the relay's operator"
            checks.append(warn("relay", e.message, hint))
            continue
        if card.name == up.relay and card.kem in keys:
            checks.append(ok("relay", f"{up.relay} at {url}: answers too"))
        else:
            found = f"who answers at {url} is not {up.relay}, or has a key that the federation doesn't name"
            checks.append(warn("relay", found, "ask the relay's operator; a new key is published: root add-relay"))
    return checks


def _clock(up: Up) -> Json:
    detail = f"within {abs(up.skew):.1f} s of the relay"
    if abs(up.skew) <= SKEW_WARN:
        return ok("clock", detail)
    side = "behind" if up.skew > 0 else "ahead of"
    return fail("clock", f"{duration(up.skew)} {side} the relay", "set this machine's clock, or the relay's")


def _way(up: Up, takes: bool | None = None) -> Iterator[Json]:
    """What is between us and the relay. TLS is a second coat: what is inside needs none, but proxies and firewalls may
    want it. ``takes``: whether the relay's TLS takes a post-quantum group, where that was asked."""
    if up.proxy:
        yield ok("proxy", f"{up.proxy}: it sees that this machine talks to {up.url}, and no more")
    if up.coat is not None:
        yield _coat(up.coat, takes)
    elif _loopback(urlsplit(up.url).hostname or ""):
        yield ok("TLS", "none, and none is needed on this machine's loopback")
    else:
        yield warn(
            "TLS", "none: the relay's address is seen, what is said is not", "ask the operator for a wss:// address"
        )


def _coat(coat: Coat, takes: bool | None) -> Json:
    inside = (
        "It need not be: the handshake inside is X25519+ML-KEM-768 with the relay's known key, so who records this and "
        "opens TLS one day finds sealed records of padded sizes"
    )
    worn = f"{coat.version} {coat.cipher}" + (f", key exchange {coat.group}" if coat.group else "")
    known = coat.post_quantum
    match takes if known is None else known:
        case True if known is None:
            return ok("TLS", f"{worn}: the relay takes X25519MLKEM768, which {ssl.OPENSSL_VERSION} here offers first")
        case False if known is None:
            return ok("TLS", f"{worn}: the relay's TLS takes no post-quantum key exchange. {inside}")
        case True:
            return ok("TLS", f"{worn}: post-quantum, in addition to the handshake inside")
        case False:
            why = f"{coat.group} is not" if coat.group else f"{coat.version} through {ssl.OPENSSL_VERSION} can't be"
            return ok("TLS", f"{worn}: {why} post-quantum. {inside}")
        case None:
            told = "nothing here tells whether its key exchange is post-quantum (Python 3.15 does)"
            return ok("TLS", f"{worn}; {told}. {inside}")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _trust(work: Work) -> Iterator[Json]:
    view, agency = work.agent.view, work.agent.agency
    if not view.started:
        yield fail("trust", "nothing was read from the relay yet", "securechan sync")
        return
    mine = {"root", "targets", "snapshot", "timestamp", agency, f"{agency}-roster"}
    for expiry in view.check_fresh(work.now):
        if expiry.role not in mine:
            continue
        match expiry.state:
            case State.OK:
                yield ok("trust", expiry.text)
            case State.WARN:
                yield warn("trust", expiry.text, expiry.hint)
            case _:
                yield fail("trust", expiry.text, expiry.hint)
    record = view.find(work.agent.device)
    if record is None:
        yield fail("device", f"{work.agent.device} stands in no roster", "ask your administrator")
    elif record.not_after is not None and record.not_after - work.now < 14 * 86_400:
        yield warn(
            "device", f"admitted for {duration(max(0, record.not_after - work.now))} more", "ask your administrator"
        )
    else:
        yield ok("device", f"{record.name} of {record.address}, {' and '.join(sorted(record.roles))}")


def _stock(work: Work) -> Iterator[Json]:
    packages = work.agent.rows.all(PACKAGES).values()
    good = [package for package in packages if package.stored and package.not_after > work.now]
    once = sum(not package.last_resort for package in good)
    if not good:
        yield fail(
            "key packages", "none at the relay: nobody can bring this device into a conversation", "securechan sync"
        )
    elif once < LOW_STOCK:
        yield warn(
            "key packages", f"{once} left at the relay, beside the last resort", "securechan sync makes new ones"
        )
    else:
        yield ok("key packages", f"{once} at the relay")


def _conversations(work: Work) -> Iterator[Json]:
    for each in work.agent.conversations(work.now):
        if each.held:
            yield warn("conversation", f"{each.name} is held: {each.held}", f"securechan conversation show {each.name}")


OPERATIONS: Final = {"device": device}
