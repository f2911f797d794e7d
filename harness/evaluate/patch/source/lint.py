# SPDX-License-Identifier: GPL-2.0-only
"""What checkpatch and sparse remark on a series; never part of the verdict."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.paths import cache_dir
from harness.base.process import ToolTimeoutError, run_quiet
from harness.base.text import clean
from harness.evaluate.patch.source.objects import checked_out, command_of, objects_of
from harness.evaluate.patch.verdict.document import StyleRemark
from harness.kernel import headers
from harness.kernel.git import plain_env, run
from harness.kernel.source import Tree
from harness.kernel.store import Build

SECONDS = 60  # for one tool and one patch or file
FILES = 20  # that sparse looks at
_CHECKPATCH = re.compile(r"^(.+?):(\d+): (.*)$")
_SPARSE = re.compile(r"^(\S+?):(\d+):\d+: ((?:warning|error): .*)$")
# The top Makefile's CHECKFLAGS for arm64, and what it takes over of the compiler's flags.
_FLAGS = (
    "-D__linux__", "-Dlinux", "-D__STDC__", "-Dunix", "-D__unix__", "-Wbitwise",
    "-Wno-return-void", "-Wno-unknown-attribute", "-D__CHECK_ENDIAN__", "--arch=arm64",
    "-mlittle-endian", "-m64", "-D__AARCH64EL__", "-D__aarch64__",
)  # fmt: skip


def checkpatch(patches: Sequence[Path], build: Build) -> list[StyleRemark]:
    """Return what the kernel's own scripts/checkpatch.pl says of the patches.

    Nothing without perl, or in a kernel without the script.
    """
    tree = Tree(cache_dir("sources") / build.inputs["tree"])
    script = headers.tree(tree, build.inputs["applied"]) / "scripts/checkpatch.pl"
    perl = shutil.which("perl")
    if not perl or not script.is_file():
        return []
    options = ["--no-tree", "--terse", "--show-types", "--no-summary", "--color=never"]
    remarks = []
    for patch in patches:
        for line in _output_of([perl, str(script), *options, "--", str(patch)], patch.parent):
            match = _CHECKPATCH.match(line)
            if match and Path(match[1]).name == patch.name:
                remarks.append(
                    StyleRemark(tool="checkpatch", place=patch.name, text=clean(match[3]))
                )
    return remarks


def sparse(build: Build) -> list[StyleRemark]:
    """Return what sparse says of the lines that a series adds to C files that are compiled.

    Nothing when sparse is missing, or while another run builds in the tree.
    """
    program = shutil.which("sparse")
    if not program or build.inputs["applied"] == build.inputs["commit"]:
        return []
    with checked_out(build) as tree:
        return _sparse(program, tree, build) if tree else []


def _sparse(program: str, tree: Tree, build: Build) -> list[StyleRemark]:
    out = tree.out_of(build.inputs)
    added = added_lines(tree.work, build.inputs["commit"], build.inputs["applied"])
    remarks: dict[str, StyleRemark] = {}
    for source in [name for name in added if name.endswith(".c")][:FILES]:
        for target in objects_of(out, source):
            flags = list(_preprocessor(command_of(target)))
            command = [program, *_FLAGS, *flags, str(tree.work / source)]
            for path, line, text in _warnings(_output_of(command, out), tree.work):
                if line in added.get(path, ()):
                    remarks.setdefault(
                        text, StyleRemark(tool="sparse", place=f"{path}:{line}", text=text)
                    )
    return list(remarks.values())


def compiled(build: Build) -> list[tuple[str, str]]:
    """Return the compiler's warnings in lines that the series added: place and text."""
    tree = Tree(cache_dir("sources") / build.inputs["tree"])
    if build.inputs["applied"] == build.inputs["commit"]:
        return []
    lines = build.log.read_text(errors="replace").splitlines()
    warned = _warnings([line for line in lines if ": warning: " in line], tree.work)
    if not warned:
        return []
    added = added_lines(tree.work, build.inputs["commit"], build.inputs["applied"])
    return list(
        dict.fromkeys((f"{p}:{line}", text) for p, line, text in warned if line in added.get(p, ()))
    )


def added_lines(work: Path, base: str, commit: str) -> dict[str, set[int]]:
    """Return the lines that `commit` has and `base` has not, by file."""
    text = run(work, "diff", "--no-ext-diff", "--no-color", "-U0", base, commit).stdout
    added: dict[str, set[int]] = {}
    here: set[int] = set()
    for line in text.splitlines():
        if line.startswith("+++ "):
            here = added.setdefault(line[4:].removeprefix("b/"), set())
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start, count = int(hunk[1]), int(hunk[2] or 1)
            here.update(range(start, start + count))
    return added


def _warnings(lines: Iterable[str], work: Path) -> list[tuple[str, int, str]]:
    """Path in the tree, line and text of each warning."""
    warnings = []
    for line in lines:
        match = _SPARSE.match(line)
        if match:
            path = match[1].removeprefix(f"{work}/").removeprefix("../tree/")
            warnings.append((path, int(match[2]), clean(match[3])))
    return warnings


def _preprocessor(command: Sequence[str]) -> Iterable[str]:
    """The flags of a compiler's command that sparse needs too."""
    arguments = iter(command)
    for argument in arguments:
        if argument in {"-include", "-I", "-isystem", "-D", "-U"}:
            yield argument
            yield next(arguments)
        elif argument.startswith(("-I", "-D", "-U")) or argument == "-nostdinc":
            yield argument


def _output_of(command: Sequence[str], folder: Path) -> list[str]:
    """All lines that a tool prints, whatever its exit status; none when it takes too long."""
    try:
        done = run_quiet(command, Deadline(SECONDS), cwd=folder, env=plain_env())
    except ToolTimeoutError:
        return []
    return (done.stdout + done.stderr).splitlines()
