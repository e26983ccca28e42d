"""clients/operations/device.py: devices as the trust records list them."""

from __future__ import annotations

from tests.clients.conftest import Town


def test_mine_an_officers_an_agencys(town: Town) -> None:
    town.hr.json("sync")
    mine = town.hr.json("device", "ls")["devices"]
    assert [each["device"] for each in mine] == ["cert-hr/desk", "cert-hr/laptop"]
    assert [each["own"] for each in mine] == [True, False]
    assert [each["device"] for each in town.hr.json("device", "ls", "liaison-1@cert-si")["devices"]] == ["cert-si/desk"]
    listed = town.hr.json("device", "ls", "cert-si")
    assert listed["devices"][0]["roles"] == ["admin", "desk", "liaison"]
    assert listed["revoked"] == []
    assert town.hr.run("--json", "device", "ls", "cert-xx").code == 4
