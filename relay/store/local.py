"""A store whose only writer is this process: what such stores have in common.

Each says what its writes do; which write is which, and the news of what has become durable, is here. While a batch is
applied its news are collected; they are told once it is durable, or forgotten with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import assert_never

from relay.store import base
from relay.store.base import Health, Result, Write
from relay.store.news import Hear, News, unheard


class LocalStore:
    """The part of a `Store` that is about other relays, where there are none."""

    def __init__(self) -> None:
        super().__init__()
        self._hear: Hear = unheard

    def listen(self, hear: Hear) -> None:
        """See `Store.listen`."""
        self._hear = hear

    def release(self, topic: bytes) -> None:
        """See `Store.release`: news are cheap here, of any topic."""

    def announce(self, who: bytes) -> None:
        """See `Store.announce`: there is no other relay to tell."""

    def retract(self, who: bytes) -> None:
        """See `Store.retract`: nobody was told."""

    async def settle(self) -> None:
        """See `Store.settle`: it was told before it was acknowledged."""

    def free(self) -> float:
        """See `Store.free`: of the disk, the relay looks itself."""
        return 1.0

    def health(self) -> Health:
        """See `Store.health`: what is wrong with a file, each write says."""
        return Health()

    def _tell(self, news: Sequence[News]) -> None:
        """They are durable."""
        for each in news:
            self._hear(each)


class LocalWrites(ABC):
    """What each write does, in one place after the other; and what there is to tell of it."""

    def __init__(self) -> None:
        super().__init__()
        self._news: list[News] = []

    def told(self) -> list[News]:
        """The news since they were last asked for: they are to be told now."""
        news, self._news = self._news, []
        return news

    def _apply(self, write: Write) -> Result:
        match write:
            case base.Append():
                return self._append(write)
            case base.NewTopic():
                return self._new_topic(write)
            case base.NewBox():
                return self._new_box(write)
            case base.Confirm():
                return self._confirm(write)
            case base.TrimTo():
                return self._trim(write)
            case base.DropTopic():
                return self._drop_topic(write)
            case base.PutPackages():
                return self._put_packages(write)
            case base.TakePackage():
                return self._take_package(write)
            case base.PutPart():
                return self._put_part(write)
            case base.DropUpload():
                return self._drop_upload(write)
            case base.Sweep():
                return self._sweep(write)
            case base.Charge():
                return self._charge(write)
            case _:
                assert_never(write)

    @abstractmethod
    def _append(self, w: base.Append) -> Result: ...

    @abstractmethod
    def _new_topic(self, w: base.NewTopic) -> Result: ...

    @abstractmethod
    def _new_box(self, w: base.NewBox) -> Result: ...

    @abstractmethod
    def _confirm(self, w: base.Confirm) -> Result: ...

    @abstractmethod
    def _trim(self, w: base.TrimTo) -> Result: ...

    @abstractmethod
    def _drop_topic(self, w: base.DropTopic) -> Result: ...

    @abstractmethod
    def _put_packages(self, w: base.PutPackages) -> Result: ...

    @abstractmethod
    def _take_package(self, w: base.TakePackage) -> Result: ...

    @abstractmethod
    def _put_part(self, w: base.PutPart) -> Result: ...

    @abstractmethod
    def _drop_upload(self, w: base.DropUpload) -> Result: ...

    @abstractmethod
    def _sweep(self, w: base.Sweep) -> Result: ...

    @abstractmethod
    def _charge(self, w: base.Charge) -> Result: ...
