"""What the README tells a stranger to type works, line by line, with the installed commands and a real relay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.typed import blocks, typed

PORT = "18765"  # the one that the README names


@pytest.mark.timeout(300)
def test_the_readme_works_as_typed(tmp_path: Path) -> None:
    told = blocks("sh")
    assert len(told) >= 6
    script = "\n".join(told).replace(PORT, str(free_ports(1)[0])) + "\nsecurechan --home alice conversation ls\n"
    code, said = typed(script, tmp_path / "here", timeout=290)
    assert code == 0, said
    assert "Phishing wave" in said
    assert "1 acknowledged" in said
    assert "bob@cert-bb" in said
    assert "seen here too, since Tuesday" in said
