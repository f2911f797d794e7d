# SPDX-License-Identifier: GPL-2.0-only
"""The signals that end s2eval: once, and not in the middle of what must be done whole."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from dataclasses import dataclass, field

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = 0.01  # seconds


@dataclass
class _State:
    holding: int = 0  # blocks of signals_held() that the main thread is in
    came: bool = False  # a signal that waits for their end
    ours: list[signal.Signals] = field(default_factory=list)  # that are not ignored, as by nohup


_state = _State()


def end_in_good_order() -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt from now on, once.

    A process that was forked within signals_held() is not within it any more.
    """
    came, _state.holding, _state.came = _state.came, 0, False
    _state.ours = [n for n in ENDING if signal.getsignal(n) is not signal.SIG_IGN]
    sys.unraisablehook = _raise_again
    for number in _state.ours:
        signal.signal(number, _interrupt)
    if came:
        raise KeyboardInterrupt


def _interrupt(_signal: int, _frame: types.FrameType | None) -> None:
    """Raise KeyboardInterrupt for the first signal; ignore others while the command ends."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    if _state.holding:
        _state.came = True
        return
    raise KeyboardInterrupt


def _raise_again(lost: sys.UnraisableHookArgs) -> None:
    """Send the signal again whose KeyboardInterrupt Python has lost, e.g. in a destructor."""
    if not isinstance(lost.exc_value, KeyboardInterrupt) or not _state.ours:
        sys.__unraisablehook__(lost)
        return
    for number in _state.ours:
        signal.signal(number, _interrupt)
    # From another thread, when that place has been left.
    threading.Timer(AGAIN, os.kill, (os.getpid(), _state.ours[0])).start()


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Hold ending signals back in a block, which they do not cut in two: they come at its end.

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
