"""clients/operations/office.py: of what waits, a person means one thing by its id or its device, or is asked again."""

from __future__ import annotations

import pytest

from clients.operations.farewells import Farewell
from clients.operations.office import meant
from securechan.errors import Conflict, NotFound

LOST = Farewell("cert-hr/lost", "lost", "cert-hr/kept", 0)
OLD = Farewell("cert-hr/old", "left", "cert-hr/kept", 0)


@pytest.mark.parametrize("said", ["cert-hr/lost", "lost", LOST.ident, LOST.ident[:4]])
def test_one_is_meant(said: str) -> None:
    assert meant([OLD, LOST], said) is LOST


@pytest.mark.parametrize("said", ["", "cert-hr", "cert-si/lost", LOST.ident[:3], "00000000"])
def test_none_is_meant(said: str) -> None:
    with pytest.raises(NotFound):
        meant([OLD, LOST], said)


def test_of_two_the_id_decides() -> None:
    again = Farewell(LOST.device, "revoked", LOST.by, 0)
    with pytest.raises(Conflict) as e:
        meant([LOST, again], "lost")
    assert LOST.ident in str(e.value.hint)
    assert again.ident in str(e.value.hint)
    assert meant([LOST, again], again.ident) is again
