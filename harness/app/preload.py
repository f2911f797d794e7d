# SPDX-License-Identifier: GPL-2.0-only
"""Imports in the time in which a guest boots, and nothing else is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from harness.evaluate.events import Event, GuestStarted, Listener


def preloading(modules: Sequence[str]) -> Listener:
    """Return a listener that imports `modules`, which take a moment, when a guest has started."""

    def listen(event: Event) -> None:
        if isinstance(event, GuestStarted):
            for name in modules:
                import_module(name)

    return listen
