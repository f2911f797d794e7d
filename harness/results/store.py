# SPDX-License-Identifier: GPL-2.0-only
"""Run folders: results/RUN/run.json, logs in a folder a cell, `results/latest`.

run.json is written when a run starts and when it ends, under another name first: a reader
sees a whole document. In between each finished cell is a file of its own in `.journal`, written
in the same way, which load_run() reads along: a run that is killed loses the cells in flight.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from harness.base import paths
from harness.base.errors import DiskFullError, UsageError
from harness.base.files import replacing, write_atomic
from harness.base.json_text import json_text
from harness.base.toml import unknown
from harness.results.records import SCHEMA, Cell, Run

RECORD = "run.json"
PATCH = "patch.json"  # the verdict, in the folder of a run of `s2eval patch`
SERIES_DIFF = "series.diff"  # what the series of such a run changes, as `git diff` has it
CORRUPT = "run.json.corrupt"
JOURNAL = ".journal"
LATEST = "latest"
NAME_LIMIT = 120  # characters of a file's name


class RunStore:
    """The folder of one run while it is written; a context manager that keeps others out of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    @classmethod
    def create(cls, plan: str, now: datetime, base: Path | None = None) -> RunStore:
        """Make a folder for a run of `plan` (a name or a path), to which the link `latest` points.

        Names sort by time: 20260117-101530-quickstart, and -2 for a second run in that second.
        Raise UsageError when the results folder cannot be written, DiskFullError without room.
        """
        base = base or paths.results_dir()
        name = f"{now:%Y%m%d-%H%M%S}-{_file_name(Path(plan).stem) or 'run'}"
        with _readable(base):
            base.mkdir(parents=True, exist_ok=True)
            folder = _make(base, name)
            _link(base / LATEST, folder.name)
        return cls(folder)

    def __enter__(self) -> RunStore:
        """Lock the run; worker processes inherit the lock. Raise UsageError if the run goes on."""
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise UsageError(f"run {self.folder.name} is still going on") from None
        return self

    @property
    def lock(self) -> int:
        """Return the lock's file descriptor: a process that gets a copy holds the lock as well.

        Raise AssertionError unless the store was entered.
        """
        if self._lock is None:
            raise AssertionError("a store that was not entered")
        return self._lock

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def cell_folder(self, cell: str, boot: int = 1) -> Path:
        """Make the folder for the logs of `cell`; that of a later `boot` lies in that of the first.

        Remove the logs of an earlier attempt at the cell, whose record was lost. Raise UsageError
        when the run's folder cannot be written, DiskFullError without room.
        """
        first = cell_path(self.folder, cell)
        with _readable(self.folder):
            if boot == 1 and first.is_dir():
                shutil.rmtree(first)
            folder = first if boot == 1 else first / str(boot)
            folder.mkdir(parents=True)
        return folder

    def add(self, cell: Cell) -> None:
        """Write the record of a finished cell into the journal.

        Raise DiskFullError without room for it, UsageError when the folder cannot be written.
        """
        name = hashlib.sha256(cell.name.encode()).hexdigest()[:20]
        with _readable(self.folder):
            (self.folder / JOURNAL).mkdir(exist_ok=True)
            text = json_text(cell, by_alias=True)
            write_atomic(self.folder / JOURNAL / f"{name}.json", text, durable=True)

    def write(self, run: Run) -> None:
        """Write run.json, whole or not at all, and remove the journal, whose cells `run` must have.

        Raise DiskFullError without room for it, UsageError when the folder cannot be written.
        """
        with _readable(self.folder):
            text = json_text(run, by_alias=True, indent=1)
            write_atomic(self.folder / RECORD, text, durable=True)
            shutil.rmtree(self.folder / JOURNAL, ignore_errors=True)

    def keep(self, name: str, document: BaseModel) -> None:
        """Write another document of the run, e.g. its plan.

        Raise DiskFullError without room for it, UsageError when the folder cannot be written.
        """
        with _readable(self.folder):
            text = json_text(document, by_alias=True, indent=1)
            write_atomic(self.folder / name, text, durable=True)


def cell_path(folder: Path, cell: str) -> Path:
    """Return where the logs of `cell` are in the folder of its run."""
    return folder / (_file_name(cell) or "cell")


