"""How papers of the trust floor are altered: JSON in its one form, and what lies inside it in base64.

A document whose signature is wrong isn't read at all, so who holds the keys signs what was altered (`signed_again`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

from securesystemslib.exceptions import FormatError

from securechan.codec import Struct
from securechan.errors import Malformed
from securechan.trust import strict
from securechan.trust.keys import TrustSigner
from securechan.trust.view import SavedDocument
from tests.fuzz.mutation import damaged, either, of_json, of_struct
from tests.fuzz.target import Form
from tests.support.federation import signed


def sorted_json(data: bytes, random: Random) -> bytes:
    """As `of_json`, in the one form that trust documents have; and now and then not."""
    changed = of_json(data, random)
    if random.random() < 0.1:
        return changed
    try:
        return strict.dump(json.loads(changed))
    except (ValueError, RecursionError):
        return changed


def inside(data: bytes, random: Random) -> bytes:
    """A change inside one of the base64 texts of a paper: a document, or a struct."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return damaged(data, random)
    texts = [path for path in _paths(value) if path and len(_at(value, path)) > 40]
    if not texts:
        return sorted_json(data, random)
    path = random.choice(texts)
    try:
        plain = base64.b64decode(_at(value, path), validate=True)
    except ValueError:
        return sorted_json(data, random)
    changed = sorted_json(plain, random) if plain[:1] == b"{" else damaged(plain, random)
    _put(value, path, base64.b64encode(changed).decode())
    return strict.dump(value)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, str):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, each in items for found in _paths(each, (*path, key))]


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _put(value: Any, path: tuple[Any, ...], other: Any) -> None:
    _at(value, path[:-1])[path[-1]] = other


PAPER = either(sorted_json, inside)


def of_saved(struct: type[Struct], signer: Callable[[str], TrustSigner | None]) -> Form:
    """For structs with a field ``documents`` of `SavedDocument`: one of these is altered and signed again."""
    whole = of_struct(struct)

    def alter(data: bytes, random: Random) -> bytes:
        try:
            value: Any = struct.decode(data)
        except Malformed:
            return damaged(data, random)
        if random.random() < 0.3 or not value.documents:
            return whole(data, random)
        at = random.randrange(len(value.documents))
        saved: SavedDocument = value.documents[at]
        other = SavedDocument(saved.role, signed_again(saved.content, random, signer(saved.role)))
        fields = {**value.__dict__, "documents": (*value.documents[:at], other, *value.documents[at + 1 :])}
        return struct(**fields).encode()

    return alter


def signed_again(content: bytes, random: Random, signer: TrustSigner | None) -> bytes:
    """A signed document whose content is altered; as it is altered, where nothing could be signed."""
    try:
        body = json.loads(content)["signed"]
        return (
            sorted_json(content, random)
            if signer is None
            else signed(json.loads(of_json(strict.dump(body), random)), signer)
        )
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, FormatError):
        return sorted_json(content, random)
