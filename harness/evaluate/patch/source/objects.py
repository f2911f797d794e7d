# SPDX-License-Identifier: GPL-2.0-only
"""The worktree of a build, and how kbuild compiled an object there: it keeps the command in
`.NAME.o.cmd` beside it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.locks import LockTimeoutError
from harness.base.paths import cache_dir
from harness.base.process import run_quiet
from harness.kernel.git import run
from harness.kernel.source import Tree
from harness.kernel.store import Build
from harness.kernel.toolchain import environment

SECONDS = 60  # for a tool and an object
NVHE = "__kvm_nvhe_"  # how the names of the hypervisor's functions without VHE begin
_COMMAND = re.compile(r"^(?:saved)?cmd_\S+ := (.*)$", re.MULTILINE)


@contextmanager
def checked_out(build: Build, patience: float = 0) -> Iterator[Tree | None]:
    """Yield the tree of a build with the worktree at its commit, None while another run has it.

    Another run is waited for `patience` seconds.
    """
    tree = Tree(cache_dir("sources") / build.inputs["tree"])
    with ExitStack() as entered:
        try:
            entered.enter_context(tree.locked(Deadline(patience)))
        except LockTimeoutError:
            yield None
            return
        if run(tree.work, "rev-parse", "HEAD").stdout.strip() != build.inputs["applied"]:
            tree.switch(build.inputs["applied"])
        yield tree


def objects_of(out: Path, source: str) -> Iterator[Path]:
    """Yield the objects in the O= folder `out` that are made of `source`, a path in the tree.

    hyp/pgtable.c has hyp/pgtable.o and, through another folder, hyp/nvhe/pgtable.nvhe.o; the plain
    one comes first.
    """
    plain = out / source
    names = sorted(plain.parent.glob(f".{plain.stem}.o.cmd"))
    for name in names:
        yield name.with_name(name.name.removeprefix(".").removesuffix(".cmd"))


def command_of(target: Path) -> list[str]:
    """Return the compiler's command line for an object, run in the O= folder; [] without one.

    kbuild has written the path of the tree into it, which is another one once the cache was moved.
    """
    kept = target.with_name(f".{target.name}.cmd")
    try:
        command = _COMMAND.search(kept.read_text(errors="replace"))
    except FileNotFoundError:
        return []
    # kbuild may put further steps (objtool, symbol versions) after a semicolon.
    if command is None:
        return []
    words = shlex.split(command[1].partition(";")[0])
    out = next((folder for folder in target.parents if folder.name.startswith("out-")), None)
    if out is None:
        return words
    was = re.compile(rf"/[^=]*/{re.escape(out.parent.name)}/tree(?=/)")
    return [was.sub(lambda _: str(out.with_name("tree")), word) for word in words]


def output_of(command: Sequence[str], folder: Path | None = None) -> list[str]:
    """Return the lines that a tool prints, run in `folder`; none when it is missing or hangs."""
    try:
        done = run_quiet(command, Deadline(SECONDS), cwd=folder, env=environment())
    except MachineError:
        return []
    return done.stdout.splitlines()
