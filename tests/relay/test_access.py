"""Confirmed access: the ladder as a value. test_access_play.py plays a group with a malicious member on it."""

from __future__ import annotations

import hashlib
from typing import TypeVar

from relay.access import LAPSED_MAX, LIVE_MAX, RATE_MAX, RATE_SPAN, Access, Rung, claim_of, device_tag
from relay.store.base import CommitRow
from tests.relay.desk import digest

T = TypeVar("T")
A, B, C, M = (name * 16 for name in (b"a", b"b", b"c", b"m"))
NOW = 1_800_000_000


def claim(n: object) -> bytes:
    return digest("claim", n)


def ladder(*commits: tuple[int, bytes], shared: bool = True) -> Access:
    access = Access.created(claim(0), A, NOW)
    if shared:
        access = access.shown_by(B)
    for sequence, committer in commits:
        access = access.committed(sequence, claim(sequence), committer, NOW)
    return access


def test_a_second_device_that_showed_an_earlier_secret_confirms() -> None:
    access = ladder((7, A), (9, A))
    rung = access.find(claim(9))
    assert rung == Rung(9, claim(9), A, NOW)
    assert access.witnessed(B, [0], rung)
    assert access.witnessed(B, [7], rung)
    assert not access.witnessed(B, [], rung)  # a joiner, or an outsider whom the committer told
    assert not access.witnessed(B, [9], rung)
    assert not access.witnessed(A, [0, 7], rung)  # the committer itself
    assert not access.witnessed(B, [3], rung)  # never a live secret
    assert not access.witnessed(B, [0], access.base)


def test_confirming_closes_what_is_below_and_leaves_what_is_above() -> None:
    access = ladder((7, A), (9, M), (12, C))
    rung = access.find(claim(9))
    assert rung is not None
    after = access.confirmed(rung)
    assert [r.sequence for r in after.rungs] == [9, 12]
    assert after.find(claim(7)) is None
    assert after.appends([12])
    assert after.appends([9])
    assert not after.appends([0, 7])
    assert after.reads([9])
    assert not after.reads([0, 7])
    assert not after.witnessed(B, [0], after.rungs[1])  # what is closed witnesses nothing
    assert after.witnessed(B, [9], after.rungs[1])


def test_a_device_has_three_unconfirmed_commits_an_hour() -> None:
    access = ladder()
    for n in range(1, RATE_MAX + 1):
        assert access.wait(M, NOW + n) == 0
        access = access.committed(n, claim(n), M, NOW + n)
    assert access.wait(M, NOW + 10) == RATE_SPAN - 9
    assert access.wait(B, NOW + 10) == 0
    assert access.wait(M, NOW + 1 + RATE_SPAN) == 0
    rung = access.find(claim(2))
    assert rung is not None
    assert access.confirmed(rung).wait(M, NOW + 10) == 0  # what is settled counts no more


def test_a_founder_alone_commits_as_often_as_it_likes() -> None:
    access = ladder(shared=False)
    for n in range(1, 20):
        assert access.wait(A, NOW) == 0
        access = access.committed(n, claim(n), A, NOW)
    assert access.shown_by(A).wait(A, NOW) == 0
    assert access.shown_by(B).wait(A, NOW) > 0


def test_who_commits_most_is_crowded_out_first() -> None:
    access = ladder((1, B), *((n, M) for n in range(2, 9)))
    assert [r.sequence for r in access.rungs if not r.lapsed] == [0, 1, 3, 4, 5, 6, 7, 8]
    assert access.appends([1])
    assert not access.appends([2])
    assert access.reads([2])
    access = access.committed(9, claim(9), B, NOW).committed(10, claim(10), C, NOW)
    assert [r.sequence for r in access.rungs if r.lapsed] == [2, 3, 4]
    assert access.witnessed(B, [0], access.rungs[2])  # a lapsed one can still be confirmed
    assert not access.witnessed(B, [2], access.rungs[5])  # but bears no witness
    rung = access.rungs[2]
    assert not access.confirmed(rung).base.lapsed


def test_the_ladder_stays_short_and_restores() -> None:
    access = ladder(*((n, M) for n in range(1, 500)))
    assert sum(not r.lapsed for r in access.rungs) == LIVE_MAX
    assert len(access.rungs) == LIVE_MAX + LAPSED_MAX
    rows = [
        CommitRow(r.sequence, r.claim, r.committer, r.at, 0 if n == 0 else None) for n, r in enumerate(access.rungs)
    ]
    again = Access.restored(rows)
    assert {r.sequence for r in again.rungs if not r.lapsed} == {r.sequence for r in access.rungs if not r.lapsed}
    assert not again.shared  # the creation is the base
    assert Access.restored([CommitRow(5, claim(5), B, NOW, 5)]).shared


def test_tags_mean_nothing_elsewhere() -> None:
    assert device_tag(digest(1), "cert-hr/a") != device_tag(digest(2), "cert-hr/a")
    assert len(device_tag(digest(1), "cert-hr/a")) == 16
    assert claim_of(b"secret") == hashlib.sha256(b"secret").digest()
