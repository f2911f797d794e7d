# SPDX-License-Identifier: GPL-2.0-only
"""The lines that a series adds, with the code that each has in the kernel that was built."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from harness.base.errors import S2EvalError
from harness.base.text import clean
from harness.evaluate.patch.reach.code import CodeFinder
from harness.evaluate.patch.reach.objects import (
    COMPILED,
    including_objects,
    nearest,
    own_objects,
    shapes_build,
)
from harness.evaluate.patch.reach.statements import statements
from harness.evaluate.patch.reach.states import C_FILES, AddedFile, Witness, states_of
from harness.evaluate.patch.source.lint import added_lines
from harness.evaluate.patch.source.objects import checked_out
from harness.evaluate.patch.verdict.lines import PatchReach
from harness.hosts.coverage import record
from harness.kernel.addresses.symbols import TEXT
from harness.kernel.git import run
from harness.kernel.source import Tree
from harness.kernel.store import Build
from harness.results.records import Cell, Status
from harness.results.store import cell_path

T = TypeVar("T")
PREPROCESSED = 2  # objects of a file that are asked which lines an #ifdef leaves
LOOKED_AT = 8  # objects that include a header, of those that are likeliest to have its code


@dataclass
class PatchLines:
    """The added lines of a series by their files, for one build.

    `diff` is all that the series changes, as `git diff` has it. `notes` say what is not known about
    the lines, `unknown` why nothing is.
    """

    files: list[AddedFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: str = ""
    diff: str = ""

    @classmethod
    def not_known(cls, reason: str) -> PatchLines:
        """Return lines of which nothing is known."""
        return cls(unknown=reason)


def lines_in(build: Build, patience: float) -> PatchLines:
    """Return what the series of `build` adds, and where the code of that is in its Image.

    Nothing is known where another run builds in the tree for more than `patience` seconds.
    """

    def look(tree: Tree, finder: CodeFinder) -> PatchLines:
        commits = build.inputs["commit"], build.inputs["applied"]
        found = _lines_in(build, tree, finder, added_lines(tree.work, *commits))
        diff = run(tree.work, "diff", "--no-ext-diff", "--no-color", *commits)
        return replace(found, diff=diff.stdout)

    return looked_at(build, patience, look, PatchLines.not_known)


def lines_at(build: Build, patience: float, path: str, line: int) -> PatchLines:
    """Return a line of the file `path` of a kernel, as lines_in() returns those of a series.

    There are no `files` where the kernel has no such line.
    """

    def look(tree: Tree, finder: CodeFinder) -> PatchLines:
        shown = run(tree.work, "show", f"{build.inputs['applied']}:{path}")
        if shown.returncode or not 0 < line <= len(shown.stdout.splitlines()):
            return PatchLines()
        return _lines_in(build, tree, finder, {path: {line}})

    return looked_at(build, patience, look, PatchLines.not_known)


def looked_at(
    build: Build,
    patience: float,
    look: Callable[[Tree, CodeFinder], T],
    unknown: Callable[[str], T],
) -> T:
    """Call `look` with the tree at the commit of `build` and its code; return what it returns.

    Where the code cannot be looked at, return what `unknown` makes of the reason.
    """
    with checked_out(build, patience) as tree:
        if tree is None:
            return unknown("another run builds in the tree")
        out = tree.out_of(build.inputs)
        if not _same_config(out, build):
            return unknown("another configuration was built in the tree since")
        try:
            system_map = build.image.with_name("System.map").read_text(errors="replace")
            with tempfile.TemporaryDirectory(prefix="s2eval-reach-") as scratch:
                return look(tree, CodeFinder(out, tree.work, Path(scratch), system_map))
        except (S2EvalError, OSError) as error:
            return unknown(str(error))


def _same_config(out: Path, build: Build) -> bool:
    try:
        return (out / ".config").read_bytes() == build.config.read_bytes()
    except OSError:
        return False


def _lines_in(
    build: Build, tree: Tree, finder: CodeFinder, lines: Mapping[str, set[int]]
) -> PatchLines:
    """Return `lines` of files of the tree with their code."""
    found = PatchLines()
    begin = finder.address(TEXT)
    # A source's own objects come first: they may have the code of a header as well.
    for path in sorted(lines, key=lambda path: PurePosixPath(path).suffix not in COMPILED):
        if not lines[path]:
            continue
        text = run(tree.work, "show", f"{build.inputs['applied']}:{path}").stdout
        objects, unseen = _objects(finder, path, text, lines[path])
        if unseen:
            found.notes.append(
                f"{clean(path)}: {len(objects)} of {len(objects) + unseen} objects that include it "
                "were looked at for its code"
            )
        found.files.append(_file(finder, path, text, lines[path], objects, begin))
    found.files.sort(key=lambda file: file.path)
    failed = [str(made.relative_to(finder.out)) for made in finder.code.failed]
    if failed:
        found.notes.append(f"the code of {', '.join(failed)} could not be looked at")
    return found


def _objects(finder: CodeFinder, path: str, text: str, added: set[int]) -> tuple[list[Path], int]:
    """Return the objects of the kernel that have code of a file, and how many were left out."""
    own = [made for made in own_objects(finder.out, path) if finder.is_linked(made)]
    if own or PurePosixPath(path).suffix not in {".c", ".h"}:
        return own, 0
    lines = text.split("\n")
    words = "\n".join(lines[number - 1] for number in added if number <= len(lines))
    including = including_objects(finder.out, finder.work, path)
    likely = nearest(including, finder.out, finder.work, words)
    built: list[Path] = []
    for count, made in enumerate(likely):
        if len(built) == LOOKED_AT:
            return built, len(likely) - count
        if finder.is_linked(made):
            built.append(made)
    return built, 0


def _file(
    finder: CodeFinder, path: str, text: str, added: set[int], objects: Sequence[Path], begin: int
) -> AddedFile:
    by_line = statements(text) if path.endswith(C_FILES) else None
    coded = {n for n in added if by_line is None or (n in by_line and not by_line[n].directive)}
    for made in objects if coded else ():
        finder.add(made)
    addresses = {
        line: frozenset(address - begin for address in places if address >= begin)
        for (file, line), places in finder.code.addresses.items()
        if file == path
    }
    # What the preprocessor leaves is asked for while the tree is there, and only where it matters.
    active = frozenset[int]()
    if by_line is not None and not coded <= addresses.keys():
        active = frozenset(
            line for made in objects[:PREPROCESSED] for line in finder.active_lines(made, path)
        )
    return AddedFile(
        path=path,
        text=text,
        added=frozenset(added),
        built=bool(objects) or shapes_build(path),
        addresses=addresses,
        active=lambda: active,
    )


def unrecorded(cells: Sequence[Cell], folder: Path) -> list[str]:
    """Return the names of those of the `cells` of a run in `folder` that ran without a record."""
    return [
        cell.name
        for cell in cells
        if cell.status is not Status.SKIP and not record.kept(cell_path(folder, cell.name))
    ]


def reach_of(
    lines: PatchLines, cells: Sequence[Cell], folder: Path, *, guests: bool = False
) -> PatchReach | None:
    """Return which of `lines` the `cells` of a run in `folder` executed; None where unknown.

    With `guests` what only a guest executed has run as well.
    """
    if lines.unknown:
        return None
    witnesses = [
        Witness(f"{cell.machine.name}/{cell.suite.name}", record.kept(cell_path(folder, cell.name)))
        for cell in cells
    ]
    if cells and not any(witness.records for witness in witnesses):
        return None
    return PatchReach.of(
        [line for file in lines.files for line in states_of(file, witnesses, guests=guests)]
    )
