# SPDX-License-Identifier: GPL-2.0-only
"""What checkpatch and sparse find in a series: told, never part of the verdict."""

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
    """What the kernel's own scripts/checkpatch.pl says of the patches; none without perl or it."""
    tree = Tree(cache_dir("sources") / build.inputs["tree"])
    script = headers.tree(tree, build.inputs["applied"]) / "scripts/checkpatch.pl"
    perl = shutil.which("perl")
    if not perl or not script.is_file():
        return []
    options = ["--no-tree", "--terse", "--show-types", "--no-summary", "--color=never"]
    found = []
    for patch in patches:
        for line in _said([perl, str(script), *options, "--", str(patch)], patch.parent):
            match = _CHECKPATCH.match(line)
            if match and Path(match[1]).name == patch.name:
                found.append(StyleRemark(tool="checkpatch", place=patch.name, text=clean(match[3])))
    return found


def sparse(build: Build) -> list[StyleRemark]:
    """What sparse says of the lines that a series adds to C files that are compiled.

    Nothing when sparse is missing, or while another run builds in the tree.
    """
    program = shutil.which("sparse")
    if not program or build.inputs["applied"] == build.inputs["commit"]:
        return []
    with checked_out(build) as tree:
        return _sparse(program, tree, build) if tree else []


def _sparse(program: str, tree: Tree, build: Build) -> list[StyleRemark]:
    out = tree.out(llvm=build.inputs["llvm"])
    added = added_lines(tree.work, build.inputs["commit"], build.inputs["applied"])
    found: dict[str, StyleRemark] = {}
    for source in [name for name in added if name.endswith(".c")][:FILES]:
        for target in objects_of(out, source):
            flags = list(_preprocessor(command_of(target)))
            command = [program, *_FLAGS, *flags, str(tree.work / source)]
            for path, line, text in _warnings(_said(command, out), tree.work):
                if line in added.get(path, ()):
                    found.setdefault(
                        text, StyleRemark(tool="sparse", place=f"{path}:{line}", text=text)
                    )
    return list(found.values())


def compiled(build: Build) -> list[tuple[str, str]]:
    """The compiler's warnings in lines that the series added: place and text."""
    tree = Tree(cache_dir("sources") / build.inputs["tree"])
    if build.inputs["applied"] == build.inputs["commit"]:
        return []
    said = build.log.read_text(errors="replace").splitlines()
    warned = _warnings([line for line in said if ": warning: " in line], tree.work)
    if not warned:
        return []
    added = added_lines(tree.work, build.inputs["commit"], build.inputs["applied"])
    return list(
        dict.fromkeys((f"{p}:{line}", text) for p, line, text in warned if line in added.get(p, ()))
    )


def added_lines(work: Path, base: str, commit: str) -> dict[str, set[int]]:
    """The lines that `commit` has and `base` has not, by file."""
    text = run(work, "diff", "--no-ext-diff", "--no-color", "-U0", base, commit).stdout
    found: dict[str, set[int]] = {}
    here: set[int] = set()
    for line in text.splitlines():
        if line.startswith("+++ "):
            here = found.setdefault(line[4:].removeprefix("b/"), set())
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start, count = int(hunk[1]), int(hunk[2] or 1)
            here.update(range(start, start + count))
    return found


def _warnings(lines: Iterable[str], work: Path) -> list[tuple[str, int, str]]:
    """Path in the tree, line and text of each warning."""
    found = []
    for line in lines:
        match = _SPARSE.match(line)
        if match:
            path = match[1].removeprefix(f"{work}/").removeprefix("../tree/")
            found.append((path, int(match[2]), clean(match[3])))
    return found


def _preprocessor(command: Sequence[str]) -> Iterable[str]:
    """The flags of a compiler's command that sparse needs too."""
    words = iter(command)
    for word in words:
        if word in {"-include", "-I", "-isystem", "-D", "-U"}:
            yield word
            yield next(words)
        elif word.startswith(("-I", "-D", "-U")) or word == "-nostdinc":
            yield word


def _said(command: Sequence[str], folder: Path) -> list[str]:
    """All lines of a tool; none when it takes too long. Its exit status says only that it spoke."""
    try:
        done = run_quiet(command, Deadline(SECONDS), cwd=folder, env=plain_env())
    except ToolTimeoutError:
        return []
    return (done.stdout + done.stderr).splitlines()
