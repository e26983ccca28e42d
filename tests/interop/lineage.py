"""Our driver's commands for groups that come of groups: ReInit, what follows it, branches (RFC 9420 §11.2, §11.3)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from securechan.crypto.suite import by_number
from securechan.mls import succession
from securechan.mls.group import Group
from securechan.mls.proposals import ReInit
from securechan.mls.registry import ProtocolVersion
from securechan.mls.step import Step
from tests.interop.fields import key_package, keys_of, one_welcome, raw, view
from tests.interop.peers.lines import Answer, Request

if TYPE_CHECKING:
    from tests.interop.driver import Driver


def reinit(driver: Driver, request: Request) -> Answer:
    """Ends the group, to go on as another one."""
    seat = driver.seat(request)
    suite = request.get("suite", seat.group.suite.number)
    end = ReInit(raw(request, "group_id"), ProtocolVersion.MLS10, suite, ())
    step = seat.group.commit(reinit=end, path=False, private=not request.get("public"))
    seat.group = step.next
    return {"commit": step.commit.hex(), **view(seat.group)}


def succeed(driver: Driver, request: Request) -> Answer:
    """The group after a ReInit, with those of these key packages."""
    old = driver.seat(request).group
    suite = old.suite if old.reinit is None else by_number(old.reinit.cipher_suite)
    packages = [key_package(each) for each in request["key_packages"]]
    return _founded(driver, succession.succeed(old, keys_of(request, suite), packages, now=int(time.time())))


def branch(driver: Driver, request: Request) -> Answer:
    """A subgroup, with those of these key packages."""
    old: Group = driver.seat(request).group
    packages = [key_package(each) for each in request["key_packages"]]
    keys, group_id = keys_of(request, old.suite), raw(request, "group_id")
    return _founded(driver, succession.branch(old, keys, packages, group_id=group_id, now=int(time.time())))


def _founded(driver: Driver, step: Step) -> Answer:
    return {**driver.seated(step.next), "welcome": one_welcome(step)}
