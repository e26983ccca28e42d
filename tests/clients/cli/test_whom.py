"""clients/cli/whom.py: who reads it, without counting who sent it."""

from __future__ import annotations

import pytest

from clients.cli.whom import agencies, officers


def reader(device: str, officer: str, *, own: bool = False) -> dict[str, object]:
    return {"device": device, "officer": officer, "own": own}


BOB = [reader("cert-bb/desk", "bob@cert-bb"), reader("cert-bb/phone", "bob@cert-bb")]
MINE = reader("cert-aa/laptop", "alice@cert-aa", own=True)
MANY = [reader(f"cert-{n}/desk", f"desk@cert-{n}") for n in range(6)]


@pytest.mark.parametrize(
    ("readers", "said"),
    [
        ([], "nobody else there yet"),
        (BOB[:1], "1 device of bob@cert-bb"),
        ([*BOB, MINE], "2 devices of bob@cert-bb, and 1 other of yours"),
        ([MINE, MINE], "nobody else there yet, and 2 others of yours"),
        ([*BOB, MANY[0]], "3 devices of bob@cert-bb and desk@cert-0"),
        (MANY[:4], "4 devices of desk@cert-0, desk@cert-1, desk@cert-2 and desk@cert-3"),
        (MANY, "6 devices of desk@cert-0, desk@cert-1, desk@cert-2 and 3 more"),
        ([reader("cert-bb/lost", "")], "1 device of cert-bb/lost"),
        ([reader("cert-bb/desk", "bob\x1b@cert-bb")], "1 device of bob\\u001b@cert-bb"),
    ],
)
def test_officers_are_named_while_they_are_few(readers: list[dict[str, object]], said: str) -> None:
    assert officers(readers) == said


@pytest.mark.parametrize(
    ("readers", "said"),
    [
        ([], "nobody else yet (0 devices)"),
        (BOB, "cert-bb (2 devices)"),
        ([*BOB, MINE], "cert-bb and cert-aa (2 devices, and 1 other of yours)"),
        (MANY, "cert-0, cert-1, cert-2 and 3 more (6 devices)"),
    ],
)
def test_agencies_likewise(readers: list[dict[str, object]], said: str) -> None:
    assert agencies(readers) == said
