"""clients/operations/ceremonies.py: people and scripts are told who has signed, and who is still asked."""

from __future__ import annotations

from clients.operations.ceremonies import tell_drafts, tell_progress
from securechan.trust import authority
from securechan.trust.bundle import Ceremony
from securechan.trust.keys import Kind, TrustSigner, generate
from tests.support.federation import NOW, root_signer


def test_what_is_missing_is_told_until_it_is_there() -> None:
    targets = TrustSigner(Kind.COMPOSITE, generate(Kind.COMPOSITE)[0])
    root = authority.root_init(
        root_keys=[root_signer().public],
        root_threshold=1,
        targets_keys=[targets.public],
        targets_threshold=1,
        online=[generate(Kind.COMPOSITE)[1]],
        now=NOW,
    )
    ceremony = Ceremony(None, (root,))
    told = tell_drafts(ceremony)
    assert told["root"] is None
    assert not told["complete"]
    (signing,) = told["signing"]
    assert (signing["role"], signing["version"], signing["signed"], signing["missing"]) == ("root", 1, [], 1)
    assert signing["waiting"] == [root_signer().keyid]
    assert tell_progress(ceremony)["missing"] == [{"role": "root", "by": "root 1", "missing": 1}]

    signed = ceremony.sign(root_signer())
    (signing,) = tell_drafts(signed)["signing"]
    assert (signing["signed"], signing["waiting"], signing["missing"]) == ([root_signer().keyid], [], 0)
    assert tell_progress(signed) == {"changes": told["changes"], "complete": True, "missing": []}
