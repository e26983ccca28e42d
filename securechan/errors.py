"""Every error this house raises on purpose, named by what its reader should do next.

    SecurechanError
    ├── Malformed       the bytes do not parse            → drop them
    ├── Invalid         they parse but break a rule       → refuse them, name the rule
    ├── CannotOpen      decryption or a MAC failed        → not for us, or tampered with
    │   └── BadSignature  a signature does not verify     → forged or altered
    ├── Untrusted       the trust view does not admit it  → ask the administrator, see ``reason``
    ├── Stale           the world moved on                → read the log, then retry
    ├── Refused         the relay says no                 → see ``code``, wait ``retry_after``
    ├── Unreachable     no relay answers                  → check the network, retry
    ├── TimedOut        the wait is over                  → nothing is lost; look again later
    ├── Denied          policy, role or TLP forbids it    → ask who may
    ├── Unfit           a document fails validation       → mend it, see ``findings``
    ├── NotReady        not enrolled, locked, passphrase  → do what the hint says
    ├── NotFound        no such thing                     → list what there is
    ├── Conflict        it exists, or someone else holds it
    └── Misuse          the caller broke the contract     → our bug

``message`` is for people and holds no secret and no more of a stranger's bytes than a short, escaped prefix; ``hint``
says what to do; ``code`` is the stable word that scripts match on; ``rule`` cites what was broken,
where it has a number; ``detail`` is more of it for scripts, as JSON has it, where there is more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self


class SecurechanError(Exception):
    """The root of the tree. ``code`` is stable; ``hint`` is a whole instruction or empty; so is ``rule``."""

    code: str = "error"
    rule: str = ""
    detail: Mapping[str, object] | None = None

    def __init__(self, message: str, *, hint: str = "", code: str | None = None, rule: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.rule = rule
        if code is not None:
            self.code = code

    def about(self, what: str) -> Self:
        """The same error, which says what it is about: one of several things that were asked for together."""
        self.message = f"{what}: {self.message}"
        self.args = (self.message,)
        return self


class Malformed(SecurechanError):
    """Bytes that do not parse as what they should be."""

    code = "malformed"


class Invalid(SecurechanError):
    """Something well-formed that breaks a rule; ``rule`` cites it (``"RFC 9420 §7.3"``)."""

    code = "invalid"

    def __init__(self, message: str, *, rule: str = "", hint: str = "", code: str | None = None) -> None:
        super().__init__(f"{message} ({rule})" if rule else message, hint=hint, code=code, rule=rule)


class CannotOpen(SecurechanError):
    """Authenticated decryption or a MAC check failed."""

    code = "cannot-open"


class BadSignature(CannotOpen):
    """A signature that does not verify."""

    code = "bad-signature"


class Untrusted(SecurechanError):
    """The trust view does not admit a key, a document or an identity; the code says why in one word."""

    code = "untrusted"


class Stale(SecurechanError):
    """What was asked rests on a state that has passed."""

    code = "stale"


class Refused(SecurechanError):
    """The relay refuses a request; ``retry_after`` is in seconds, or None where waiting does not help."""

    code = "refused"

    def __init__(
        self, message: str, *, retry_after: float | None = None, hint: str = "", code: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_after = retry_after


class Unreachable(SecurechanError):
    """No relay answers."""

    code = "unreachable"


class TimedOut(SecurechanError):
    """The time given for waiting is over; what was queued stays queued."""

    code = "timed-out"


class Denied(SecurechanError):
    """A policy, a role or a TLP label forbids the act; nothing was sent."""

    code = "denied"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a document: where (a JSON pointer or a line) and what."""

    where: str
    what: str


class Unfit(SecurechanError):
    """A document that fails validation; ``findings`` says what is wrong and where, most severe first."""

    code = "validation-failed"

    def __init__(
        self, message: str, *, findings: Sequence[Finding] = (), hint: str = "", code: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.findings = tuple(findings)


class NotReady(SecurechanError):
    """The profile is not enrolled, is locked, or the passphrase is wrong."""

    code = "not-ready"


class NotFound(SecurechanError):
    """No such conversation, officer, bulletin, file."""

    code = "not-found"


class Conflict(SecurechanError):
    """It exists already, or another process holds it."""

    code = "conflict"


class Misuse(SecurechanError):
    """The calling code broke a contract. Never caused by input from outside."""

    code = "misuse"
