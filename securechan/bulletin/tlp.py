"""TLP 2.0 as a rule: how far a document may go, and what stops it.

FIRST's Traffic Light Protocol binds recipients. Two questions are decided here, by values alone:

    may_publish(label, ceiling, audience)    my agency issued it: the conversation must be meant for such a label
    may_forward(label, issuer, audience)     another agency issued it: the label says who may ever see it

Both return nothing when they allow and raise `Denied` when they don't, so that nobody can forget to look at an answer.
The label is never lower than what the content says of itself: STIX object and granular markings (the markings of TLP 1
and of TLP 2.0 both), CSAF ``distribution.tlp``, and a line ``TLP:…`` in plain text. WHITE is read as CLEAR.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, assert_never, cast

from securechan.bulletin.findings import Json, printable
from securechan.codec import Enum8
from securechan.errors import Denied, Unfit


class Tlp(Enum8):
    """A label of TLP 2.0; a stricter one is greater. One byte on the wire, and zero is none of them."""

    CLEAR = 1
    GREEN = 2
    AMBER = 3
    AMBER_STRICT = 4
    RED = 5

    @property
    def word(self) -> str:
        """The label as people and CSAF 2.1 write it in lower case: ``amber+strict``."""
        return self.name.lower().replace("_", "+")

    def __str__(self) -> str:
        return f"tlp:{self.word}"


_WORDS: Final = {label.word: label for label in Tlp} | {
    "white": Tlp.CLEAR,
    "amber-strict": Tlp.AMBER_STRICT,
    "amber strict": Tlp.AMBER_STRICT,
    "amber_strict": Tlp.AMBER_STRICT,
}


def parse(text: str) -> Tlp:
    """A label as people write it: ``amber``, ``TLP:AMBER+STRICT``, ``tlp:white``. Raises `Unfit` for anything else."""
    label = _lookup(text)
    if label is None:
        raise Unfit(
            f"'{printable(text[:40])}' is not a TLP label",
            hint="use one of clear, green, amber, amber+strict, red",
        )
    return label


def _lookup(text: str) -> Tlp | None:
    word = text.strip().lower()
    if word.startswith("tlp"):
        word = word[3:].lstrip(":-_ \t")
    return _WORDS.get(" ".join(word.split()))


def strictest(labels: Iterable[Tlp | None]) -> Tlp | None:
    """The strictest of the labels given, None when there is none."""
    return max((label for label in labels if label is not None), default=None)


# ------------------------------------------------------------------------------------------- what the content says


_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"  # TLP 2.0 for STIX 2.1
STIX_MARKINGS: Final = {
    # STIX 2.1 §7.2.1.4: the markings of TLP 1
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER,
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
    # the markings of the TLP 2.0 extension
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": Tlp.CLEAR,
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": Tlp.GREEN,
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": Tlp.AMBER,
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": Tlp.AMBER_STRICT,
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": Tlp.RED,
}


def of_marking(marking: Json) -> Tlp | None:
    """The TLP label that a STIX marking-definition states; None when it states something else (a copyright, a term)."""
    if not isinstance(marking, dict):
        return None
    stated: list[Tlp | None] = []
    identifier = marking.get("id")
    if isinstance(identifier, str):
        stated.append(STIX_MARKINGS.get(identifier))
    kind, definition = marking.get("definition_type"), marking.get("definition")
    if isinstance(kind, str) and kind.lower() == "tlp" and isinstance(definition, dict):
        stated.append(_word_of(definition.get("tlp")))
    extensions = marking.get("extensions")
    extension = extensions.get(_EXTENSION) if isinstance(extensions, dict) else None
    if isinstance(extension, dict):
        stated.append(_word_of(extension.get("tlp_2_0")))
    return strictest(stated)


def _word_of(value: Json) -> Tlp | None:
    return _lookup(value) if isinstance(value, str) else None


def of_stix(objects: Iterable[Json]) -> Tlp | None:
    """The strictest TLP label that any object, or any part of one, is marked with.

    A marking counts where it is referred to, not where it is defined: a bundle that carries the five definitions and
    uses the mildest is as mild as that. A marking that has a TLP id of the standard counts with or without its
    definition, and one that redefines such an id counts as the stricter of both.
    """
    listed = [item for item in objects if isinstance(item, dict)]
    known: dict[str, Tlp | None] = {**STIX_MARKINGS}
    for item in listed:
        if item.get("type") == "marking-definition" and isinstance(item.get("id"), str):
            identifier = cast("str", item["id"])
            known[identifier] = strictest((known.get(identifier), of_marking(item)))
    return strictest(known.get(reference) for item in listed for reference in _marks(item))


def _marks(item: dict[str, Json]) -> Iterator[str]:
    whole = item.get("object_marking_refs")
    if isinstance(whole, list):
        yield from (reference for reference in whole if isinstance(reference, str))
    parts = item.get("granular_markings")
    for part in parts if isinstance(parts, list) else ():
        reference = part.get("marking_ref") if isinstance(part, dict) else None
        if isinstance(reference, str):
            yield reference


def of_csaf(document: Json) -> Tlp | None:
    """The label in ``document.distribution.tlp.label`` of a CSAF document (2.0 or 2.1), None without one."""
    value = document
    for name in ("document", "distribution", "tlp", "label"):
        value = value.get(name) if isinstance(value, dict) else None
    return _word_of(value)


_LINE: Final = re.compile(
    r"^[^\w\n]*tlp[ \t]*[:\-][ \t]*(amber[ \t]*[+_-][ \t]*strict|[a-z]+)\b", re.IGNORECASE | re.MULTILINE
)


def of_text(text: str) -> Tlp | None:
    """The strictest label that begins a line (``TLP:AMBER``, ``[tlp:green] …``); running text isn't a marking."""
    return strictest(_lookup(re.sub(r"[ \t]", "", match[1])) for match in _LINE.finditer(text))


