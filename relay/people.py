"""Who is at the other end of a session, once the handshake has proved it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """An enrolled device: name ``"agency/device"``, roles as its agency's roster has them, SHA-384 of the key that it
    proved itself with, and the end of its admission in Unix seconds (None: none)."""

    name: str
    agency: str
    roles: frozenset[str]
    key_hash: bytes
    not_after: int | None


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who holds an invite: it may use one enrolment box until ``not_after`` (Unix seconds)."""

    box: bytes
    agency: str
    not_after: int


@dataclass(frozen=True, slots=True)
class Office:
    """A holder of a trust role's key: it reads the trust topic and publishes."""

    role: str
    key_id: str


Who = Device | Guest | Office


@dataclass(frozen=True, slots=True)
class Identified:
    """What the relay knows of a claim: who it would be, and the key that must prove it (a public key; a guest's MAC
    key)."""

    key: bytes
    who: Who
