"""A clock that was ahead and has been set right: what was noted by it must not wait for that time to come.

A machine that starts with a wrong date and learns the right one later is an ordinary machine. Whatever it wrote down
meanwhile as "not before" or "last done" would stand still until the wrong date is reached: receipts that never leave,
keys that are not renewed, a frozen conversation that asks nobody. So at the beginning of each session such times are
brought back to now. Times that somebody else has said or signed stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from securechan.agent import packages
from securechan.agent.state import CONVERSATIONS, PACKAGES, PENDING, RECEIPTS
from securechan.agent.turn import Turn
from securechan.mls.keypackage import CLOCK_SKEW, DEFAULT_LIFETIME

NOT_BEFORE: Final = 3600  # seconds ahead at most that anything of ours is put off


def mend(turn: Turn) -> None:
    """Bring back to now what lies ahead of it, in all rows of ours."""
    for _, conversation in turn.rows.items(CONVERSATIONS):
        mended = replace(
            conversation,
            renewed=min(conversation.renewed, turn.now),
            committed=min(conversation.committed, turn.now),
            heard=min(conversation.heard, turn.now),
            spoke=min(conversation.spoke, turn.now),
        )
        if mended != conversation:
            turn.put(mended)
    latest = turn.now + NOT_BEFORE
    for row, pending in turn.rows.items(PENDING):
        if pending.retry > latest:
            turn.rows.put(PENDING, row, replace(pending, retry=turn.now))
    for row, due in turn.rows.items(RECEIPTS):
        if due.after > latest:
            turn.rows.put(RECEIPTS, row, replace(due, after=turn.now))
    newest = turn.now + DEFAULT_LIFETIME + CLOCK_SKEW
    early = [(row, package) for row, package in turn.rows.items(PACKAGES) if package.not_after > newest]
    for row, package in early:
        turn.rows.put(PACKAGES, row, replace(package, not_after=turn.now + packages.AHEAD))
    if early:
        packages.renew_all(turn)  # others find them not valid yet
