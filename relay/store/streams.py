"""The streams that relays share: made where they are not there, and judged where they are.

    ready(link, name, config) ─┬ there, with a leader ─▶ misfit? ─▶ its state, or NotReady with what mends it
                               └ else ─▶ made, waited for

A stream belongs to whoever runs the cluster, and may be changed by hand at any time. Some changes are harmless (a
bound, where replicas are). Others would lose what was acknowledged, and no write would say so: a relay that finds one
does not begin, and one that runs tells that it is not ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from relay.store.base import StoreFailed
from relay.store.jetstream import NO_STREAM, PAYLOAD, ApiError, Link, Unsure
from securechan.errors import NotReady

NO_PEERS: Final = frozenset({10005, 10074})
NOT_ENABLED: Final = frozenset({10076, 10039})
_PAUSE: Final = 0.1  # seconds between two looks

Config = Mapping[str, Any]
_Fits = Callable[[Any, Any], bool]


def _same(there: Any, wanted: Any) -> bool:
    return bool(there == wanted)


def _without(there: Any, _: Any) -> bool:
    return not there


def _at_least(there: Any, wanted: Any) -> bool:
    return bool(there or not wanted)


_RULES: Final[tuple[tuple[str, Any, _Fits, str, str], ...]] = (
    # the setting, its default, what fits, what is wrong otherwise, how to mend it (NAME, WANTED are put in)
    ("num_replicas", 1, _same, "has THERE replicas, not WANTED", "EDIT --replicas WANTED, or set [nats] replicas"),
    ("allow_direct", False, _at_least, "lacks allow_direct", "EDIT --allow-direct"),
    ("allow_msg_ttl", False, _at_least, "lacks allow_msg_ttl", "EDIT --allow-msg-ttl"),
    ("allow_rollup_hdrs", False, _at_least, "lacks allow_rollup_hdrs", "EDIT --allow-rollup"),
    (
        "max_age",
        0,
        _without,
        "forgets messages by age, and with them the last commit of a quiet group",
        "EDIT --max-age=0: the relay trims by itself",
    ),
    ("discard", "old", _same, "forgets its oldest messages when it is full", "EDIT --discard=new"),
    ("max_msgs", -1, lambda there, _: there <= 0, "holds THERE messages and no more", "EDIT --max-msgs=-1"),
    (
        "max_msgs_per_subject",
        -1,
        lambda there, wanted: max(there, 0) == max(wanted, 0),
        "holds THERE messages of a subject, not WANTED",
        "EDIT --max-msgs-per-subject=WANTED",
    ),
    (
        "max_msg_size",
        -1,
        lambda there, _: there <= 0 or there >= PAYLOAD,
        "takes messages of THERE bytes, and an entry may have 2 MiB",
        "EDIT --max-msg-size=-1",
    ),
    ("no_ack", False, _without, "acknowledges nothing", "EDIT --ack"),
    ("sealed", False, _without, "is sealed, and takes nothing any more", "restore it from: nats stream backup NAME"),
    ("deny_purge", False, _without, "never gives back room", "restore it without deny_purge: nats stream backup NAME"),
    ("storage", "file", _same, "is kept in memory", "make it anew, with file storage: nats stream backup NAME"),
    ("retention", "limits", _same, "forgets what was read (THERE)", "make it anew: nats stream backup NAME"),
    ("persist_mode", "default", lambda there, _: there != "async", "acknowledges what is not written", "make it anew"),
    ("subject_transform", None, _without, "changes subjects", "EDIT --no-transform"),
    ("mirror", None, _without, "is a mirror of another one", "set another [nats] prefix"),
    ("sources", None, _without, "takes in what others hold", "EDIT, and take its sources away"),
)


def misfit(name: str, there: Config, wanted: Config) -> NotReady | None:
    """What a relay can't do with about a stream; None where there is nothing."""
    if set(there.get("subjects") or ()) != set(wanted["subjects"]):
        subjects = " ".join(f'--subjects="{subject}"' for subject in wanted["subjects"])
        return NotReady(f"the stream {name} has other subjects", hint=f"nats stream edit {name} {subjects}")
    for key, default, fits, wrong, hint in _RULES:
        is_, should = there.get(key, default), wanted.get(key, default)
        if not fits(is_, should):
            said = {"THERE": str(is_), "WANTED": str(should), "NAME": name, "EDIT": f"nats stream edit {name}"}
            return NotReady(f"the stream {name} {_with(wrong, said)}", hint=_with(hint, said))
    return None


def _with(text: str, said: Mapping[str, str]) -> str:
    for word, what in said.items():
        text = text.replace(word, what)
    return text


async def ready(link: Link, name: str, config: Config, patience: float = 20.0) -> dict[str, Any]:
    """See to it that a stream is there, and has a leader; its state. Raises `NotReady`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    why = ""
    while loop.time() < until:
        try:
            info: dict[str, Any] = await link.api(f"STREAM.INFO.{name}")
            if "leader" in info.get("cluster", {"leader": ""}):
                wrong = misfit(name, info["config"], config)
                if wrong is not None:
                    raise wrong
                return info
            why = "it has no leader"
        except ApiError as error:
            why = str(error)
            if error.code == NO_STREAM:
                why = await _make(link, name, config) or why
            elif error.code in NOT_ENABLED:
                raise NotReady(
                    "JetStream is not enabled for this account",
                    hint="add a jetstream { store_dir: … } block to every server, and enable it for the account",
                ) from None
        except (Unsure, StoreFailed) as error:
            why = str(error)
        await asyncio.sleep(_PAUSE)
    raise NotReady(f"the stream {name} is not available: {why}", hint="check the cluster with: nats stream report")


async def _make(link: Link, name: str, config: Config) -> str:
    """Make it; why that did not work."""
    try:
        await link.api(f"STREAM.CREATE.{name}", {**config, "name": name}, patience=10.0)
    except ApiError as error:
        if error.code in NO_PEERS and config["num_replicas"] > 1:
            return f"{error}: {config['num_replicas']} servers with JetStream are needed, or fewer [nats] replicas"
        return str(error)
    except (Unsure, StoreFailed) as error:  # it may have been made all the same
        return str(error)
    return ""
