"""Every format of the MLS engine: what is encoded decodes to itself, and bytes decode to one value or to none.

The structs are found by walking, so a new one is under test the moment it is declared.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import securechan.mls
from securechan.codec import Kept, Struct
from securechan.crypto.secret import Secret
from securechan.errors import Malformed
from securechan.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, PublicMessage
from securechan.mls.labels import SecretCodec
from securechan.mls.registry import ContentType, SenderType, WireFormat
from tests.support.strategies import rebuilt, register, register_codec, strategies

for module in pkgutil.iter_modules(securechan.mls.__path__):
    importlib.import_module(f"securechan.mls.{module.name}")


def auth_for(content: FramedContent) -> st.SearchStrategy[FramedContentAuthData]:
    tags = st.binary(max_size=70) if content.content_type is ContentType.COMMIT else st.none()
    return st.builds(FramedContentAuthData, st.binary(max_size=70), tags)


@st.composite
def authenticated(draw: st.DrawFn) -> AuthenticatedContent:
    content = draw(strategies(FramedContent))
    return AuthenticatedContent(draw(st.sampled_from(WireFormat)), content, draw(auth_for(content)))


@st.composite
def public(draw: st.DrawFn) -> PublicMessage:
    content = draw(strategies(FramedContent))
    tag = draw(st.binary(max_size=70)) if content.sender.kind is SenderType.MEMBER else None
    return PublicMessage(content, draw(auth_for(content)), tag)


register(AuthenticatedContent, authenticated())
register(PublicMessage, public())
register_codec(SecretCodec, lambda codec: st.binary(max_size=70).map(Secret))


def structs(base: type[Struct] = Struct) -> Iterator[type[Struct]]:
    for struct in base.__subclasses__():
        if struct is not Kept and struct.__module__.startswith("securechan.mls."):
            yield struct
        yield from structs(struct)


ALL = sorted(set(structs()), key=lambda struct: struct.__qualname__)


def test_the_walk_found_them() -> None:
    names = {struct.__name__ for struct in ALL}
    assert {"KeyPackage", "Welcome", "MLSMessage", "LeafNode", "EpochState", "MessageState"} <= names
    assert len(ALL) > 55


@pytest.mark.parametrize("struct", ALL, ids=lambda struct: struct.__name__)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_what_is_encoded_decodes_to_itself(struct: type[Struct], data: st.DataObject) -> None:
    value = data.draw(strategies(struct))
    wire = value.encode()
    again = struct.decode(wire)
    assert again == value
    assert again.encode() == wire
    with pytest.raises(Malformed):
        struct.decode(wire + b"\0")


@pytest.mark.parametrize("struct", ALL, ids=lambda struct: struct.__name__)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_any_bytes_are_one_value_or_none(struct: type[Struct], data: st.DataObject) -> None:
    """Whatever decodes encodes to the very bytes: no value has two forms."""
    wire = bytearray(data.draw(strategies(struct)).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.integers(0, len(wire)))
        match data.draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip" if where < len(wire):
                wire[where] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del wire[where:]
            case _:
                wire[where:where] = data.draw(st.binary(max_size=4))
    for tried in (bytes(wire), data.draw(st.binary(max_size=40))):
        try:
            value = struct.decode(tried)
        except Malformed:
            continue
        assert rebuilt(value) == value
        assert rebuilt(value).encode() == tried
