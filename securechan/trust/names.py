"""What agencies, officers and devices may be called.

A name is what people compare, so it has one spelling: lower-case ASCII letters, digits, single hyphens. An agency's
name is also a TUF role and a path (``cert-hr``, ``cert-hr-roster``, ``cert-hr/*``), so the words that TUF and our own
paths use are taken. Names that read alike (``cert-lt`` and ``cert-1t``) can't both stand in one federation.

    agency    cert-hr                     letters first, 2 to 40 characters
    officer   liaison-1@cert-hr           1 to 64 characters before the @
    device    cert-hr/liaison-1-laptop    1 to 64 characters after the /
"""

from __future__ import annotations

import re
from typing import Final

from securechan.errors import Invalid

AGENCY: Final = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
HANDLE: Final = r"[a-z0-9]+(?:-[a-z0-9]+)*"
ROSTER_SUFFIX: Final = "-roster"
RESERVED: Final = frozenset(
    {"root", "targets", "snapshot", "timestamp", "federation", "agencies", "relays", "communities"}
)

_AGENCY: Final = re.compile(AGENCY, re.ASCII)
_HANDLE: Final = re.compile(HANDLE, re.ASCII)
_HINT: Final = "use lower-case letters a-z, digits and single hyphens"


def roster_role(agency: str) -> str:
    """The TUF role that speaks for an agency's devices."""
    return agency + ROSTER_SUFFIX


def is_agency(name: str) -> bool:
    """Whether ``name`` may name an agency."""
    return (
        2 <= len(name) <= 40
        and _AGENCY.fullmatch(name) is not None
        and name not in RESERVED
        and not name.endswith(ROSTER_SUFFIX)
    )


def is_handle(name: str) -> bool:
    """Whether ``name`` may name an officer, a device, a relay or a community."""
    return 1 <= len(name) <= 64 and _HANDLE.fullmatch(name) is not None


def check_agency(name: str) -> str:
    """``name`` itself. Raises Invalid."""
    if not is_agency(name):
        raise Invalid(f"{shown(name)} cannot name an agency", hint=f"{_HINT}, 2 to 40 characters, no TUF role name")
    return name


def check_handle(name: str, what: str = "officer") -> str:
    """``name`` itself. Raises Invalid."""
    if not is_handle(name):
        raise Invalid(
            f"{shown(name)} cannot name {'an' if what[0] in 'aeiou' else 'a'} {what}",
            hint=f"{_HINT}, at most 64 characters",
        )
    return name


def device_name(agency: str, device: str) -> str:
    """``"cert-hr/liaison-1-laptop"``: the identity of a device everywhere, MLS credentials included."""
    return f"{agency}/{device}"


def split_device(name: str) -> tuple[str, str]:
    """(agency, device) of ``"agency/device"``. Raises Invalid."""
    agency, slash, device = name.partition("/")
    if not slash:
        raise Invalid(f"{shown(name)} is no device name", hint="write agency/device, as in cert-hr/liaison-1-laptop")
    return check_agency(agency), check_handle(device, "device")


def officer_address(officer: str, agency: str) -> str:
    """``"liaison-1@cert-hr"``."""
    return f"{officer}@{agency}"


def split_officer(address: str) -> tuple[str, str]:
    """(officer, agency) of ``"officer@agency"``. Raises Invalid."""
    officer, at, agency = address.partition("@")
    if not at:
        raise Invalid(f"{shown(address)} is no officer's address", hint="write officer@agency")
    return check_handle(officer), check_agency(agency)


def look_alike(name: str) -> str:
    """What is left of a name when what the eye confuses is made equal: two agencies may not share it."""
    bare = name.replace("-", "").replace("0", "o").replace("1", "l")
    return bare.replace("rn", "m").replace("vv", "w")


def shown(name: str) -> str:
    """What may be no name at all, as a message has it: ASCII, 60 characters at most."""
    return ascii(name[:60])
