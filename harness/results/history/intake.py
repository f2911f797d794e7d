# SPDX-License-Identifier: GPL-2.0-only
"""Stores runs on disk into the history: all of them, or those that the history lacks."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from harness.base.errors import S2EvalError
from harness.base.locks import try_lock_folder
from harness.results.history.record import Recorder
from harness.results.history.schema import FOLDERS, RUNS
from harness.results.records import Run
from harness.results.store import JOURNAL, RECORD, load_run, run_names


class Intake:
    """Stores runs in the caller's transaction; `say` gets a line for each run that cannot be read.

    `own`: the history is that of one results folder, and knows which state of a run it has. In a
    history that several machines share, a run was stored when it ended: its name is enough.
    """

    def __init__(self, connection: Connection, say: Callable[[str], object], *, own: bool) -> None:
        self._connection, self._say, self._own = connection, say, own
        self._recorder = Recorder(connection)

    def store(self, run: Run, folder: Path) -> None:
        """Store `run`, whose folder is `folder`, in place of what was stored of it before."""
        self._store(run, folder, _mark(folder))

    def everything(self, base: Path) -> int:
        """Store every run below `base`; return how many were stored."""
        return sum(self._take(base / name) for name in run_names(base))

    def missing(self, base: Path) -> list[Path]:
        """Return the runs below `base` to be stored, oldest first; no run that still goes on."""
        if self._own:
            rows = self._connection.execute(select(FOLDERS.c.name, FOLDERS.c.mark))
            known = {row.name: row.mark for row in rows}
            folders = [base / n for n in run_names(base) if known.get(n) != _mark(base / n)]
        else:
            stored = set(self._connection.execute(select(RUNS.c.name)).scalars())
            folders = [base / name for name in run_names(base) if name not in stored]
        return [folder for folder in folders if _has_ended(folder)]

    def catch_up(self, base: Path) -> int:
        """Store the runs that are missing; return how many were stored."""
        return sum(self._take(folder) for folder in self.missing(base))

    def _take(self, folder: Path) -> bool:
        mark = _mark(folder)  # first: a change during the read gives another mark next time
        try:
            self._store(load_run(folder), folder, mark)
        except S2EvalError as error:
            self._say(f"left out: {error}")
            self._note(folder, mark)  # so that `say` does not name it again while it is the same
            return False
        return True

    def _store(self, run: Run, folder: Path, mark: str) -> None:
        self._recorder.store(run, folder, self._node(run))
        self._note(folder, mark)

    def _node(self, run: Run) -> str:
        """Return the host of a run: of hosts that share a results folder the first to store it."""
        this_host = platform.node()
        if not self._own:
            return this_host
        same = select(RUNS.c.node).where(RUNS.c.name == run.run.id)
        return str(self._connection.execute(same).scalar() or this_host)

    def _note(self, folder: Path, mark: str) -> None:
        if self._own:
            name = folder.name
            self._connection.execute(delete(FOLDERS).where(FOLDERS.c.name == name))
            self._connection.execute(insert(FOLDERS).values(name=name, mark=mark))


def _mark(folder: Path) -> str:
    """Return a text that changes when the record of a run or its journal changes."""
    states = []
    for name in (RECORD, JOURNAL):
        with contextlib.suppress(OSError):
            status = (folder / name).stat()
            states.append(f"{name} {status.st_mtime_ns} {status.st_size}")
    return ", ".join(states)


def _has_ended(folder: Path) -> bool:
    with contextlib.suppress(OSError), try_lock_folder(folder) as free:
        return free
    return False  # removed just now
