"""clients/cli/forwards.py: asked, consented, forwarded, in words."""

from __future__ import annotations

from tests.clients.conftest import Town


def test_from_the_question_to_the_forward(town: Town, csaf: str) -> None:
    first, second = town.community(), town.community()
    bulletin = town.hr.json("bulletin", "publish", csaf, "--to", first)["bulletin"]
    town.si.json("sync")
    assert town.si.run("bulletin", "forward", bulletin, "--to", second).code == 7
    asked = town.si.run("bulletin", "ask-consent", bulletin, "--to", second, "--reason", "see evil.example")
    assert asked.out == f"asked  about {bulletin} rev 1 in {second}\n"
    town.hr.json("sync")
    assert "see evil[.]example" in town.hr.run("bulletin", "consents", "--waiting").out
    needs = town.hr.run("bulletin", "consent", bulletin, "--to-agency", "cert-si")
    assert (needs.code, "--yes" in needs.err) == (2, True)
    assert f"let cert-si bring {bulletin} to" in needs.err
    assert "where cert-hr cert-si read?" in needs.err
    given = town.hr.run("bulletin", "consent", bulletin, "--to-agency", "cert-si", "--yes")
    assert given.out.startswith(f"given  {bulletin} to cert-si in {second} until 20")
    town.si.json("sync")
    done = town.si.run("bulletin", "forward", bulletin, "--to", second)
    assert done.out.startswith(f"forwarded  {bulletin} rev 1  to cert-hr")