def run_names(base: Path | None = None) -> list[str]:
    """Return the runs below `base` (default: the results folder) with a record, oldest first.

    Raise UsageError when `base` cannot be read.
    """
    base = base or paths.results_dir()
    with _readable(base):
        records = base.glob(f"*/{RECORD}") if base.is_dir() else iter(())
        names = {p.parent.name for p in records if not p.parent.is_symlink()}
        return sorted(names, key=_age)


def run_folder(name: str = LATEST, base: Path | None = None) -> Path:
    """Return the folder of run `name`: a run in the results folder, `latest`, or a path.

    Raise UsageError when there is no such run, or it cannot be read.
    """
    base = base or paths.results_dir()
    folder = Path(name) if os.sep in name else base / name
    folder = folder.parent if folder.name == RECORD else folder
    with _readable(folder):
        broken = name != LATEST and (folder / CORRUPT).is_file()
        if broken or (folder / RECORD).is_file():
            return folder.resolve()
        known = run_names(base)
        if name == LATEST and known:
            return (base / known[-1]).resolve()
    if not known:
        raise UsageError(f"no run in {base}: start one with 's2eval run PLAN'")
    if folder.is_dir():
        raise UsageError(f"{folder}: no {RECORD}: the run ended before its first cell")
    raise unknown("run", name, known)


def load_run(folder: Path) -> Run:
    """Return the record of a run; of a run that goes on or was killed, with its finished cells.

    Raise UsageError when the record is missing, broken or of another schema. A run.json that is
    no JSON at all, which nothing can read, is renamed to CORRUPT: the run is not listed again.
    """
    path = folder / RECORD
    aside = folder / CORRUPT
    set_aside = aside.is_file() and not path.exists()
    with _readable(path):
        journal = _journal(folder)  # first: the journal is removed once run.json has its cells
        data = (aside if set_aside else path).read_bytes()
    try:
        run = Run.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = f"{key}: {first['msg']}" if key else first["msg"]
        if first["type"] == "json_invalid" and not set_aside:
            with contextlib.suppress(OSError):
                path.replace(aside)
                set_aside = True
        moved = f" (moved aside: {CORRUPT})" if set_aside else ""
        raise UsageError(f"{path}: no record of schema {SCHEMA}: {problem}{moved}") from None
    if not run.run.interrupted:
        return run
    done = {cell.name: cell for cell in [*run.cells, *journal]}
    return run.model_copy(update={"cells": list(done.values())})


def _journal(folder: Path) -> list[Cell]:
    """Return the cells that were recorded since run.json was written, oldest first."""
    dated = []
    for path in (folder / JOURNAL).glob("*.json"):
        with contextlib.suppress(ValidationError, FileNotFoundError):  # just now put into run.json
            cell = Cell.model_validate_json(path.read_bytes())
            dated.append((path.stat().st_mtime_ns, cell))
    return [cell for _, cell in sorted(dated, key=lambda pair: pair[0])]


def _file_name(text: str) -> str:
    """Return `text` as the name of a file; a long name ends in a hash, to be unlike any other."""
    name = re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip("._")
    if len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{name[: NAME_LIMIT - 9]}-{digest}"


def _age(name: str) -> tuple[str, int]:
    """Return a key that sorts names of runs by age: -10 is younger than -2."""
    head, _, count = name.rpartition("-")
    return (head, int(count)) if count.isdigit() and head.count("-") > 1 else (name, 1)


def _make(base: Path, name: str) -> Path:
    """Make and return a new folder `name` in `base`, or `name`-2, -3, …"""
    folder, count = base / name, 1
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            count += 1
            folder = base / f"{name}-{count}"
        else:
            return folder


def _link(link: Path, target: str) -> None:
    """Let `link` point to `target` from one moment to the next."""
    # A file system without links, or a real folder of that name: run_folder() copes.
    with contextlib.suppress(OSError), replacing(link) as unfinished:
        unfinished.symlink_to(target)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise errors of the file system as one line that names the file and the way out."""
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        file = error.filename or path
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"{file}: {error.strerror}: free some space") from None
        hint = "set S2EVAL_RESULTS to a folder you can read and write"
        raise UsageError(f"{file}: {error.strerror or error}: {hint}") from None