# --------------------------------------------------------------------------------------------------- what is allowed


@dataclass(frozen=True, slots=True)
class Audience:
    """Who would read it: the conversation, and how its agencies stand to mine. Agencies go by their names."""

    name: str
    """the conversation's local name, for messages"""
    agencies: frozenset[str]
    """agencies that have a member in it, mine among them or not"""
    own: str
    """my agency"""
    officers_named: bool = False
    """membership is a list of named officers, not "whoever has this role there" """
    clients: frozenset[str] = frozenset()
    """agencies that are clients of mine (TLP:AMBER reaches them)"""
    federation: frozenset[str] = frozenset()
    """agencies that the federation's targets list"""


def at_least(label: Tlp, floor: Tlp | None, *, what: str = "the bulletin") -> None:
    """Raise `Denied` where a label is milder than what the content says of itself."""
    if floor is not None and label < floor:
        raise Denied(
            f"{what} would be {label}, but its content is marked {floor}",
            hint=f"publish it with --tlp {floor.word}, or mend the markings in the document",
            code="tlp-denied",
        )


def may_publish(label: Tlp, ceiling: Tlp, audience: Audience, *, what: str = "the bulletin") -> None:
    """Whether my agency may publish its own document there. Raises `Denied`; nothing may have been sent before."""
    if label > ceiling:
        raise Denied(
            f"{what} is {label}: {audience.name} takes at most {ceiling}",
            hint=f"choose a conversation with a higher ceiling, or have a steward of {audience.name} raise its own",
            code="tlp-denied",
        )
    if label is Tlp.RED and not audience.officers_named:
        raise Denied(
            f"{what} is {label}: it is for named people only, and membership of {audience.name} goes by agency or role",
            hint="send it to a conversation whose members are listed officer by officer",
            code="tlp-denied",
        )


NAMED: Final = 3  # agencies that a refusal names


def may_forward(
    label: Tlp,
    issuer: str,
    audience: Audience,
    *,
    ceiling: Tlp = Tlp.RED,
    consent: bool = False,
    what: str = "the bulletin",
) -> None:
    """Whether a document may go on to an audience. Raises `Denied`; nothing may have been sent before.

    What my own agency issued is publishing. For what another issued the label decides, unless ``consent`` says that
    the issuer's signature over this bulletin and this audience has been *verified*. The conversation's ceiling, and
    named officers for RED, hold in every case: consent widens the circle, not the room.
    """
    if not consent and issuer != audience.own:
        reach, outside = _reach(label, audience)
        if outside is None:
            raise Denied(
                f"{what} by {issuer} is {label}: it may not be forwarded at all",
                hint=f"ask {issuer} for its signed consent, or to share it itself",
                code="tlp-denied",
            )
        if outside:
            names = sorted(outside)
            others = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
            raise Denied(
                f"{what} by {issuer} is {label}: it may not leave {reach}, and {audience.name} has members of {others}",
                hint=f"ask {issuer} for its signed consent, or share it inside {reach}",
                code="tlp-denied",
            )
    may_publish(label, ceiling, audience, what=what)


def _reach(label: Tlp, audience: Audience) -> tuple[str, frozenset[str] | None]:
    """How far a label reaches from here in words, and the agencies present beyond it; None: to nobody."""
    own = frozenset((audience.own,))
    match label:
        case Tlp.RED:
            return "its first audience", None
        case Tlp.AMBER_STRICT:
            return "your agency", audience.agencies - own
        case Tlp.AMBER:
            return "your agency and its clients", audience.agencies - own - audience.clients
        case Tlp.GREEN:
            return "the federation", audience.agencies - own - audience.federation
        case Tlp.CLEAR:
            return "anywhere", frozenset()
        case _:
            assert_never(label)
