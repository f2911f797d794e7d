# SPDX-License-Identifier: GPL-2.0-only
"""A hang that is told from a slow machine.

A guest of the patched kernel fell silent at one place in two boots. Its base came further before,
and is started once more: when it comes further again, it is the patched kernel that hangs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from harness.evaluate.cell.refusal import blame_kernel
from harness.evaluate.engine.engine import Engine
from harness.evaluate.patch.limits import SUITE_PHASES, fitted
from harness.evaluate.patch.source.stacktrace import decoded
from harness.evaluate.plan.plan import CellRequest
from harness.hosts.machines.machine import Machine
from harness.kernel.store import Build
from harness.results.failure_kinds import FailureKind
from harness.results.places import Place
from harness.results.records import Cell, Failure, Status

PATIENCE = 20.0  # seconds for a build of another run in the tree, while the base boots
SLACK = 1.5  # two boots of one kernel differ; twice the control's longest silence is enough
_SOURCE = re.compile(r" \(([^():]+):(\d+)\)$")  # what decoded() adds to a position


def came_further(cell: Cell | None) -> bool:
    """Return whether a base's guests came to an end, whatever that was."""
    return (
        cell is not None
        and cell.status not in (Status.MISS, Status.SKIP)
        and not (cell.failure and cell.failure.kind.timeout)
    )


def hung_twice(cell: Cell) -> Place | None:
    """Return the place at which a cell's last boot fell silent, when an earlier one did so too."""
    last = cell.failure
    if last is None or not last.kind.timeout or last.place is None:
        return None
    before = [failure.place for failure in cell.retried if failure.place]
    return next((shared for place in before if (shared := place.shared(last.place))), None)


class Hangs:
    """Judges the silent cells of patched kernels, by more boots that `engine` makes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def judge(
        self,
        cells: Sequence[Cell],
        requests: Sequence[CellRequest],
        bases: Sequence[tuple[CellRequest, Cell]],
        builds: Sequence[Build],
    ) -> list[Cell]:
        """Return `cells`, recorded anew where one turned out to hang.

        `requests` are those of the cells, `bases` the cells of the base with theirs.
        """
        wanted = {request.name: request for request in requests}
        by_place = {(r.machine.name, r.suite.name): (r, cell) for r, cell in bases}
        by_key = {build.record.build_key: build for build in builds}
        judged = []
        for cell in cells:
            base = by_place.get((cell.machine.name, cell.suite.name))
            build = by_key.get(cell.kernel.build_key)
            hung = locked_up(cell, build)
            place = self._hang(cell, wanted[cell.name], base, build) if base else None
            hung = hanging(cell, place) if place else hung
            if hung:
                self._engine.revise(hung)
            judged.append(hung or cell)
        return judged

    def _hang(
        self,
        cell: Cell,
        request: CellRequest,
        base: tuple[CellRequest, Cell],
        build: Build | None,
    ) -> Place | None:
        """Return the place when the base comes further once more, and the cell does not."""
        place = hung_twice(cell)
        if place is None or not came_further(base[1]):
            return None
        boot_only = not {phase.name for phase in cell.phases} & set(SUITE_PHASES)
        begun = time.monotonic()
        with ThreadPoolExecutor(1) as aside:  # it takes a second, in which the base boots
            source = aside.submit(located, place, build)
            control = self._engine.boot_aside(base[0], boot_only=boot_only)
            found = source.result()
        if control is None or not came_further(control):
            return None
        seconds = round(time.monotonic() - begun, 1)
        boots = 2
        if _longer(fitted(request, control).machine, fitted(request, base[1]).machine):
            # The machine has become slower: then it may have been too slow for the guest.
            boots = 3
            again = self._engine.boot_aside(fitted(request, control))
            failure = again.failure if again else None
            if not (failure and failure.place and failure.place.shared(place)):
                return None
        return found.model_copy(update={"boots": boots, "control": seconds})


def _longer(enough: Machine, used: Machine) -> bool:
    """Return whether a guest was looked at much sooner than the control boot says is `enough`."""
    return (
        enough.patience.look > SLACK * used.patience.look
        or enough.boot_patience.look > SLACK * used.boot_patience.look
    )


def located(place: Place, build: Build | None) -> Place:
    """Return the place with file and line, where they can be found."""
    if build is None or not place.at:
        return place
    line = f"pc : {place.at}" if place.exact else place.at
    source = _SOURCE.search(decoded([line], build, own=True, patience=PATIENCE)[0])
    if source is None:
        return place
    return place.model_copy(update={"file": source[1], "line": int(source[2])})


def hanging(cell: Cell, place: Place) -> Cell:
    """Return the record of a cell that hangs at `place`: what fell silent there is FAIL."""
    silent = cell.failure
    assert silent  # noqa: S101 - hung_twice() has looked
    how = f"{place.boots} boots, after which its base came further again, in {place.control:g} s"
    summary = f"hangs in {place.described()} ({how})"
    failure = silent.model_copy(
        update={"kind": FailureKind.HANG, "summary": summary, "place": place}
    )
    hung = cell.model_copy(deep=True)
    blame_kernel(hung, failure)
    return hung


def locked_up(cell: Cell, build: Build | None) -> Cell | None:
    """Return the record with file and line where the kernel itself told of a lockup, else None."""
    failure = cell.failure
    if failure is None or not failure.kind.lockup or failure.place is None:
        return None
    place = located(failure.place, build)
    return cell.model_copy(update={"failure": failure.model_copy(update={"place": place})})


def shown(failure: Failure | None) -> str:
    """Return `hangs in FUNCTION (FILE:LINE)` for the failure of a kernel that hangs, else ""."""
    if failure is None or failure.place is None:
        return ""
    if failure.kind is not FailureKind.HANG and not failure.kind.lockup:
        return ""
    return f"hangs in {failure.place}" if failure.place.function else f"hangs: {failure.place}"
