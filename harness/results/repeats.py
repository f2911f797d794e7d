# SPDX-License-Identifier: GPL-2.0-only
"""Several boots of one cell as one record. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence

from harness.results.compare import ABSENT
from harness.results.failure_kinds import FailureKind
from harness.results.records import Case, Cell, Failure, Observation, Phase, Status, Usage, worst

BOOTS = "boots"  # in an observation's detail: how many of its samples each boot made


def renamed_copy(cell: Cell, folder: str) -> Cell:
    """Return a copy of the record whose logs are in `folder`, a folder below the cell's own."""
    failure = cell.failure
    if failure and failure.log and not failure.log.startswith("/"):
        failure = failure.model_copy(update={"log": f"{folder}/{failure.log}"})
    logs = [f"{folder}/{name}" for name in cell.logs]
    return cell.model_copy(update={"logs": logs, "failure": failure})


def summary_failure(cell: Cell) -> Failure:
    """Return why this boot of a cell does not count."""
    if cell.failure:
        return cell.failure
    missing = next((o for o in cell.outcomes() if o.status is Status.MISS), None)
    reason = str(missing.detail.get("reason", "")) if missing else ""
    return Failure(kind=FailureKind.MISS, summary=reason or "no verdict", where="harness")


def merge_takes(takes: Sequence[Cell], retried: Sequence[Cell]) -> Cell:
    """Return one record: `takes` are a cell's repeats, `retried` the boots that do not count.

    Samples of all repeats stand in one observation, and in `detail["boots"]` how many each made.
    Where the status or the word of an observation changed, `detail["flaky"]` counts each of
    them, and the record has the worst status with its value. Phases and usage are those of all
    boots.
    """
    first = takes[0]
    every = [*retried, *takes]
    failed = next((t.failure for t in takes if t.failure), None)
    return first.model_copy(
        update={
            "status": worst([t.status for t in takes]),
            "failure": failed,
            "phases": _phases(every),
            "observations": first.observations if len(takes) == 1 else _observations(takes),
            "cases": first.cases if len(takes) == 1 else _cases(takes),
            "audits": next((t.audits for t in takes if t.audits), []),
            "census": next((t.census for t in takes if t.census), None),
            "logs": [name for t in every for name in t.logs],
            "repeats": len(takes),
            "retried": [summary_failure(t) for t in retried],
            "usage": _usage(every),
        }
    )


def _phases(cells: Sequence[Cell]) -> list[Phase]:
    seconds: dict[str, float] = {}
    quiet: dict[str, float] = {}
    for cell in cells:
        for phase in cell.phases:
            seconds[phase.name] = seconds.get(phase.name, 0.0) + phase.seconds
            quiet[phase.name] = max(quiet.get(phase.name, 0.0), phase.quiet)
    return [
        Phase(name=name, seconds=round(took, 3), quiet=quiet[name])
        for name, took in seconds.items()
    ]


def _usage(cells: Sequence[Cell]) -> Usage | None:
    used = [cell.usage for cell in cells if cell.usage]
    if not used:
        return None
    cpu = round(sum(u.cpu_seconds for u in used), 2)
    return Usage(memory_mib=max(u.memory_mib for u in used), cpu_seconds=cpu)


def _observations(takes: Sequence[Cell]) -> list[Observation]:
    by_take = [{o.path: o for o in take.observations} for take in takes]
    paths = dict.fromkeys(o.path for take in takes for o in take.observations)
    return [_observation([by_path.get(path) for by_path in by_take]) for path in paths]


def _observation(takes: Sequence[Observation | None]) -> Observation:
    """Return one observation for all repeats; `takes` has None where a repeat has none."""
    present = [o for o in takes if o]
    status = worst([o.status for o in present])
    chosen = next(o for o in present if o.status is status)
    boots = [o.samples or _figure(o) for o in present]
    samples = [sample for boot in boots for sample in boot]
    update: dict[str, object] = {"samples": samples}
    detail: dict[str, object] = {}
    if chosen.unit and samples:
        detail[BOOTS] = [len(boot) for boot in boots]
    if chosen.unit and samples and len(_figure(chosen)) == 1:
        update["value"] = statistics.median(samples)
    counts = Counter(_status_and_word(o) for o in takes)
    if len(counts) > 1:
        detail["flaky"] = dict(counts.most_common())
    if detail:
        update["detail"] = {**chosen.detail, **detail}
    return chosen.model_copy(update=update)


def boots_of(item: Observation, repeats: int) -> list[list[float]]:
    """Return the samples of a figure by the boot that made them.

    Older records have no `detail["boots"]`: each of the cell's `repeats` boots made the same
    number of samples then; where that cannot be, all samples count as those of one boot.
    """
    sizes = item.detail.get(BOOTS)
    total = len(item.samples)
    if not isinstance(sizes, list) or sum(sizes) != total:
        sizes = [total // repeats] * repeats if total % repeats == 0 else [total]
    ends = list(itertools.accumulate(sizes))
    return [item.samples[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _cases(takes: Sequence[Cell]) -> list[Case]:
    """Return every case of all boots, each with its worst status."""
    by_name = [{case.name: case for case in take.cases} for take in takes]
    names = dict.fromkeys(case.name for take in takes for case in take.cases)
    return [_case([boot.get(name) for boot in by_name]) for name in names]


def _case(boots: Sequence[Case | None]) -> Case:
    """Return one case for all boots; `boots` has None where a boot has none."""
    present = [case for case in boots if case]
    status = worst([case.status for case in present])
    seconds = [case.seconds for case in present if case.seconds is not None]
    counts = Counter(case.status.value if case else ABSENT for case in boots)
    update = {
        "seconds": statistics.median(seconds) if seconds else None,
        "flaky": dict(counts.most_common()) if len(counts) > 1 else {},
    }
    return next(case for case in present if case.status is status).model_copy(update=update)


def _figure(item: Observation) -> list[float]:
    """Return the value of a measurement without a verdict; nothing for other observations."""
    if item.status is not Status.DONE or not item.unit or isinstance(item.value, (str, bool)):
        return []
    return [] if item.value is None else [float(item.value)]


def _status_and_word(item: Observation | None) -> str:
    """Return what must be the same in every repeat: the status and a word, never a figure."""
    if item is None:
        return ABSENT
    word = "" if item.value is None or _figure(item) else f" {item.value}"
    return f"{item.status.value}{word}"
