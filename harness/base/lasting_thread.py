# SPDX-License-Identifier: GPL-2.0-only
"""A thread that ends only with the process, to start child processes in.

The kernel takes the end of the thread that forked a child for the end of the parent (prctl(2),
PR_SET_PDEATHSIG). Standard library only, as process.py.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


def in_lasting_thread(call: Callable[[], T]) -> T:
    """Return what `call` returns, called in a thread that ends only with this process.

    That is the main thread, when it calls; for all others one thread is kept for this.
    """
    if threading.current_thread() is threading.main_thread():
        return call()
    job = _Job(call)
    _starter().jobs.put(job)
    job.over.wait()
    if job.error:
        raise job.error
    result: T = job.result
    return result


@dataclass
class _Job:
    call: Callable[[], Any]
    result: Any = None
    error: BaseException | None = None
    over: threading.Event = field(default_factory=threading.Event)


class _Starter:
    """The thread that calls what in_lasting_thread() is given."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="starts-processes", daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self.jobs.get()
            try:
                job.result = job.call()
            except BaseException as error:  # raised where the job came from
                job.error = error
            job.over.set()


_starter_lock = threading.Lock()
_starters: list[_Starter] = []


def _starter() -> _Starter:
    with _starter_lock:
        if not _starters:
            _starters.append(_Starter())
        return _starters[0]


def _forget_starter() -> None:
    """A forked child has none of its parent's other threads."""
    global _starter_lock  # noqa: PLW0603 - it may have been held by one of those
    _starter_lock = threading.Lock()
    _starters.clear()


os.register_at_fork(after_in_child=_forget_starter)
