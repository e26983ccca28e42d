"""Drafts: signed one after the other or apart, the bytes are the same."""

from __future__ import annotations

import pytest

from securechan.errors import Conflict, Malformed, Untrusted
from securechan.trust import authority
from securechan.trust.draft import Draft, date, enough
from securechan.trust.keys import Kind, TrustSigner
from tests.support.federation import NOW, World, make_device


@pytest.fixture
def two() -> World:
    """One agency whose rosters need two administrators."""
    return World(["cert-hr"], roster_threshold=2)


def test_signing_apart_and_merging_gives_the_same_document(two: World) -> None:
    one, other = two.keys["cert-hr"].roster
    draft = authority.roster(two.view, "cert-hr", now=NOW)
    here, there = draft.sign(one), draft.sign(other)
    assert here.merge(there) == there.merge(here)
    assert here.merge(there).document.signed_by == {one.keyid, other.keyid}
    assert here.merge(here) == here


def test_what_differs_does_not_merge(two: World) -> None:
    draft = authority.roster(two.view, "cert-hr", now=NOW)
    other = authority.roster(two.view, "cert-hr", now=NOW, add=[make_device("cert-hr", "d1").record])
    with pytest.raises(Conflict):
        draft.merge(other)
    with pytest.raises(Conflict):
        draft.merge(authority.federation(two.view, now=NOW))


def test_a_merge_does_not_displace_ones_own_signature(two: World) -> None:
    one, _ = two.keys["cert-hr"].roster
    draft = authority.roster(two.view, "cert-hr", now=NOW)
    good, again = draft.sign(one), draft.sign(one)
    assert good != again  # signatures are hedged
    assert good.merge(again) == good


def test_how_far_a_draft_is(two: World) -> None:
    one, other = two.keys["cert-hr"].roster
    delegator = two.view.document("cert-hr")
    assert delegator is not None
    draft = authority.roster(two.view, "cert-hr", now=NOW)
    stranger = TrustSigner.generate(Kind.COMPOSITE)
    for signed, missing, waiting in (
        (draft, 2, {one.keyid, other.keyid}),
        (draft.sign(one), 1, {other.keyid}),
        (draft.sign(one, stranger), 1, {other.keyid}),
        (draft.sign(one, other), 0, set()),
    ):
        signing = signed.signing(delegator)
        assert (signing.missing, signing.waiting) == (missing, waiting)
        assert (signing.role, signing.version, signing.needed) == ("cert-hr-roster", 1, 2)
    enough([draft.sign(one, other).signing(delegator)])
    with pytest.raises(Untrusted, match="1 more"):
        enough([draft.sign(one).signing(delegator)])


def test_only_the_delegator_s_word_counts(two: World) -> None:
    draft = authority.roster(two.view, "cert-hr", now=NOW)
    with pytest.raises(Untrusted) as caught:
        draft.signing(two.view.roots[-1])
    assert caught.value.code == "unknown-role"


def test_a_draft_from_elsewhere_is_looked_at_first() -> None:
    with pytest.raises(Malformed):
        Draft("targets", b"{}").sign(TrustSigner.generate(Kind.COMPOSITE))


def test_dates_are_utc() -> None:
    assert date(NOW).isoformat() == "2027-01-15T08:00:00+00:00"
