"""Files of ours that people pass on: JSON with its kind and version, documents and keys in base64.

Applications, bundles, ceremonies and key files are such parcels. They come from anybody: each step here refuses what is
not of the form, before anything in it is believed.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from securechan.errors import Malformed
from securechan.trust import strict
from securechan.trust.document import parse
from securechan.trust.draft import Draft

MAX_FILE: Final = 64 << 20  # bytes


def load_file(data: bytes, kind: str) -> dict[str, strict.Json]:
    """The JSON object of a file of ours. Raises Malformed."""
    value = strict.load(data, kind, MAX_FILE)
    if value.get("kind") != kind or value.get("v") != 1:
        raise Malformed(f"this is no {kind}, or of another version", hint="check which file is asked for")
    return value


def b64(value: strict.Json) -> bytes:
    """Bytes of base64. Raises Malformed."""
    if not isinstance(value, str):
        raise Malformed("a text where base64 belongs is none")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("a text that is not base64") from None


def as_list(value: strict.Json) -> list[strict.Json]:
    """A JSON list. Raises Malformed."""
    if not isinstance(value, list):
        raise Malformed("a list is missing")
    return value


def read_drafts(value: strict.Json) -> tuple[Draft, ...]:
    """Drafts from ``[[role, base64], …]``. Raises Malformed, Invalid, Untrusted."""
    drafts = []
    for entry in as_list(value):
        pair = as_list(entry)
        if len(pair) != 2 or not isinstance(pair[0], str):
            raise Malformed("a document is a role and its bytes")
        draft = Draft(pair[0], b64(pair[1]))
        parse(draft.role, draft.content)
        drafts.append(draft)
    return tuple(drafts)
