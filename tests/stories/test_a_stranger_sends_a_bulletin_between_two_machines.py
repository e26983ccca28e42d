"""A stranger sends a bulletin between two machines: two homes and one relay, and nothing but the command line.

From nothing: a federation with a root, a relay, two agencies that apply and are admitted, a community, a bulletin that
is published on one machine, shown and acknowledged on the other, and verified on a third that has only the export and
the root's hash.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.relayproc import RelayProcess
from tests.support.stage_machine import Failed, Machine

NOTE = "Patch CVE-2026-0001 today.\n"


async def test_a_bulletin_crosses_from_one_machine_to_another(tmp_path: Path) -> None:
    root, ana, cene, third = (Machine(tmp_path / name) for name in ("root", "ana", "cene", "third"))
    async with AsyncExitStack() as exits:
        relay = exits.enter_context(RelayProcess(tmp_path / "relay"))
        relay_card = relay.home / "card.json"

        # Three places, at their own pace: who founds the federation, and the first administrator of each agency.
        await asyncio.gather(
            root.run("root", "init", "--keys", "1", "--targets-keys", "1"),
            ana.run(
                "admin", "init", "cert-hr", "--officer", "ana", "--device", "laptop", "--out", "cert-hr.json", "-y"
            ),
            cene.run(
                "admin", "init", "cert-si", "--officer", "cene", "--device", "desk", "--out", "cert-si.json", "-y"
            ),
        )
        await root.run("root", "add-relay", str(relay_card), "--url", relay.url)
        await root.run("root", "admit-agency", str(ana.folder / "cert-hr.json"))
        await root.run("root", "admit-agency", str(cene.folder / "cert-si.json"))
        await root.run("root", "community", "eu-csirts", "--founder", "cert-hr/laptop")
        keys = ("--key", "federation/keys/root-1.key", "--key", "federation/keys/targets-1.key")
        await root.run("root", "sign", "federation/ceremony.json", *keys, "--yes")
        published = await root.run("root", "publish")
        relay.adopt((root.folder / published["bundle"]).read_bytes())
        await asyncio.gather(
            *(each.run("admin", "join", "-", given=published["address"] + "\n") for each in (ana, cene))
        )

        async with cene.watching() as watch:
            members = ("--agency", "cert-hr", "--agency", "cert-si", "--steward", "ana@cert-hr")
            await ana.run("conversation", "create", "eu-csirts", *members, "--steward", "cene@cert-si")
            await ana.run("sync")  # cene's machine is there: it is let in
            joined = await watch.until("conversation-joined")
            assert joined["name"] == "eu-csirts"
            (ana.folder / "note.txt").write_text(NOTE)
            sent = await ana.run(
                "bulletin", "publish", "note.txt", "--to", "eu-csirts", "--tlp", "amber", "--ack-by", "4h"
            )
            came = await watch.until("bulletin-received")
            assert (came["bulletin"], came["issuer"], came["tlp"]) == (sent["bulletin"], "cert-hr", "amber")
            shown = await cene.words("bulletin", "show", sent["bulletin"])  # done by the watching process
            assert NOTE.strip() in shown
            await cene.run("bulletin", "ack", sent["bulletin"])
        acks = await ana.run("bulletin", "acks", sent["bulletin"])
        assert acks["fresh"]
        (there,) = acks["conversations"]
        assert [each["device"] for each in there["acknowledged"]] == ["cert-si/desk"]
        assert there["missing"] == []
        await cene.run("send", "eu-csirts", "-m", "patched", "--tlp", "green")
        await ana.run("sync")
        assert "patched" in await ana.words("read", "eu-csirts")

        await cene.run("bulletin", "export", sent["bulletin"], "-o", "export")
        export = str(cene.folder / "export")
        verified = await third.run("bulletin", "verify", export, "--root-id", published["root"])
        assert (verified["bulletin"], verified["device"]) == (sent["bulletin"], "cert-hr/laptop")
        assert base64.b64decode(verified["content"]).decode() == NOTE
        with pytest.raises(Failed) as wrong:
            await third.run("bulletin", "verify", export, "--root-id", "00" * 48)
        assert wrong.value.code == 4
