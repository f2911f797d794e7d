# SPDX-License-Identifier: GPL-2.0-only
"""Housekeeping: what runs and caches take, what of it goes, and a plan's retention.

Nothing that is in use goes: a run holds a lock on its folder, and every process that has asked
for the cache shares one on that (harness/base/locks.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.base import paths, scratch
from harness.base.deadline import Deadline
from harness.base.locks import try_alone, try_lock_folder
from harness.base.process import run_quiet
from harness.results import logs
from harness.results.history.recording import before_removal
from harness.results.store import LATEST, RECORD

RESULTS = "results"
BUILDS = "builds"
SOURCES = "sources"
GONE = ".removed-"
RUN = re.compile(r"(\d{8}-\d{6})-.")
DAY = 24 * 3600.0
DU_SECONDS = 600.0  # for some 100 GB in small files


@dataclass(frozen=True)
class DiskItem:
    """A run, or a thing in the cache. `used` is seconds since 1970, `size` bytes on disk.

    `what` says what it is where the name does not, `tree` which source a build is of.
    """

    kind: str
    path: Path
    used: float
    size: int = 0
    what: str = ""
    tree: str = ""


@dataclass(frozen=True)
class RemovalRules:
    """What is to go.

    `builds` and `cache` name kinds, `keep_runs` all runs but the newest; without any of the three
    it is everything. Of those, `older_than` (seconds since the last use) spares the younger ones.
    """

    older_than: float | None = None
    keep_runs: int | None = None
    builds: bool = False
    cache: bool = False

    def __bool__(self) -> bool:
        return self.older_than is not None or self.keep_runs is not None or self.named

    @property
    def named(self) -> bool:
        """Whether kinds of things in the cache are named."""
        return self.builds or self.cache


def runs(base: Path | None = None) -> list[DiskItem]:
    """Return the runs on disk, oldest first, with those that ended before their first record."""
    base = base or paths.results_dir()
    folders = base.iterdir() if base.is_dir() else iter(())
    items = [
        DiskItem(RESULTS, path, _started(path))
        for path in folders
        if path.is_dir() and not path.is_symlink() and _is_run(path)
    ]
    return sorted(items, key=lambda item: (item.used, item.path.name))


def _is_run(path: Path) -> bool:
    return bool(RUN.match(path.name)) or path.name.startswith(GONE) or (path / RECORD).exists()


def _started(path: Path) -> float:
    """When a run started, by its name; a folder of another name counts from its last change."""
    if stamp := RUN.match(path.name):
        with contextlib.suppress(ValueError):
            return datetime.strptime(stamp[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    return 0.0 if path.name.startswith(GONE) else path.stat().st_mtime


def cached() -> list[DiskItem]:
    """Return what is in the cache, by kind, but for locks, which take no room.

    Modules for a build are made with the headers of its source: that was used when the build was.
    """
    kinds = sorted(path for path in paths.cache_dir().iterdir() if path.is_dir())
    items = [
        _item(kind.name, path)
        for kind in kinds
        for path in sorted(kind.iterdir())
        if not path.name.endswith("lock")
    ]
    of_builds: dict[str, float] = {}
    for item in items:
        of_builds[item.tree] = max(item.used, of_builds.get(item.tree, 0.0))
    return [
        replace(item, used=max(item.used, of_builds.get(item.path.name, 0.0)))
        if item.kind == SOURCES
        else item
        for item in items
    ]


def _item(kind: str, path: Path) -> DiskItem:
    what = tree = ""
    if kind == BUILDS:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            build = json.loads((path / "build.json").read_bytes())
            what, tree = str(build["record"]["name"]), str(build["inputs"]["tree"])
    # Builds are touched when they are used; build.json was read here, for this list.
    return DiskItem(kind, path, _used(path, read=kind != BUILDS), what=what, tree=tree)


def _used(path: Path, *, read: bool) -> float:
    """When something was last written, or `read`, as far as its first level tells."""
    if path.name.startswith(GONE):
        return 0.0
    times = [0.0]
    for file in (path, *(path.iterdir() if path.is_dir() else ())):
        with contextlib.suppress(FileNotFoundError):
            status = file.lstat()
            # Looking into a folder counts as reading it, so that says nothing.
            is_file = read and stat.S_ISREG(status.st_mode)
            times.append(max(status.st_mtime, status.st_atime if is_file else 0.0))
    return max(times)


def measure(items: Iterable[DiskItem]) -> list[DiskItem]:
    """Return the items with their sizes."""
    known = list(items)
    sizes = disk_usage(item.path for item in known)
    return [replace(item, size=sizes.get(item.path, 0)) for item in known]


def disk_usage(paths: Iterable[Path]) -> dict[Path, int]:
    """Return the bytes on disk of each path, 0 for what other processes remove meanwhile.

    Raise MachineError when du(1) is missing or hangs.
    """
    named = b"".join(os.fsencode(path) + b"\0" for path in paths)
    if not named:
        return {}
    # Its exit status says only that files vanished meanwhile.
    command = ["du", "-sk0", "--files0-from=-"]
    deadline = Deadline(DU_SECONDS)
    done = run_quiet(command, deadline, stdin=named, writes=False, undecodable="surrogateescape")
    rows = [row.partition("\t") for row in done.stdout.split("\0") if row]
    return {Path(path): int(kib) * 1024 for kib, _, path in rows}


def select(items: Iterable[DiskItem], wanted: RemovalRules, now: float) -> list[DiskItem]:
    """Return those of `items` that the rules remove, the longest unused first."""
    if not wanted:
        return []
    everything = wanted.keep_runs is None and not wanted.named
    ordered = sorted(items, key=lambda item: (item.used, item.path.name))
    newest_first = [item for item in ordered if item.kind == RESULTS][::-1]
    spared = {item.path for item in newest_first[: wanted.keep_runs or 0]}

    def goes(item: DiskItem) -> bool:
        if item.path in spared:
            return False
        if wanted.older_than is not None and now - item.used <= wanted.older_than:
            return False
        if item.kind == RESULTS:
            return everything or wanted.keep_runs is not None
        return everything or wanted.cache or (wanted.builds and item.kind == BUILDS)

    return [item for item in ordered if goes(item)]


@dataclass(frozen=True)
class NotRemoved:
    """What was not removed, and why."""

    path: Path
    why: str


def remove(
    items: Iterable[DiskItem], say: Callable[[str], object] = lambda _: None
) -> tuple[list[DiskItem], list[NotRemoved]]:
    """Remove those of `items` that are not in use; return what was removed and what was not.

    A run goes only when the history has what it is to keep of it; `say` gets the history's
    warnings, a line each.
    """
    chosen = list(items)
    gone: list[DiskItem] = []
    left: list[NotRemoved] = []
    runs_to_remove = [run for run in chosen if run.kind == RESULTS]
    recorded = {run.path for run in runs_to_remove if (run.path / RECORD).is_file()}
    unstored = before_removal(runs_to_remove[0].path.parent, say) if recorded else ""
    for item in runs_to_remove:
        why = unstored if item.path in recorded else ""
        with contextlib.suppress(FileNotFoundError), try_lock_folder(item.path) as free:
            _try(item, why if free else "the run is still going on", gone, left)
    in_cache = [item for item in chosen if item.kind != RESULTS]
    in_cache.sort(key=lambda item: item.kind == SOURCES)  # no build is left without its source
    if in_cache:
        with try_alone(paths.cache_dir()) as free:
            why = "" if free else "the cache is in use by another s2eval"
            for item in in_cache:
                _try(item, why, gone, left)
    latest = paths.results_dir() / LATEST
    if latest.is_symlink() and not latest.exists():
        latest.unlink()
    return gone, left


def _try(item: DiskItem, why: str, gone: list[DiskItem], left: list[NotRemoved]) -> None:
    if not why:
        try:
            _remove(item.path)
        except OSError as error:
            why = error.strerror or str(error)
    if why:
        left.append(NotRemoved(item.path, why))
    else:
        gone.append(item)


def _remove(path: Path) -> None:
    """Remove a file or folder. First a run loses its record and all lose their names.

    So nobody takes what is left of an interrupted removal for the whole.
    """
    if path.is_dir():
        (path / RECORD).unlink(missing_ok=True)
    doomed = path
    if not path.name.startswith(GONE):
        doomed = path.with_name(f"{GONE}{path.name}")
        if doomed.is_dir():
            shutil.rmtree(doomed)
        path.rename(doomed)
    if doomed.is_dir():
        shutil.rmtree(doomed)
    else:
        doomed.unlink()


def compress(items: Iterable[DiskItem]) -> tuple[int, int]:
    """Compress the logs of the runs that do not go on; return how many logs, and bytes saved."""
    count = saved = 0
    for item in items:
        with contextlib.suppress(FileNotFoundError), try_lock_folder(item.path) as free:
            for log in logs.unpacked_logs(item.path) if free else ():
                saved += logs.pack(log)
                count += 1
    return count, saved


def sweep() -> int:
    """Remove the temporary folders of guests whose owner died; return how many."""
    return len(scratch.sweep())


def apply_retention(
    keep_runs: int | None, keep_days: float | None, plan: str, base: Path | None = None
) -> list[str]:
    """Remove the runs of `plan` that no rule keeps, and compress the logs of all but its newest.

    None is a rule that is not set; without any, all are kept. Return what was done, in lines.
    """
    mine = [run for run in runs(base) if _plan_of(run.path) == plan]
    now = time.time()
    newest = {run.path for run in mine[-keep_runs:]} if keep_runs else set()
    limit = None if keep_days is None else now - keep_days * DAY
    young = {run.path for run in mine if limit is not None and run.used >= limit}
    no_rule = keep_runs is None and keep_days is None
    doomed = [run for run in mine if not (no_rule or run.path in newest or run.path in young)]
    lines: list[str] = []
    gone, left = remove(measure(doomed), lines.append)
    count, saved = compress(run for run in mine[:-1] if run.path.exists())
    return [*lines, *_retention_lines(gone, left, count, saved)]


def _retention_lines(
    gone: list[DiskItem], left: list[NotRemoved], count: int, saved: int
) -> Iterator[str]:
    if gone:
        freed = size(sum(item.size for item in gone))
        yield f"retention: removed {counted(len(gone), 'run')}, {freed}"
    for one in left:
        yield f"retention: {one.path.name} stays: {one.why}"
    if count:
        yield f"retention: compressed {counted(count, 'log')}, {size(saved)} saved"


def _plan_of(run: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((run / RECORD).read_bytes())["run"]["plan"])
    return None


def size(count: int) -> str:
    """Return a number of bytes for people, e.g. `1.5 GiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
