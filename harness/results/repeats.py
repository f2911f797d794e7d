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
    """Return the record with its logs in `folder`, a folder below the cell's own."""
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
    An observation whose status or word changed is marked in `detail["flaky"]`: how often it was
    what. Its status is then the worst of them, with the value of that one. Phases and usage are
    those of all boots.
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
            "logs": [name for t in every for name in t.logs],
            "repeats": len(takes),
            "retried": [summary_failure(t) for t in retried],
            "usage": _usage(every),
        }
    )


def _phases(cells: Sequence[Cell]) -> list[Phase]:
    seconds: dict[str, float] = {}
    for cell in cells:
        for phase in cell.phases:
            seconds[phase.name] = seconds.get(phase.name, 0.0) + phase.seconds
    return [Phase(name=name, seconds=round(took, 3)) for name, took in seconds.items()]


def _usage(cells: Sequence[Cell]) -> Usage | None:
    used = [cell.usage for cell in cells if cell.usage]
    if not used:
        return None
    cpu = round(sum(u.cpu_seconds for u in used), 2)
    return Usage(memory_mib=max(u.memory_mib for u in used), cpu_seconds=cpu)


def _observations(takes: Sequence[Cell]) -> list[Observation]:
    seen = [{o.path: o for o in take.observations} for take in takes]
    paths = dict.fromkeys(o.path for take in takes for o in take.observations)
    return [_observation([one.get(path) for one in seen]) for path in paths]


def _observation(seen: Sequence[Observation | None]) -> Observation:
    """One observation of all repeats; None where a repeat has none."""
    there = [o for o in seen if o]
    status = worst([o.status for o in there])
    chosen = next(o for o in there if o.status is status)
    boots = [o.samples or _figure(o) for o in there]
    samples = [sample for boot in boots for sample in boot]
    update: dict[str, object] = {"samples": samples}
    detail: dict[str, object] = {}
    if chosen.unit and samples:
        detail[BOOTS] = [len(boot) for boot in boots]
    if chosen.unit and samples and len(_figure(chosen)) == 1:
        update["value"] = statistics.median(samples)
    counts = Counter(_words(o) for o in seen)
    if len(counts) > 1:
        detail["flaky"] = dict(counts.most_common())
    if detail:
        update["detail"] = {**chosen.detail, **detail}
    return chosen.model_copy(update=update)


def boots_of(item: Observation, repeats: int) -> list[list[float]]:
    """Return the samples of a figure by the boot that made them.

    Records of before had no `detail["boots"]`: there, each of the cell's `repeats` made as many;
    where that cannot be, all samples are taken to be of one boot.
    """
    sizes = item.detail.get(BOOTS)
    total = len(item.samples)
    if not isinstance(sizes, list) or sum(sizes) != total:
        sizes = [total // repeats] * repeats if total % repeats == 0 else [total]
    ends = list(itertools.accumulate(sizes))
    return [item.samples[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _cases(takes: Sequence[Cell]) -> list[Case]:
    """Every case of all boots, each at its worst."""
    by_name = [{case.name: case for case in take.cases} for take in takes]
    names = dict.fromkeys(case.name for take in takes for case in take.cases)
    return [_case([boot.get(name) for boot in by_name]) for name in names]


def _case(boots: Sequence[Case | None]) -> Case:
    """One case of all boots; None where a boot has none."""
    there = [case for case in boots if case]
    status = worst([case.status for case in there])
    seconds = [case.seconds for case in there if case.seconds is not None]
    counts = Counter(case.status.value if case else ABSENT for case in boots)
    update = {
        "seconds": statistics.median(seconds) if seconds else None,
        "flaky": dict(counts.most_common()) if len(counts) > 1 else {},
    }
    return next(case for case in there if case.status is status).model_copy(update=update)


def _figure(seen: Observation) -> list[float]:
    """The value of a measurement, which no verdict hangs on."""
    if seen.status is not Status.DONE or not seen.unit or isinstance(seen.value, (str, bool)):
        return []
    return [] if seen.value is None else [float(seen.value)]


def _words(seen: Observation | None) -> str:
    """What must be the same in every repeat: status and word, not a figure."""
    if seen is None:
        return ABSENT
    word = "" if seen.value is None or _figure(seen) else f" {seen.value}"
    return f"{seen.status.value}{word}"
