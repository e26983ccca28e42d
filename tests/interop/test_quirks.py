"""Where a peer is known to go its own way: each way is met here on purpose, so that we hear when one is mended.

The walks steer round these or count them (sides.py). Our engine stays with RFC 9420 throughout.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.process import Process, Refused
from tests.interop.sides import Ask, Here, needs_peers, one_list_per_path


def offered(ask: Ask, name: str) -> dict[str, Any]:
    return ask("create_key_package", suite=1, identity=name)


def grown(ours: Here, *others: tuple[Ask, str], **options: Any) -> tuple[str, dict[str, str]]:
    """Our founder's group, and the group handle of each who joined it."""
    founder = ours("create_group", suite=1, identity="founder")["group"]
    offers = [(ask, name, offered(ask, name)) for ask, name in others]
    done = ours("add", group=founder, key_packages=[offer["key_package"] for _, _, offer in offers], **options)
    return founder, {name: ask("join", welcome=done["welcome"], kp=offer["kp"])["group"] for ask, name, offer in offers}


def exported(ask: Ask, group: str) -> str:
    return str(ask("export_secret", group=group, label="label", context="01", length=32)["secret"])


@needs_peers
def test_the_left_half_of_a_tree_is_removed(ts_mls: Process, mls_rs: Process) -> None:
    """§7.4, §12.4.1: the commit secret follows from the last node of the *filtered* path, even below the root.

    mls-rs is with us; ts-mls derives one step more, as if the filtered root had a path secret, and refuses the tag.
    """
    ours = Here()
    _, seats = grown(ours, (ours, "gone"), (ours, "kept"), (mls_rs, "rust"))
    done = ours("remove", group=seats["kept"], leaves=[0, 1])
    assert mls_rs("process", group=seats["rust"], message=done["commit"])["kind"] == "commit"
    assert exported(mls_rs, seats["rust"]) == exported(ours, seats["kept"])
    back = mls_rs("update", group=seats["rust"])
    assert ours("process", group=seats["kept"], message=back["commit"])["kind"] == "commit"
    assert exported(mls_rs, seats["rust"]) == exported(ours, seats["kept"])

    _, seats = grown(ours, (ours, "gone"), (ours, "kept"), (ts_mls, "script"))
    done = ours("remove", group=seats["kept"], leaves=[0, 1], public=True)
    with pytest.raises(Refused, match="Could not verify confirmation tag"):
        ts_mls("process", group=seats["script"], message=done["commit"])


@needs_peers
def test_an_unmerged_leaf_that_a_higher_node_has_merged(ts_mls: Process, mls_rs: Process) -> None:
    """§7.9: a leaf that a parent lists is listed by the nodes between them; the ones above may have merged it.

    Leaf 7 is new under the node over leaves 4 to 7, and the root is fresh from the committer's path. mls-rs joins.
    """
    for ask, refuses in ((ts_mls, True), (mls_rs, False)):
        ours = Here()
        founder, seats = grown(ours, *((ours, f"member {leaf}") for leaf in range(1, 7)))
        done = ours("update", group=seats["member 4"])
        ours("process", group=founder, message=done["commit"])
        offer = offered(ask, "newcomer")
        added = ours("add", group=founder, key_packages=[offer["key_package"]])
        tree = ours.driver.seats[founder].group.state.tree
        tree.check_unmerged()
        refusal = one_list_per_path(tree)
        assert refusal is not None
        if refuses:
            with pytest.raises(Refused, match=refusal):
                ask("join", welcome=added["welcome"], kp=offer["kp"])
        else:
            joined = ask("join", welcome=added["welcome"], kp=offer["kp"])
            assert exported(ask, joined["group"]) == exported(ours, founder)


@needs_peers
def test_the_leaf_of_who_is_removed_is_given_away_at_once(ts_mls: Process, mls_rs: Process) -> None:
    """§12.3: removals come before additions, so that a newcomer may sit where the removed member sat.

    ts-mls only looks whether its old leaf is blank, misses that it was removed, and fails to read the path.
    """
    for ask, misses in ((ts_mls, True), (mls_rs, False)):
        ours = Here()
        founder, seats = grown(ours, (ask, "removed"), (ours, "other"))
        package = offered(ours, "newcomer")["key_package"]
        done = ours("commit", group=founder, remove=[1], add=[package], public=True)
        assert ours("process", group=seats["other"], message=done["commit"])["kind"] == "commit"
        if misses:
            with pytest.raises(Refused):
                ask("process", group=seats["removed"], message=done["commit"])
        else:
            assert ask("process", group=seats["removed"], message=done["commit"])["kind"] == "removed"


@needs_peers
def test_a_group_info_of_ts_mls_is_the_drivers_own(ts_mls: Process) -> None:
    """§12.4.3.1: ExternalPub holds a vector. The driver writes it so; what ts-mls itself writes, we refuse."""
    ours = Here()
    founder = ts_mls("create_group", suite=1)["group"]
    right = ts_mls("group_info", group=founder)["group_info"]
    assert ours("external_join", suite=1, group_info=right)["epoch"] == 1
    bare = ts_mls("group_info", group=founder, as_ts_mls_has_it=True)["group_info"]
    with pytest.raises(Refused):
        ours("external_join", suite=1, group_info=bare)


@needs_peers
def test_other_extensions_of_a_group(ts_mls: Process, mls_rs: Process) -> None:
    """§12.4: a GroupContextExtensions commit has a path; §12.1.7: its list is the whole new one, an empty one too.

    ts-mls commits one without a path, and goes on with the old list where the new one is empty.
    """
    some = [(3, "000000")]
    ours = Here()
    founder, seats = grown(ours, (ts_mls, "script"), (mls_rs, "rust"), (ours, "other"))
    done = ours("commit", group=founder, extensions=some, public=True)
    for ask, name in ((ts_mls, "script"), (mls_rs, "rust"), (ours, "other")):
        assert ask("process", group=seats[name], message=done["commit"])["kind"] == "commit"
        assert exported(ask, seats[name]) == exported(ours, founder)
    theirs = ts_mls("commit", group=seats["script"], extensions=some, public=True, merge=False)
    with pytest.raises(Refused, match=r"RFC 9420 §12\.4"):
        ours("process", group=founder, message=theirs["commit"])
    done = ours("commit", group=founder, extensions=[], public=True)
    for ask, name in ((mls_rs, "rust"), (ours, "other")):
        assert ask("process", group=seats[name], message=done["commit"])["kind"] == "commit"
    with pytest.raises(Refused):
        ts_mls("process", group=seats["script"], message=done["commit"])
