# SPDX-License-Identifier: GPL-2.0-only
"""The signals that end s2eval: once, and not in the middle of what must be done whole."""

from __future__ import annotations

import contextlib
import signal
import threading
import types
from collections.abc import Iterator
from dataclasses import dataclass

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class _State:
    holding: int = 0  # blocks of held() that the main thread is in
    came: bool = False  # a signal that waits for their end


_state = _State()


def end_in_good_order() -> None:
    """From now on Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt, once."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, a job of a script
            signal.signal(number, _interrupt)


def _interrupt(_signal: int, _frame: types.FrameType | None) -> None:
    """The first signal ends the command, which a second one must not disturb."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    if _state.holding:
        _state.came = True
        return
    raise KeyboardInterrupt


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A block that an ending signal does not cut in two: it comes at its end.

    For the moments in which something exists that nobody would know of: a process just started.
    """
    if threading.current_thread() is not threading.main_thread():  # signals come to that one only
        yield
        return
    _state.holding += 1
    try:
        yield
    finally:
        _state.holding -= 1
        if _state.came and not _state.holding:
            _state.came = False
            raise KeyboardInterrupt
