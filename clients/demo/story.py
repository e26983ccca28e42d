"""The whole story: acts in their order, a table at the end, and everything ended and cleared away in every case."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from clients.demo import enrolling, founding, losing, renewing, talking
from clients.demo.cast import AGENCIES, OFFICERS
from clients.demo.narrator import Broken, DemoFailed, Narrator, Say, span
from clients.demo.stage import Stage
from clients.render import size
from securechan.errors import Conflict, NotReady, SecurechanError

ACTS: Final[tuple[Callable[[Stage], Coroutine[Any, Any, None]], ...]] = (
    *founding.ACTS,
    *enrolling.ACTS,
    *talking.ACTS,
    *renewing.ACTS,
    *losing.ACTS,
)


async def play(keep: Path | None, say: Say) -> dict[str, Any]:
    """Play it all; the object for scripts. ``keep``: a folder of the user's in which everything stays.

    Raises DemoFailed, naming the step and where the logs are; then the folder stays too.
    """
    folder = _folder(keep)
    narrator = Narrator(say)
    stage = Stage(folder, narrator)
    stays = keep is not None
    before = asyncio.all_tasks()
    say(f"a relay, {len(AGENCIES)} agencies, {len(OFFICERS)} devices: real processes on the loopback, in {folder}")
    try:
        with _ended_by_signals():
            await _acts(stage)
        _last(stage)
    except Exception as e:
        stays = True
        raise _failed(stage, e) from e
    finally:
        ending = asyncio.create_task(_end(stage, asyncio.all_tasks() - before))
        with contextlib.suppress(asyncio.CancelledError):  # whoever is impatient now has been heard already
            await asyncio.shield(ending)
        await ending
        if not stays:
            shutil.rmtree(folder)
    return {
        "steps": [step.json() for step in narrator.steps],
        "summary": dict(narrator.rows),
        "seconds": round(narrator.seconds, 3),
        "folder": str(folder) if stays else None,
    }


async def _acts(stage: Stage) -> None:
    for act in ACTS:
        await act(stage)


def _last(stage: Stage) -> None:
    narrator = stage.narrator
    vaults = sum(stage.disk(desk.folder) for desk in stage.desks.values())
    narrator.sum_up("relay", f"{stage.stored()} entries stored, {size(stage.disk(stage.relay_home))} on disk")
    narrator.sum_up("devices", f"{len(stage.desks)} vaults, {size(vaults)} on disk")
    narrator.sum_up("all", f"{len(narrator.steps)} steps in {span(narrator.seconds)}")


async def _end(stage: Stage, tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End whatever an act has begun: its tasks, every process, and threads that still write into the folder."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await stage.children.end_all()
    await asyncio.get_running_loop().shutdown_default_executor()


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="securechan-demo-"))
    folder = keep.expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Conflict(f"{folder} is not empty", hint="name a folder that is empty, or one that is not there yet")
        folder.chmod(0o700)
    except OSError as e:
        raise NotReady(f"no folder at {folder}: {e.strerror}", hint="name another: --keep DIR", code="no-folder") from e
    return folder


def _failed(stage: Stage, error: BaseException) -> DemoFailed:
    known = isinstance(error, SecurechanError | Broken)
    told = str(error) if known else f"{type(error).__name__}: {error}"
    return DemoFailed(
        f"the demonstration failed at step {len(stage.narrator.steps)}, {stage.narrator.at}: {told}",
        hint=f"what each process said is in {stage.folder / 'logs'}",
    )


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the story as Ctrl-C does: with everything cleared away."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGHUP)
    if task is None:
        yield
        return
    for number in caught:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
