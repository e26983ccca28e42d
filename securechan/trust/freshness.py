"""What may still be done when documents expire.

Expiry is what makes a withheld publication harmless after a while: on expiry nothing *new* is admitted, while sending
to who is admitted goes on for the grace that policy sets, with a warning, because a channel that falls silent in a
crisis helps the attacker. It never decides whether a received commit applies.

    ok ── 30, 14, 7, 1 days before ──► warn ── expiry ──► expired ── grace ──► beyond

A document that lives short is warned about in its last half only: one that lives 30 days, 14 days ahead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from securechan.errors import Untrusted
from securechan.trust import names
from securechan.trust.document import Document
from securechan.trust.records import DAY, Lifetimes, Policy

STAGES: Final = (30, 14, 7, 1)  # days ahead at which people are told


class State(StrEnum):
    """How fresh a document is."""

    OK = "ok"
    WARN = "warn"
    EXPIRED = "expired"
    BEYOND = "beyond"


@dataclass(frozen=True, slots=True)
class Expiry:
    """A document's expiry. ``left`` is in seconds, negative once expired; ``stage``: which day's warning is due."""

    role: str
    expires: int
    state: State
    left: int
    stage: int | None

    @property
    def text(self) -> str:
        """For people: ``cert-hr-roster expires in 3 d``."""
        amount = abs(self.left)
        span = f"{amount // DAY} d" if amount >= DAY else f"{amount // 3600} h {amount % 3600 // 60} min"
        return f"{self.role} {'expires in' if self.left > 0 else 'expired'} {span}{'' if self.left > 0 else ' ago'}"

    @property
    def hint(self) -> str:
        """Who must do what."""
        if self.role in {"timestamp", "snapshot"}:
            return "the publishing relay renews it unattended: check that it runs and can be reached"
        if self.role in {"root", "targets"}:
            verb = "rotate" if self.role == "root" else "renew"
            return f"the federation's key holders must sign a new {self.role}: securechan root {verb}"
        if self.role.endswith(names.ROSTER_SUFFIX):
            return "an administrator of the agency must sign the roster again: securechan admin renew"
        return "the agency's authority must sign its document again: securechan admin rotate"


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether something may be done now. ``code`` and ``reason`` are empty where nothing is to be said; an allowed act
    with a reason is one that goes on in grace."""

    ok: bool
    code: str = ""
    reason: str = ""
    hint: str = ""

    def __bool__(self) -> bool:
        return self.ok

    def require(self) -> None:
        """Returns, or raises Untrusted with the reason."""
        if not self.ok:
            raise Untrusted(self.reason, code=self.code, hint=self.hint)


ALLOWED: Final = Permission(True)


def lifetime(lifetimes: Lifetimes, role: str) -> int:
    """How many seconds policy gives a document of ``role``."""
    match role:
        case "root":
            return lifetimes.root
        case "timestamp":
            return lifetimes.timestamp
        case "snapshot":
            return lifetimes.snapshot
        case "targets":
            return lifetimes.targets
        case _:
            return lifetimes.roster if role.endswith(names.ROSTER_SUFFIX) else lifetimes.agency


def expiry(document: Document, policy: Policy, now: int) -> Expiry:
    """How fresh one document is at ``now`` (Unix seconds)."""
    left = document.expires - now
    stage = None
    if left <= 0:
        state = State.EXPIRED if -left < policy.grace else State.BEYOND
    else:
        half = lifetime(policy.lifetimes, document.role) // 2
        reached = [days for days in STAGES if days * DAY <= half and left <= days * DAY]
        stage = min(reached, default=None)
        state = State.OK if stage is None else State.WARN
    return Expiry(document.role, document.expires, state, left, stage)


def allows(documents: Iterable[Document], policy: Policy, now: int, *, grace: bool) -> Permission:
    """Whether these documents still allow something. With ``grace``, what has expired allows it for a while."""
    worst: Expiry | None = None
    for document in documents:
        found = expiry(document, policy, now)
        if found.left <= 0 and (worst is None or found.left < worst.left):
            worst = found
    if worst is None:
        return ALLOWED
    ok = grace and worst.state is State.EXPIRED
    code = "grace" if ok else "frozen" if worst.role in {"timestamp", "snapshot"} else "expired"
    return Permission(ok, code, worst.text, worst.hint)
