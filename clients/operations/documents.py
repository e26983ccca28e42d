"""Documents before they are bulletins: what they are, how they are marked, what they are called.

A document is judged before anything else happens to it, with the same rules by which every reader judges it; what does
not pass leaves no trace.
"""

from __future__ import annotations

from typing import Any, Final

from clients.render import shorten
from securechan.bulletin import tlp
from securechan.bulletin.document import Document, inspect
from securechan.bulletin.tlp import Tlp
from securechan.errors import Malformed

TITLE_BYTES: Final = 256


def judge(content: bytes, media_type: str = "") -> dict[str, Any]:
    """What a document is and says of itself. Raises Unfit, with where and what."""
    return document_json(inspect(content, media_type or None), len(content))


def document_json(document: Document, size: int) -> dict[str, Any]:
    """A judged document as scripts get it."""
    floor = document.tlp_floor
    return {
        "media_type": document.media_type,
        "title": document.title,
        "facts": document.facts_by_name,
        "tlp_floor": None if floor is None else floor.word,
        "size": size,
    }


def label_of(said: str, floor: Tlp | None) -> Tlp:
    if said:
        return tlp.parse(said)
    if floor is None:
        raise Malformed("the document bears no TLP label", hint="say one: --tlp amber", code="usage")
    return floor


def title_of(said: str, document: Document) -> str:
    title = " ".join((said or document.title).split())
    while len(title.encode()) > TITLE_BYTES:
        title = shorten(title, len(title) - 1)
    return title
