"""Snapshot and timestamp over documents: what the one publishing relay does with its online key.

The key is online, so it is worth little: it can say which documents are current, and none of them without their own
signatures. Stolen, it can withhold and freeze until it expires or the root is rotated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tuf.api.metadata import MetaFile, Signed, Snapshot, Timestamp

from securechan.errors import Untrusted
from securechan.trust import document as doc
from securechan.trust import freshness, workflow
from securechan.trust.contents import HASH, ONLINE
from securechan.trust.draft import Draft, date
from securechan.trust.keys import TrustSigner
from securechan.trust.records import DAY, Policy
from securechan.trust.view import View

SLACK = DAY  # seconds by which a document's life may exceed policy's: clocks differ, ceremonies take a day


def publish(
    view: View, documents: Iterable[tuple[str, bytes]], signer: TrustSigner, *, now: int
) -> tuple[tuple[str, bytes], ...]:
    """The publication of ``documents``: with the snapshot and timestamp that make them current, verified against the
    view. Roots come first. Raises Untrusted (codes: ``workflow``; ``expired`` for documents that expired already or
    live longer than policy allows), Malformed, Invalid."""
    given = tuple(documents)
    for role, _ in given:
        if role in ONLINE:
            raise Untrusted(f"only the publisher makes a {role}", code="unknown-role", hint="leave it out")
    return _publication(view, given, signer, now, snapshot=True)


def refresh(view: View, signer: TrustSigner, *, now: int) -> tuple[tuple[str, bytes], ...]:
    """A publication that only renews the timestamp, and the snapshot once half its life is over."""
    policy = view.policy
    return _publication(view, (), signer, now, snapshot=_half_over(view, "snapshot", policy, now))


def needs_refresh(view: View, now: int) -> bool:
    """Whether half the life of timestamp or snapshot is over."""
    policy = view.policy
    return any(_half_over(view, role, policy, now) for role in ONLINE)


def _half_over(view: View, role: str, policy: Policy, now: int) -> bool:
    return view.held[role].expires - now <= freshness.lifetime(policy.lifetimes, role) // 2


def _publication(
    view: View, given: tuple[tuple[str, bytes], ...], signer: TrustSigner, now: int, *, snapshot: bool
) -> tuple[tuple[str, bytes], ...]:
    parsed = [doc.parse(role, content) for role, content in given]
    root = next((document for document in reversed(parsed) if document.role == "root"), view.roots[-1])
    for role in ONLINE:
        named = doc.signatories(root, role)
        if named is None or signer.keyid not in named.keys:
            raise Untrusted(
                f"root {root.version} does not name this relay's online key {signer.keyid[:16]} for {role}",
                code="wrong-key",
                hint="adopt it on the relay that publishes for the federation; if that shall be this one, its "
                "holders sign: securechan root rotate --online CARD",
            )
    standing = {role: document for role, document in view.held.items() if role not in ONLINE}
    standing.update({document.role: document for document in parsed if document.role != "root"})
    targets = standing.get("targets")
    if targets is None:
        raise Untrusted("there is no targets document", code="mixed", hint="publish the federation's first")
    policy = workflow.federation(standing).policy
    for document in parsed:
        _check_life(document.role, document.expires - now, freshness.lifetime(policy.lifetimes, document.role))

    made = list(given)
    current = view.held.get("snapshot")
    if snapshot or current is None:
        stamps = {f"{role}.json": _meta(document.version, document.content) for role, document in standing.items()}
        version = 1 if current is None else current.version + 1
        expires = date(now + policy.lifetimes.snapshot)
        draft = _signed("snapshot", Snapshot(version, None, expires, stamps), signer)
        made.append(draft.pair())
        meta = _meta(version, draft.content)
    else:
        meta = _meta(current.version, current.content)
    before = view.held.get("timestamp")
    version = 1 if before is None else before.version + 1
    timestamp = Timestamp(version, None, date(now + policy.lifetimes.timestamp), meta)
    made.append(_signed("timestamp", timestamp, signer).pair())
    view.apply(made, position=view.position)
    return tuple(made)


def _check_life(role: str, left: int, allowed: int) -> None:
    if left <= 0:
        raise Untrusted(f"{role} has expired before it is published", code="expired", hint="sign a new one")
    if left > allowed + SLACK:
        raise Untrusted(
            f"{role} would live {left // DAY} days, policy allows {allowed // DAY}",
            code="expired",
            hint="make it again: the clock of who made it may be wrong",
        )


def _meta(version: int, content: bytes) -> MetaFile:
    return MetaFile(version, len(content), {HASH: hashlib.sha384(content).hexdigest()})


def _signed(role: str, signed: Signed, signer: TrustSigner) -> Draft:
    return Draft.of(role, signed).sign(signer)
