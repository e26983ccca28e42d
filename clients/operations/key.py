"""This device's keys: what there is, and renewing them.

Epoch keys are renewed by a commit in each conversation, at once and by nobody's leave. The signature key is renewed
through the agency's roster: both keys are listed while leaves are updated, then the old one is buried.
"""

from __future__ import annotations

from typing import Any, Final

from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work, queued
from securechan.agent.agent import Agent
from securechan.agent.inputs import RotateEpochs, RotateSignature
from securechan.trust.records import key_hash

SOON: Final = 5  # seconds that a commit which the relay has put off is waited for


async def ls(work: Work, _: dict[str, Any]) -> dict[str, Any]:
    """Signature keys with their state, and the epoch of every conversation."""
    mine = work.agent.keys()
    return {
        "device": work.agent.device,
        "keys": [
            {
                "key": key_hash(each.public).hex(),
                "algorithm": "ML-DSA-65+Ed25519",
                "state": each.state.name.lower(),
                "made": lookup.moment(each.made),
            }
            for each in mine
        ],
        "conversations": [
            {"id": each.topic.hex(), "name": each.name, "epoch": each.epoch, "suite": each.suite}
            for each in work.agent.conversations()
        ],
    }


async def rotate(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Renew ``epochs`` (in one ``conversation`` or in all), ``signature``, or both. Waits for the new epochs; a new
    signature key needs an administrator, so for that it only asks."""
    params = Params(said)
    data: dict[str, Any] = {}
    if params.flag("epochs"):
        data["conversations"] = await _epochs(work, params)
    if params.flag("signature"):
        public: bytes = await work.runtime.do(RotateSignature())
        await work.online()
        await work.at_rest(params.seconds("timeout", 60.0))
        data["signature"] = {"key": key_hash(public).hex(), "state": "proposed"}
    return data


async def _epochs(work: Work, params: Params) -> list[dict[str, Any]]:
    name = params.text("conversation", "")
    await work.synced()
    topic = lookup.conversation(work.agent, name).topic if name else None
    before = {each.topic: each.epoch for each in work.agent.conversations()}
    topics: tuple[bytes, ...] = await work.runtime.do(RotateEpochs(topic))

    def decided(agent: Agent) -> bool:
        """Each is renewed, or the relay has said when it takes the commit; then that goes by itself."""
        found = [agent.conversation(each) for each in topics]
        return all(each.epoch > before[each.topic] or each.pending_until > work.now + SOON for each in found)

    with queued("the renewal"):
        await work.runtime.until(decided, params.seconds("timeout", 60.0))
        if topics and not any(work.agent.conversation(each).epoch > before[each] for each in topics):
            await work.taken(lambda _: False, 0.0)
    found = (work.agent.conversation(each) for each in topics)
    return [
        {
            "id": each.topic.hex(),
            "name": each.name,
            "epoch": each.epoch,
            "before": before[each.topic],
            "again_at": lookup.moment(each.pending_until if each.epoch == before[each.topic] else 0),
        }
        for each in found
    ]


OPERATIONS: Final[dict[str, Operation]] = {"ls": ls, "rotate": rotate}
