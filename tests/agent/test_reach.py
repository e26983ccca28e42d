"""Who reads what is sealed somewhere: judged as the agency that brings it stands to them."""

from __future__ import annotations

import pytest

from securechan.agent import reach
from securechan.agent.state import BULLETINS, bulletin_row
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import BulletinHeader
from securechan.bulletin.tlp import Tlp
from securechan.errors import Denied, Malformed
from tests.agent.places import community, row_of
from tests.agent.test_forwards import publish
from tests.support.world import World


def test_the_same_room_is_another_to_another_agency(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    bulletin = publish(ana, topic, Tlp.AMBER)
    row = cene.agent.rows.get(BULLETINS, bulletin_row(topic, bulletin))
    assert row is not None
    header, talk = BulletinHeader.decode(row.header), row_of(cene, topic)
    turn = Turn(cene.agent.rows, cene.agent.session, world.chance, world.now)
    assert reach.audience(turn, talk, turn.policy(topic)).own == "cert-si"
    assert reach.audience(turn, talk, turn.policy(topic)).agencies == {"cert-hr", "cert-si"}
    assert reach.allow_forward(turn, talk, header, Tlp.AMBER, b"", ana.name) is None  # its issuer publishes
    with pytest.raises(Denied):
        reach.allow_forward(turn, talk, header, Tlp.AMBER, b"")  # and we would forward
    with pytest.raises(Denied):
        reach.allow_forward(turn, talk, header, Tlp.AMBER_STRICT, b"", ana.name)  # above the ceiling
    with pytest.raises(Malformed):
        reach.allow_forward(turn, talk, header, Tlp.AMBER, b"no consent at all")
