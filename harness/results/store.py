# SPDX-License-Identifier: GPL-2.0-only
"""Run folders: results/RUN/run.json, logs in a folder a cell, `results/latest`.

run.json is written anew as each cell finishes, under another name first: who reads it sees a
whole document, and a run that is killed loses the cell in flight at most.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from harness import home
from harness.errors import MachineError, UsageError
from harness.names import unknown
from harness.results.records import SCHEMA, Run

RECORD = "run.json"
LATEST = "latest"


class RunStore:
    """The folder of one run while it is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, plan: str, now: datetime, base: Path | None = None) -> RunStore:
        """A new folder for a run of `plan` (a name or a path) and the link `latest` to it.

        Names sort by time: 20260117-101530-quickstart, and -2 for a second one in that second.
        UsageError when the results folder cannot be written.
        """
        base = base or home.results_dir()
        name = f"{now:%Y%m%d-%H%M%S}-{_word(Path(plan).stem) or 'run'}"
        with _readable(base):
            base.mkdir(parents=True, exist_ok=True)
            folder = _make(base, name)
            _link(base / LATEST, folder.name)
        return cls(folder)

    def cell_folder(self, cell: str) -> Path:
        """A new folder for the logs of `cell`."""
        with _readable(self.folder):
            return _make(self.folder, cell_path(self.folder, cell).name)

    def write(self, run: Run) -> None:
        """Write run.json, whole or not at all."""
        target = self.folder / RECORD
        part = target.with_suffix(".part")
        with _readable(self.folder):
            try:
                part.write_text(run.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
                part.replace(target)
            except BaseException:
                with contextlib.suppress(OSError):
                    part.unlink()
                raise


def cell_path(folder: Path, cell: str) -> Path:
    """Where the logs of `cell` are in the folder of its run."""
    return folder / (_word(cell) or "cell")


def run_names(base: Path | None = None) -> list[str]:
    """The runs below `base` (default: the results folder) that have a record, oldest first."""
    base = base or home.results_dir()
    with _readable(base):
        found = base.glob(f"*/{RECORD}") if base.is_dir() else iter(())
        return sorted({p.parent.name for p in found if not p.parent.is_symlink()}, key=_age)


def run_folder(name: str = LATEST, base: Path | None = None) -> Path:
    """The folder of run `name`: a name in the results folder, `latest`, or a path.

    UsageError when there is none.
    """
    base = base or home.results_dir()
    folder = Path(name) if os.sep in name else base / name
    folder = folder.parent if folder.name == RECORD else folder
    with _readable(folder):
        if (folder / RECORD).is_file():
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
    """The record of a run; UsageError when it is missing, broken or of another schema."""
    path = folder / RECORD
    with _readable(path):
        data = path.read_bytes()
    try:
        return Run.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(key) for key in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise UsageError(f"{path}: no record of schema {SCHEMA}: {what}") from None


def _word(text: str) -> str:
    """`text` as the name of a file."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip("._")[:120]


def _age(name: str) -> tuple[str, int]:
    """-10 is younger than -2."""
    head, _, count = name.rpartition("-")
    return (head, int(count)) if count.isdigit() and head.count("-") > 1 else (name, 1)


def _make(base: Path, name: str) -> Path:
    """A new folder `name` in `base`, or `name`-2, -3, …"""
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
    part = link.with_name(f".{link.name}-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    try:
        part.symlink_to(target)
        part.replace(link)
    except OSError:
        # A file system without links, or a real folder of that name: run_folder() copes.
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Errors of the file system as one line that names the file and the way out."""
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        named = error.filename or path
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(f"{named}: {error.strerror}: free some space") from None
        hint = "set S2EVAL_RESULTS to a folder you can read and write"
        raise UsageError(f"{named}: {error.strerror or error}: {hint}") from None
