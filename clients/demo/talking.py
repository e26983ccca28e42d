"""Third act: bulletins broadcast, acknowledged and verified outside; what TLP forbids; two officers among themselves;
a device that was away."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from clients.demo.cast import COMMUNITY, DESK_AA, DESK_CC, LAPTOP_CC, LIAISON_AA, LIAISON_BB, Role
from clients.demo.desk import all_hear, marks
from clients.demo.narrator import Step, claim, milliseconds, span
from clients.demo.stage import DATA, Stage
from clients.operations.proof import verify
from clients.render import size

STIX: Final = "log4shell.stix.json"
CSAF: Final = "moveit.csaf-2.0.json"
SECOND_STIX: Final = "proxyshell.stix.json"
STRICT: Final = "phishing-wave.txt"
MISSED: Final = 20  # messages that the absent device misses
PHRASES: Final = ("CVE-2021-44228", "Log4j", "CVE-2023-34362", "MOVEit")  # of what is published
_LISTS: Final = ("acknowledged", "delivered", "missing")


async def _publish(stage: Stage, step: Step, issuer: Role, file: str) -> dict[str, Any]:
    """Publish a file and wait until everyone else shows it; what the issuer was told."""
    content = (DATA / file).read_bytes()
    others = stage.officers(issuer)
    since = marks(others)
    began = time.monotonic()
    told: dict[str, Any] = await stage[issuer].ask(
        "bulletin.publish", to=COMMUNITY, content=base64.b64encode(content).decode(), tlp="green", ack_by=4 * 3600
    )
    shown = await all_hear(
        others,
        lambda event: event["event"] == "bulletin-received" and event["bulletin"] == told["bulletin"],
        since,
        what=f"bulletin {told['bulletin']}",
    )
    last = max(shown.values()) - began
    received = await stage[others[0].role].ask("bulletin.show", online=False, bulletin=told["bulletin"])
    claim(base64.b64decode(received["content"]) == content, "the bulletin is received exactly as it was published")
    entry = stage.entry(stage.community, told["sequence"])
    step.tell(f"{told['bulletin']}  {received['title']}")
    step.tell(
        f"{file}: {size(len(content))}, tlp:{received['tlp']}, signed by {issuer.name}; entry {told['sequence']},"
        f" {size(entry)} at the relay",
        bulletin=told["bulletin"],
        media_type=received["media_type"],
        bytes=len(content),
        entry_bytes=entry,
        tlp=received["tlp"],
    )
    step.tell(
        f"shown by {len(shown)} devices of {told['agencies']} agencies; the last after {span(last)}",
        devices=len(shown),
        last_shown_ms=milliseconds(last),
    )
    stage.narrator.sum_up(f"{step.name} bulletin", f"{size(len(content))} to the last of {len(shown)} in {span(last)}")
    return told


async def stix(stage: Stage) -> None:
    """A STIX bundle, acknowledged by people."""
    with stage.narrator.step("stix", "a STIX 2.1 bulletin is broadcast and acknowledged") as step:
        issuer = stage[DESK_AA]
        told = await _publish(stage, step, DESK_AA, STIX)
        bulletin = told["bulletin"]
        people = stage.officers(DESK_AA, LAPTOP_CC)
        await asyncio.gather(*(desk.ask("bulletin.ack", bulletin=bulletin) for desk in people))
        acks = await issuer.comes_to(
            "bulletin.acks",
            lambda told: (
                len(told["conversations"][0]["acknowledged"]) == len(people)
                and len(told["conversations"][0]["delivered"]) == len(people) + 1
            ),
            what="every receipt",
            online=False,
            bulletin=bulletin,
        )
        names = {
            kind: [each["device"] for each in told] for kind, told in acks["conversations"][0].items() if kind in _LISTS
        }
        silent = [name for name in names["delivered"] if name not in names["acknowledged"]]
        claim(silent == [LAPTOP_CC.name], "who has not acknowledged is listed as having received it")
        step.tell(f"acknowledged  {', '.join(names['acknowledged'])}", acks=names)
        step.tell(f"only received {', '.join(silent)}    missing {', '.join(names['missing']) or 'nobody'}")
        stage.narrator.sum_up("acknowledged", f"{len(people)} of {len(people) + 1} by people, 1 only received")


async def csaf(stage: Stage) -> None:
    """A CSAF advisory of another agency, verified outside the channel."""
    with stage.narrator.step("csaf", "a CSAF 2.0 bulletin, verified outside the channel") as step:
        told = await _publish(stage, step, LIAISON_BB, CSAF)
        packed = await stage[DESK_CC].ask("bulletin.export", online=False, bulletin=told["bulletin"])
        began = time.monotonic()
        verified = await asyncio.to_thread(verify, base64.b64decode(packed["export"]), bytes.fromhex(packed["root_id"]))
        took = time.monotonic() - began
        claim(verified["issuer"] == LIAISON_BB.agency, "the export says who issued it")
        step.tell(
            f"exported, {size(packed['size'])}: verified against nothing but the root's hash in {span(took)}:"
            f" {verified['officer']}@{verified['issuer']}",
            export_bytes=packed["size"],
            verified_ms=milliseconds(took),
        )
        seen = stage.known_to_relay(PHRASES)
        claim(not seen, f"the relay holds no word of it (it holds {seen})")
        weight = stage.disk(stage.relay_home)
        step.tell(
            f"{', '.join(PHRASES)}: nowhere in the {size(weight)} that the relay has written",
            relay_bytes=weight,
            plaintext_found=len(seen),
        )


async def tlp(stage: Stage) -> None:
    """What a label forbids is not sent."""
    with stage.narrator.step("tlp", "TLP is a rule: what it forbids is not sent") as step:
        before = len(stage.entries(stage.community))
        done = await stage[DESK_AA].run("bulletin", "publish", str(DATA / STRICT), "--to", COMMUNITY)
        after = len(stage.entries(stage.community))
        claim(done.code == 7, f"a tlp:amber+strict bulletin is denied (exit code {done.code}: {done.error['message']})")
        claim(before == after, "nothing was sent")
        step.tell(f"securechan bulletin publish {STRICT} --to {COMMUNITY}")
        step.tell(f"error: {done.error['message']}")
        step.tell(
            f"exit code {done.code}; entries at the relay {before} before, {after} after",
            exit_code=done.code,
            error=done.error["code"],
            entries_before=before,
            entries_after=after,
        )
        stage.narrator.sum_up("tlp:amber+strict", f"denied, exit code {done.code}, {after - before} entries sent")


async def direct(stage: Stage) -> None:
    """Two liaison officers, and nobody else."""
    with stage.narrator.step("direct", "two liaison officers talk") as step:
        one, other = stage[LIAISON_AA], stage[LIAISON_BB]
        third = stage.officers(LIAISON_AA, LIAISON_BB)
        since = marks([one, other, *third])
        began = time.monotonic()
        sent = await one.ask(
            "message.send",
            to=LIAISON_BB.address,
            text="we seize the panel at 06:00 UTC, hold your takedown",
            tlp="red",
            wait="queued",
        )
        topic = sent["conversation"]
        await other.hears(
            lambda event: event["event"] == "conversation-offered" and event["conversation"] == topic,
            since=since[str(other)],
            what="the offer of a conversation",
        )
        await other.ask("conversation.accept", conversation=topic)
        first = await other.hears(_text(topic), since=since[str(other)], what="the first message")
        met = first.at - began
        asked = time.monotonic()
        await other.ask("message.send", to=topic, text="agreed; we wait for your word", tlp="red")
        reply = await one.hears(_text(topic, own=False), since=since[str(one)], what="the reply")
        shown = await one.ask("conversation.show", online=False, conversation=topic)
        members = {each["officer"] for each in shown["devices"]}
        claim(members == {LIAISON_AA.address, LIAISON_BB.address}, "only the two belong")
        outside = sum(heard.event.get("conversation") == topic for desk in third for heard in desk.heard)
        claim(outside == 0, "nobody else hears of it")
        step.tell(
            f"{LIAISON_AA.address} and {LIAISON_BB.address}: tlp:red, suite {shown['suite']}, epoch {shown['epoch']}"
        )
        step.tell(
            f"first words after {span(met)}, offer and acceptance included; the answer after {span(reply.at - asked)}",
            first_ms=milliseconds(met),
            reply_ms=milliseconds(reply.at - asked),
            members=sorted(members),
        )
        stage.narrator.sum_up("direct", f"answer in {span(reply.at - asked)}, tlp:red")


def _text(topic: str, *, own: bool | None = None) -> Callable[[dict[str, Any]], object]:
    return lambda event: (
        event["event"] == "message-received" and event["conversation"] == topic and own in (None, event["own"])
    )


async def absence(stage: Stage) -> None:
    """A device is off while others talk, renew keys and publish; then it reads it all."""
    with stage.narrator.step("absence", "a device that was away catches up") as step:
        away = stage[DESK_CC]
        code = await away.close()
        claim(code in (0, 130), f"{DESK_CC.name} goes off as it is told to end (exit code {code})")
        before = len(stage.entries(stage.community))
        epoch = (await stage.of_one_mind(DESK_CC))["epoch"]
        wanted = [f"indicator {number} of {MISSED}: 192.0.2.{number}" for number in range(1, MISSED + 1)]
        for number, text in enumerate(wanted):
            sender = stage[LIAISON_BB if number % 2 else DESK_AA]
            await sender.ask("message.send", to=COMMUNITY, text=text, tlp="green")
            if number in (6, 13):
                await stage[LIAISON_AA].ask("key.rotate", epochs=True, conversation=COMMUNITY)
        content = (DATA / SECOND_STIX).read_bytes()
        told = await stage[DESK_AA].ask(
            "bulletin.publish", to=COMMUNITY, content=base64.b64encode(content).decode(), tlp="amber"
        )
        now = (await stage.of_one_mind(DESK_CC))["epoch"]
        missed = len(stage.entries(stage.community)) - before
        step.tell(f"{DESK_CC.name} is off: {missed} entries pass, epoch {epoch} becomes {now}")
        began = time.monotonic()
        await away.open()
        shown = await stage.of_one_mind()
        read = await texts(stage, DESK_CC)
        took = time.monotonic() - began
        claim(
            [text for text in read if text in wanted] == wanted, f"all {MISSED} messages are there, once and in order"
        )
        received = await away.comes_to(
            "bulletin.show", lambda data: data["complete"], online=False, bulletin=told["bulletin"], what="the bulletin"
        )
        claim(base64.b64decode(received["content"]) == content, "the bulletin it missed is there as it was published")
        step.tell(
            f"on again: {MISSED} messages and a bulletin of {size(len(content))} read, epoch {shown['epoch']},"
            f" {span(took)} after its start",
            missed_entries=missed,
            messages=MISSED,
            epochs=now - epoch,
            caught_up_ms=milliseconds(took),
        )
        stage.narrator.sum_up("catch-up", f"{missed} entries over {now - epoch} epochs in {span(took)}, nothing lost")


async def texts(stage: Stage, role: Role, *, online: bool = True) -> list[str]:
    """What a device can read in the community: the texts of others and its own, the oldest first."""
    data = await stage[role].ask("message.read", online=online, conversation=stage.community, limit=1000, peek=True)
    events = [each for each in data["events"] if each["event"] == "message-received"]
    events.sort(key=lambda each: int(each["sequence"]))
    return [str(each["body"]) for each in events]


ACTS: Final[tuple[Callable[[Stage], Coroutine[Any, Any, None]], ...]] = (stix, csaf, tlp, direct, absence)
