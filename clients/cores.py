"""The cores of this machine, lent to work that can use them all: a newcomer checks every member's signature."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def on_all_cores(act: Callable[[T], None], items: Sequence[T], /) -> Iterable[None]:
    """As `map`, on as many threads as there are cores; the first item that fails raises. Threads do for work that is
    done in OpenSSL, which lets other threads run meanwhile; they live no longer than the call."""
    workers = min(os.cpu_count() or 1, len(items))
    if workers < 2:
        return list(map(act, items))
    with ThreadPoolExecutor(workers, thread_name_prefix="cores") as pool:
        return list(pool.map(act, items))
