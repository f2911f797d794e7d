# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval compare`: two runs, or two kernels of one run, with the eyes of `s2eval patch`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.toml import unknown
from harness.evaluate.patch.verdict.conclude import Conclusion, conclude, headline
from harness.evaluate.patch.verdict.document import Side, VerdictDocument
from harness.evaluate.patch.verdict.verdict import STATUS
from harness.results.compare import Pair
from harness.results.compare import pairs as pairs_of
from harness.results.records import Cell, Run, exit_code_of
from harness.results.store import PATCH, load_run, run_folder


@dataclass(frozen=True)
class Chosen:
    """The cells that one of the two names stands for, and the folder of their run."""

    name: str
    folder: Path
    cells: tuple[Cell, ...]

    @property
    def kernels(self) -> list[str]:
        """Return the names of the cells' kernels, each once."""
        return list(dict.fromkeys(cell.kernel.name for cell in self.cells))


def choose(given: str) -> Chosen:
    """Return the cells of RUN or RUN:KERNEL, the run being a name, a path or `latest`.

    Raise UsageError for another one.
    """
    name, colon, kernel = given.partition(":")
    folder = run_folder(name or "latest")
    run = load_run(folder)
    cells = tuple(cell for cell in run.cells if not colon or cell.kernel.name == kernel)
    if colon and not cells:
        raise unknown(f"kernel in {folder.name}", kernel, {c.kernel.name for c in run.cells})
    if not cells:
        raise UsageError(f"{folder.name}: a run without a cell: there is nothing to compare")
    return Chosen(given, folder, cells)


def compare(before: str, after: str) -> VerdictDocument:
    """Return the document of two runs. UsageError when they have no machine and suite in common."""
    base, patched = choose(before), choose(after)
    pairs, left = _pairs(base, patched)
    told = conclude(pairs, (base.folder, patched.folder), every_figure=True)
    return _document(
        told,
        _side(base, [pair.base for pair in told.pairs]),
        _side(patched, [pair.patched for pair in told.pairs]),
        notes=left,
        reproduce=[shlex.join(["s2eval", "compare", before, after])],
    )


def documents(run: Run, folder: Path | None) -> list[VerdictDocument]:
    """Return a document for each two kernels of a run that are compared; logs are in `folder`.

    A run of `s2eval patch` has one, which knows the builds as well.
    """
    kept = folder / PATCH if folder else None
    if kept and kept.is_file():
        try:
            return [VerdictDocument.model_validate_json(kept.read_text())]
        except ValueError:  # of another version
            pass
    compared: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs_of(run):
        compared.setdefault((pair.base.kernel.name, pair.patched.kernel.name), []).append(pair)
    return [_of_kernels(run.run.id, pairs, folder) for pairs in compared.values()]


def same_cells(
    before: Run, after: Run, folders: tuple[Path | None, Path | None]
) -> VerdictDocument | None:
    """Return the document of the cells that two runs of one plan have in common; None for none."""
    old = {cell.name: cell for cell in before.cells}
    pairs = [Pair(old[cell.name], cell) for cell in after.cells if cell.name in old]
    if not pairs:
        return None
    told = conclude(pairs, folders, every_figure=False)
    return _document(
        told,
        Side(name=before.run.id, cells=[pair.base for pair in told.pairs]),
        Side(name=after.run.id, cells=[pair.patched for pair in told.pairs]),
        reproduce=[shlex.join(["s2eval", "compare", before.run.id, after.run.id])],
    )


def _of_kernels(run: str, pairs: list[Pair], folder: Path | None) -> VerdictDocument:
    told = conclude(pairs, (folder, folder), every_figure=False)
    before, after = [pair.base for pair in told.pairs], [pair.patched for pair in told.pairs]
    names = [cells[0].kernel.name for cells in (before, after)]
    return _document(
        told,
        *(Side(name=cells[0].kernel.name, kernel=cells[0].kernel, cells=cells)
          for cells in (before, after)),
        reproduce=[shlex.join(["s2eval", "compare", *(f"{run}:{name}" for name in names)])],
    )  # fmt: skip


def _document(
    told: Conclusion,
    base: Side,
    patched: Side,
    *,
    reproduce: list[str],
    notes: Sequence[str] = (),
) -> VerdictDocument:
    return VerdictDocument(
        verdict=told.verdict,
        status=STATUS[told.verdict],
        exit_code=exit_code_of(STATUS[told.verdict]),
        headline=headline(told),
        open=told.open,
        notes=[*notes, *told.notes],
        base=base,
        patched=patched,
        changes=told.changes,
        census=told.census,
        unchanged=told.unchanged,
        figures=told.figures,
        reproduce=reproduce,
    )


def _pairs(base: Chosen, patched: Chosen) -> tuple[list[Pair], list[str]]:
    """Cells of the same machine and suite, and of the same kernel where there are several."""
    if len(base.kernels) != len(patched.kernels) or (
        len(base.kernels) > 1 and set(base.kernels) != set(patched.kernels)
    ):
        sides = "; ".join(f"{c.name} has {', '.join(c.kernels)}" for c in (base, patched))
        raise UsageError(f"which kernels? {sides}: name one of each as RUN:KERNEL")
    several = len(base.kernels) > 1
    here = {_place(cell, several=several): cell for cell in base.cells}
    there = {_place(cell, several=several): cell for cell in patched.cells}
    pairs = [Pair(here[place], there[place]) for place in here if place in there]
    only = [cell.name for place, cell in (*here.items(), *there.items())
            if not (place in here and place in there)]  # fmt: skip
    if not pairs and len(here) == len(there) == 1:
        # Two machines: what was seen may be compared, figures are refused where they are looked at.
        (was,), (now,) = here.values(), there.values()
        if was.suite.name == now.suite.name:
            return [Pair(was, now)], []
    if not pairs:
        raise UsageError(f"{base.name} and {patched.name} have no machine and suite in common")
    return pairs, [f"without a counterpart: {', '.join(only)}"] if only else []


def _place(cell: Cell, *, several: bool) -> tuple[str, ...]:
    place = (cell.machine.name, cell.suite.name)
    return (cell.kernel.name, *place) if several else place


def _side(chosen: Chosen, cells: list[Cell]) -> Side:
    kernel = cells[0].kernel if len(chosen.kernels) == 1 else None
    name = f"{chosen.folder.name}: {', '.join(chosen.kernels)}"
    return Side(name=name, kernel=kernel, cells=cells)
