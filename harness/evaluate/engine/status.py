# SPDX-License-Identifier: GPL-2.0-only
"""results/RUN/status.json: how far a run is, for whoever watches from outside (docs/plans.md)."""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.base.files import write_atomic
from harness.base.json_text import json_text
from harness.evaluate.events import Event
from harness.evaluate.progress import Snapshot
from harness.results.records import Status

FILE = "status.json"
State = Literal["running", "finished", "stopped", "interrupted"]


class RunningCell(BaseModel):
    """A cell in flight; seconds since it and its phase began, `expected` as it took last time."""

    cell: str
    phase: str
    seconds: float
    phase_seconds: float
    expected: float | None


class RunStatus(BaseModel):
    """The whole of status.json. `left` is a guess of the seconds to go; `counts` by status."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["s2eval-status-1"] = Field(default="s2eval-status-1", alias="schema")
    run: str
    plan: str
    pid: int
    state: State
    updated: str  # ISO 8601, UTC
    seconds: float
    left: float | None
    total: int
    done: int
    counts: dict[Status, int]
    running: list[RunningCell]


class StatusFile:
    """A View that writes status.json; without room for it, it goes without."""

    def __init__(self, folder: Path, plan: str, *, before: float) -> None:
        """`before`: seconds that the run took before it was taken up again."""
        self._folder, self._plan, self._before = folder, plan, before
        self._lock = threading.Lock()
        self._last = Snapshot()
        self._ended = False

    def start(self, look: Callable[[], Snapshot]) -> None:
        """Write the run before its first cell."""
        self.tick(look())

    def event(self, _event: Event, now: Snapshot) -> None:
        """Write the run after an event."""
        self.tick(now)

    def tick(self, now: Snapshot) -> None:
        """Write the run as it is now."""
        self._last = now
        self._put("running")

    def stop(self) -> None:
        """See View: end() has the last word."""

    def end(self, state: State) -> None:
        """Write how the run ended; nothing is written afterwards."""
        self._last.running, self._last.left = [], None
        self._put(state)

    def _put(self, state: State) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = state != "running"
            text = json_text(self._status(state), indent=1, by_alias=True)
            with contextlib.suppress(OSError):
                write_atomic(self._folder / FILE, text)

    def _status(self, state: State) -> RunStatus:
        seen = self._last
        now = datetime.datetime.now(datetime.UTC)
        return RunStatus(
            run=self._folder.name,
            plan=self._plan,
            pid=os.getpid(),
            state=state,
            updated=now.isoformat(timespec="seconds"),
            seconds=round(self._before + seen.seconds, 1),
            left=None if seen.left is None else round(seen.left, 1),
            total=seen.total,
            done=seen.done,
            counts=seen.counts,
            running=[
                RunningCell(
                    cell=one.cell,
                    phase=one.phase,
                    seconds=round(one.seconds, 1),
                    phase_seconds=round(one.phase_seconds, 1),
                    expected=one.expected,
                )
                for one in seen.running
            ],
        )


def seconds_of(folder: Path) -> float:
    """Return how long a run went on that could not say so itself; 0.0 where nothing tells."""
    with contextlib.suppress(OSError, ValueError):
        return RunStatus.model_validate_json((folder / FILE).read_bytes()).seconds
    return 0.0
