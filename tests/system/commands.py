# SPDX-License-Identifier: GPL-2.0-only
"""The command `s2eval` as a user starts it: a process of its own, with folders of its own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.base.paths import cache_dir
from harness.results.records import Cell, Run
from harness.results.store import load_run, run_folder

PROGRAM = Path(sys.executable).with_name("s2eval")
KERNEL = "debian-6.1"
# pytest's own limit comes later; a command that hangs is to be told apart from a slow one.
SECONDS = 850
PATIENCE = 300  # seconds for what comes at once, on a machine that does a hundred other things


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def one_line(self) -> str:
        """What standard error says, which must be one line of ours and no traceback."""
        assert "Traceback" not in self.err, self.err
        lines = self.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("s2eval: "), self.err
        return lines[0]


class S2Eval:
    """Runs `s2eval` with results below `home`; the cache is everybody's.

    Temporary files are in `scratch`, by default a folder below `home`.
    """

    def __init__(self, home: Path, scratch: Path | None = None) -> None:
        self.home = home
        self.results = home / "results"
        self.scratch = scratch or home / "tmp"
        self.scratch.mkdir(parents=True, exist_ok=scratch is not None)

    def environment(self, **change: str) -> dict[str, str]:
        mine = {"S2EVAL_RESULTS": str(self.results), "TMPDIR": str(self.scratch)}
        return {**os.environ, **mine, **change}

    def __call__(self, *args: str, prefix: tuple[str, ...] = (), **change: str) -> Ran:
        """Run to the end; `change` goes into the environment, `prefix` before the command."""
        done = subprocess.run(
            [*prefix, str(PROGRAM), *args],
            cwd=self.home,
            env=self.environment(**change),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str, **change: str) -> Started:
        return Started(self, args, change)

    def run(self) -> Run:
        """The newest run's record."""
        return load_run(self.folder())

    def folder(self) -> Path:
        return run_folder(base=self.results)

    def cell(self, part: str) -> Cell:
        """The one cell of the newest run whose name has `part` in it."""
        (cell,) = [c for c in self.run().cells if part in c.name]
        return cell

    def processes(self) -> list[int]:
        """Whatever was started from here and still runs, by the environment it inherited."""
        mark = f"TMPDIR={self.scratch}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:  # gone, or somebody else's
                continue
        return found

    def leftovers(self) -> list[str]:
        """Processes and temporary files that a command has left behind."""
        processes = [f"process {pid}" for pid in self.processes()]
        return processes + [str(path) for path in self.scratch.iterdir()]


class Started:
    """A command that runs: its progress is read line by line."""

    def __init__(self, s2eval: S2Eval, args: tuple[str, ...], change: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [str(PROGRAM), *args],
            cwd=s2eval.home,
            env=s2eval.environment(**change),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.err = ""

    def until(self, word: str) -> None:
        """Wait until a line of the progress ends in `word`, e.g. the name of a phase."""
        assert self.process.stderr
        for line in self.process.stderr:
            self.err += line
            if line.rstrip("\n").endswith(word):
                return
        raise AssertionError(f"never came to '{word}':\n{self.err}")

    def lines(self, count: int) -> None:
        """Wait for `count` lines of the progress, or for its end."""
        assert self.process.stderr
        for line in itertools.islice(self.process.stderr, count):
            self.err += line

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Ran:
        out, err = self.process.communicate(timeout=SECONDS)
        return Ran(self.process.returncode, out, self.err + err)


def wait_for(what: str, seen: Callable[[], object]) -> None:
    """Return once `seen()` is true; an AssertionError that says `what` when it never is."""
    end = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def cache_without(folder: Path, part: str) -> str:
    """A cache that shares everything with everybody's, but for `part`, which is not there."""
    folder.mkdir()
    for path in cache_dir().iterdir():
        if path.name != part:
            (folder / path.name).symlink_to(path)
    return str(folder)


def make_suite(folder: Path, text: str) -> str:
    """A suite in a folder of its own; what to name it on a command line."""
    folder.mkdir()
    (folder / "suite.toml").write_text(text)
    return str(folder)


def provoke(folder: Path, *ways: str) -> list[str]:
    """A suite for each way of guest-tests/provoke, e.g. `how=panic`; their names."""
    return [
        make_suite(
            folder / way.partition(" ")[0].removeprefix("how="),
            f'extends = "provoke"\nscript = """\ninsmod provoke.ko {way}\n"""\n',
        )
        for way in ways
    ]


def make_machine(path: Path, text: str) -> str:
    """A machine in a file of its own; what to name it on a command line."""
    path.write_text(text)
    return str(path)
