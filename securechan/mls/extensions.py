"""RFC 9420 §13: extensions, a list of typed blobs, and the few types that the RFC itself gives a meaning."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from securechan.codec import U16, Struct, opaque, vec
from securechan.errors import Invalid
from securechan.mls.registry import ExtensionType
from securechan.mls.rules import Rule

TREE_BOUND: Final = 1 << 28  # bytes of a ratchet tree; 1,000 hybrid members need 8 MB

S = TypeVar("S", bound=Struct)


class Extension(Struct):
    """§13: ``struct { ExtensionType extension_type; opaque extension_data<V>; }``."""

    kind: U16
    data: Annotated[bytes, opaque(max=TREE_BOUND)]


Extensions = Annotated[tuple[Extension, ...], vec(max=TREE_BOUND + 16)]


class RequiredCapabilities(Struct):
    """§11.1: what every member must support."""

    extensions: tuple[U16, ...]
    proposals: tuple[U16, ...]
    credentials: tuple[U16, ...]


def find(extensions: tuple[Extension, ...], kind: int) -> bytes | None:
    """The data of the extension of that type, or None."""
    for extension in extensions:
        if extension.kind == kind:
            return extension.data
    return None


def find_as(extensions: tuple[Extension, ...], kind: int, struct: type[S]) -> S | None:
    """The extension of that type, decoded. Raises `Malformed`."""
    data = find(extensions, kind)
    return None if data is None else struct.decode(data)


def required_capabilities(extensions: tuple[Extension, ...]) -> RequiredCapabilities:
    """What a GroupContext demands of its members; nothing, where it has no such extension. Raises `Malformed`."""
    found = find_as(extensions, ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities)
    return found or RequiredCapabilities((), (), ())


def check_unique(extensions: tuple[Extension, ...]) -> None:
    """§13.4: no type stands twice in one list."""
    kinds = [extension.kind for extension in extensions]
    if len(set(kinds)) != len(kinds):
        raise Invalid("an extension type stands twice", rule=Rule.ONE_OF_A_TYPE)
