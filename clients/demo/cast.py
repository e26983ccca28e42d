"""Who plays: three agencies that exist nowhere, four administrators, and five devices that come in by invite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency; ``threshold``: how many of its administrators sign a roster."""

    name: str
    title: str
    threshold: int = 1


@dataclass(frozen=True, slots=True)
class Role:
    """One device of one officer, and what the officer is there for."""

    agency: str
    device: str
    officer: str
    roles: tuple[str, ...]

    @property
    def name(self) -> str:
        """``cert-aa/desk-1``."""
        return f"{self.agency}/{self.device}"

    @property
    def address(self) -> str:
        """``desk@cert-aa``."""
        return f"{self.officer}@{self.agency}"

    @property
    def file(self) -> str:
        """A name for its folder and its log."""
        return f"{self.agency}.{self.device}"


AA: Final = Agency("cert-aa", "CERT of Aurelind")
BB: Final = Agency("csirt-bb", "CSIRT of Brackwater", threshold=2)
CC: Final = Agency("cyber-cc", "Cyber Crime Unit of Corvallo")
AGENCIES: Final = (AA, BB, CC)

ALICE: Final = Role("cert-aa", "admin-1", "alice", ("admin",))
BRUNO: Final = Role("csirt-bb", "admin-1", "bruno", ("admin",))
BERTA: Final = Role("csirt-bb", "admin-2", "berta", ("admin",))
CARLA: Final = Role("cyber-cc", "admin-1", "carla", ("admin",))
FOUNDERS: Final = (ALICE, BRUNO, CARLA)
ADMINISTRATORS: Final = (*FOUNDERS, BERTA)

DESK_AA: Final = Role("cert-aa", "desk-1", "desk", ("desk", "liaison"))
LIAISON_AA: Final = Role("cert-aa", "liaison-1", "liaison-1", ("liaison",))
LIAISON_BB: Final = Role("csirt-bb", "liaison-1", "liaison-1", ("desk", "liaison"))
DESK_CC: Final = Role("cyber-cc", "desk-1", "desk", ("desk", "liaison"))
LAPTOP_CC: Final = Role("cyber-cc", "laptop-7", "liaison-1", ("liaison",))
OFFICERS: Final = (DESK_AA, LIAISON_AA, LIAISON_BB, DESK_CC, LAPTOP_CC)

COMMUNITY: Final = "early-warning"
RELAY: Final = "relay-1"


def administrator(agency: str) -> Role:
    """Who approves first in an agency."""
    return next(each for each in FOUNDERS if each.agency == agency)


def second(agency: str) -> Role | None:
    """Who signs too, where two must."""
    return next((each for each in ADMINISTRATORS if each.agency == agency and each not in FOUNDERS), None)
