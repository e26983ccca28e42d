"""What tests of publications share: a refusal by its name, and documents to be changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from securechan.errors import Untrusted
from tests.support.federation import World


def refused(code: str, act: Callable[[], object]) -> str:
    """The message of the refusal that ``act`` meets."""
    with pytest.raises(Untrusted) as caught:
        act()
    assert caught.value.code == code, caught.value
    return caught.value.message


def content(world: World, role: str) -> bytes:
    document = world.view.document(role)
    assert document is not None
    return document.content


def bump(body: dict[str, Any]) -> None:
    body["version"] += 1
