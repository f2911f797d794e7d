# SPDX-License-Identifier: GPL-2.0-only
"""One `make` of the kernel: progress while it runs, the compiler's first error when it fails."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import BuildError, DiskFullError, S2EvalError
from harness.base.process import run_logged
from harness.base.text import clean
from harness.kernel.source import Progress
from harness.kernel.toolchain import Toolchain, environment

PROGRESS_SECONDS = 0.2

# What a failing build says, the most telling first: the compiler or assembler, Kconfig, the
# linker, modpost, make itself.
_ERRORS = tuple(
    re.compile(pattern)
    for pattern in (
        r"^\S[^:]*:\d+:(\d+:)? (fatal )?error: .*|^\S+\.S:\d+: Error: .*",
        r"^\S*Kconfig\S*:\d+: .*",
        r"^.*: (undefined reference|multiple definition|relocation truncated).*",
        r"^(ERROR|FATAL): modpost: .*",
        r"^\S*sh: (\d+: |line \d+: )?\S+: (command )?not found$",
        r"^BTF: .*",  # scripts/link-vmlinux.sh: no pahole, or an old one
        r"^make.*: \*\*\* .*",
    )
)
_STEP = re.compile(r"^  [A-Z][A-Z0-9_]+ +(?:\[M\] +)?(\S+)$")


@dataclass(frozen=True)
class Maker:
    """Runs make in the O= folder `out` for the sources in `source`; all output goes to `log`."""

    name: str
    source: Path
    out: Path
    tools: Toolchain
    log: Path
    progress: Progress

    def make(self, *targets: str, hidden: tuple[Path, ...] = ()) -> None:
        """Make `targets`. `hidden`: folders whose names must not show in the objects.

        Raise BuildError with the first error, DiskFullError when the disk is full, ToolTimeoutError
        when make falls silent.
        """
        command = self.tools.make(self.source, self.out, *targets, hidden=hidden)
        watch = _Watch(self.name, self.progress)
        start = self.log.stat().st_size if self.log.exists() else 0
        status = run_logged(command, self.log, environment(), watch)
        if status:
            with self.log.open(errors="replace") as output:
                output.seek(start)
                raise failure(self.name, output, (self.source, *hidden), self.log)


class _Watch:
    """Counts make's steps and tells of them, but not more often than anybody can read."""

    def __init__(self, name: str, progress: Progress) -> None:
        self.name = name
        self.progress = progress
        self.steps = 0
        self.last_told = 0.0

    def __call__(self, line: str) -> None:
        step = _STEP.match(line)
        if step is None:
            return
        self.steps += 1
        now = time.monotonic()
        if now - self.last_told >= PROGRESS_SECONDS:
            self.last_told = now
            self.progress(f"{self.name}: make, {self.steps} steps, {clean(step[1])}")


def failure(name: str, output: Iterable[str], roots: Sequence[Path], log: Path) -> S2EvalError:
    """Return the error of a failed make, with the first line of the most telling kind.

    Paths below `roots` are shown from there, as a developer knows them.
    """
    first_of_rank: dict[int, str] = {}
    for line in output:
        if os.strerror(errno.ENOSPC) in line:
            return DiskFullError(f"{name}: no space left while building in {log.parent}", log=log)
        for rank, pattern in enumerate(_ERRORS):
            if rank not in first_of_rank and pattern.match(line):
                first_of_rank[rank] = line.strip()
    first = first_of_rank[min(first_of_rank)] if first_of_rank else "make failed without a message"
    for root in roots:
        first = re.sub(rf"^(\.\./)+{re.escape(root.name)}/", "", first.replace(f"{root}/", ""))
    # One source may be compiled from two folders: arch/arm64/kvm/hyp/nvhe/../pgtable.c.
    path, colon, rest = first.partition(":")
    first = f"{os.path.normpath(path)}{colon}{rest}" if "/../" in path else first
    return BuildError(f"{name}: {clean(first)} (log: {log})", log=log)
