# SPDX-License-Identifier: GPL-2.0-only
"""Runs on disk into the history: all of them, or those that it lacks."""

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
    """Takes runs in, in the caller's transaction; `say` is told what cannot be read.

    `own`: the history is that of one results folder, and knows which state of a run it has. In one
    that several machines share, a run of any name that is there was stored when it ended.
    """

    def __init__(self, connection: Connection, say: Callable[[str], object], *, own: bool) -> None:
        self._connection, self._say, self._own = connection, say, own
        self._recorder = Recorder(connection)

    def store(self, run: Run, folder: Path) -> None:
        """Store `run`, whose folder is `folder`; again, when it has gone on since."""
        self._store(run, folder, _mark(folder))

    def everything(self, base: Path) -> int:
        """Store every run below `base`; how many there are."""
        return sum(self._take(base / name) for name in run_names(base))

    def missing(self, base: Path) -> list[Path]:
        """Return the runs below `base` to be stored, oldest first; not those that still go on."""
        if self._own:
            rows = self._connection.execute(select(FOLDERS.c.name, FOLDERS.c.mark))
            known = {row.name: row.mark for row in rows}
            found = [base / n for n in run_names(base) if known.get(n) != _mark(base / n)]
        else:
            stored = set(self._connection.execute(select(RUNS.c.name)).scalars())
            found = [base / name for name in run_names(base) if name not in stored]
        return [folder for folder in found if _has_ended(folder)]

    def catch_up(self, base: Path) -> int:
        """Store what is missing; how many runs that were."""
        return sum(self._take(folder) for folder in self.missing(base))

    def _take(self, folder: Path) -> bool:
        mark = _mark(folder)  # first: what changes meanwhile is seen the next time
        try:
            self._store(load_run(folder), folder, mark)
        except S2EvalError as error:
            self._say(f"left out: {error}")
            self._note(folder, mark)  # and is not named again as long as it stays as it is
            return False
        return True

    def _store(self, run: Run, folder: Path, mark: str) -> None:
        self._recorder.store(run, folder, self._node(run))
        self._note(folder, mark)

    def _node(self, run: Run) -> str:
        """The host of a run; the first that stored it, where hosts share a results folder."""
        mine = platform.node()
        if not self._own:
            return mine
        same = select(RUNS.c.node).where(RUNS.c.name == run.run.id)
        return str(self._connection.execute(same).scalar() or mine)

    def _note(self, folder: Path, mark: str) -> None:
        if self._own:
            name = folder.name
            self._connection.execute(delete(FOLDERS).where(FOLDERS.c.name == name))
            self._connection.execute(insert(FOLDERS).values(name=name, mark=mark))


def _mark(folder: Path) -> str:
    """Another one when the record of a run, or its journal, is another."""
    found = []
    for name in (RECORD, JOURNAL):
        with contextlib.suppress(OSError):
            seen = (folder / name).stat()
            found.append(f"{name} {seen.st_mtime_ns} {seen.st_size}")
    return ", ".join(found)


def _has_ended(folder: Path) -> bool:
    with contextlib.suppress(OSError), try_lock_folder(folder) as free:
        return free
    return False  # removed just now
