# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval history`: the answers of the history as lines or as a document."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass

from harness.base.errors import S2EvalError, UsageError
from harness.base.text import clean
from harness.evaluate.patch.verdict.conclude import Conclusion, conclude, headline
from harness.results.compare import Pair
from harness.results.history.history import History
from harness.results.history.values import (
    FirstBad,
    Flake,
    Lane,
    LaneChange,
    LaneSeries,
    Point,
    ValueChange,
)
from harness.results.store import load_run, run_folder

HASH_DIGITS = 12  # of the hashes that name an input
SHORT_HASH = 20  # shorter values are no hashes, and shown whole


@dataclass(frozen=True)
class Printout:
    """An answer as the command prints it: `lines`, or `document` as JSON."""

    lines: list[str]
    document: object


@dataclass(frozen=True)
class LaneFilter:
    """The names of the lanes to show; None is any."""

    kernel: str | None = None
    machine: str | None = None
    suite: str | None = None


def ask(history: History, path: str | None, names: LaneFilter, limit: int) -> Printout:
    """Return one observation over time; raise UsageError for an unknown path or name."""
    if not path:
        raise UsageError("name an observation, or one of --flaky, --changes and --rebuild")
    history.check(path=path, **asdict(names))
    lanes = history.lanes(path, **asdict(names), limit=limit)
    lines = [path]
    for lane in lanes:
        lines += ["", *_lane_lines(lane)]
    if not lanes:
        lines.append("never seen in such a cell")
    document = {"path": path, "lanes": [_lane_document(lane) for lane in lanes]}
    return Printout(lines, document)


def ask_flaky(history: History, path: str | None, names: LaneFilter) -> Printout:
    """Return what changed while its inputs did not; raise UsageError for an unknown name."""
    history.check(path=path, **asdict(names))
    flakes = history.flaky(path, **asdict(names))
    lines = [line for flake in flakes for line in _flake_lines(flake)]
    document = [_flake_document(flake) for flake in flakes]
    return Printout(lines or ["nothing changed while its inputs stayed the same"], document)


def ask_changes(history: History, before: str, after: str) -> Printout:
    """Return the observations that differ between two runs, and the word on each lane.

    The word is that of `s2eval compare`, from records and logs: there is none for a run that is no
    longer on disk. Raise UsageError for an unknown run.
    """
    lanes = history.changes(before, after)
    words = words_of(before, after)
    lines = [f"{before} -> {after}"]
    document = []
    for lane in lanes:
        word = words.get(lane.lane)
        lines += ["", *_change_lines(lane, word)]
        fields = {"word": word.verdict.value, "headline": headline(word)} if word else {}
        document.append({**{name: plain(field) for name, field in vars(lane).items()}, **fields})
    return Printout(lines, document)


def words_of(before: str, after: str) -> dict[Lane, Conclusion]:
    """Return what the cells that two runs on disk have in common come to, by their lane."""
    try:
        folders = run_folder(before), run_folder(after)
        old, new = (
            {Lane(cell.kernel.name, cell.machine.name, cell.suite.name): cell
             for cell in load_run(folder).cells}
            for folder in folders
        )  # fmt: skip
    except S2EvalError:
        return {}
    return {
        lane: conclude([Pair(old[lane], cell)], folders, every_figure=True)
        for lane, cell in new.items()
        if lane in old
    }


def rebuild(history: History) -> Printout:
    """Store all runs on disk and return how many."""
    count = history.rebuild()
    return Printout([f"{count} runs stored in {history}"], {"runs": count, "history": str(history)})


def plain(value: object) -> object:
    """Return a value of the history as JSON has it: records as objects, by their fields' names."""
    fields = _fields(value)
    if fields is not None:
        return {name: plain(field) for name, field in fields.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _fields(value: object) -> dict[str, object] | None:
    """Return the fields of a record or a dict by name; None for other values."""
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    if is_dataclass(value):
        return vars(value)
    return value if isinstance(value, dict) else None


def _flake_document(flake: Flake) -> dict[str, object]:
    fields = {name: plain(field) for name, field in vars(flake).items()}
    return {**fields, "boots": flake.boots, "odd": flake.odd}


def _lane_document(lane: LaneSeries) -> dict[str, object]:
    """Return the lane with the inputs that changed before each point inside that point."""
    document = {name: plain(field) for name, field in vars(lane).items() if name != "inputs"}
    document["points"] = [
        {**point._asdict(), "inputs": plain(lane.inputs.get(index, ()))}
        for index, point in enumerate(lane.points)
    ]
    return document


def _lane_lines(lane: LaneSeries) -> Iterator[str]:
    yield f"{lane.lane}: {_verdict(lane)}"
    for flake in lane.flakes:
        yield f"  flaky: {_how_often(flake)}"
    index = 0
    for word, stretch in itertools.groupby(lane.points, key=_shown):
        points = list(stretch)
        if index and (changed := lane.inputs.get(index)):
            yield f"    changed: {_inputs(changed)}"
        runs = points[0].run if len(points) == 1 else f"{points[0].run} .. {points[-1].run}"
        count = f"{len(points)} x" if len(points) > 1 else ""
        yield f"  {_minute(points[0].started)}  {word:24} {count:>5} {runs}".rstrip()
        index += len(points)


def _shown(point: Point) -> str:
    """Return the value, with its status; a figure with a status other than DONE."""
    if isinstance(point.value, float):
        figure = f"{point.value:,.6g} {point.unit}".rstrip()
        return figure if point.status == "DONE" else f"{point.status} {figure}"
    return point.word


def _verdict(lane: LaneSeries) -> str:
    if lane.bad is None:
        return f"{lane.points[-1].status} in the last of {len(lane.points)}"
    return _since(lane.bad)


def _since(bad: FirstBad) -> str:
    first = f"{bad.first.word}, first bad run {bad.first.run} ({_minute(bad.first.started)})"
    if bad.good is None:
        return f"{first}, no good one before it"
    changed = _inputs(bad.inputs) if bad.inputs else "nothing: the same inputs"
    return f"{first}, last good one {bad.good.run}; changed between: {changed}"


def _flake_lines(flake: Flake) -> Iterator[str]:
    yield f"{flake.path} in {flake.lane}"
    yield f"  {_how_often(flake)}; last {_minute(flake.last)}"


def _how_often(flake: Flake) -> str:
    most, *others = flake.seen
    odd = ", ".join(f"{seen.count} x {seen.word}" for seen in others)
    return f"{flake.odd} of {flake.boots} with the same inputs: {odd}, otherwise {most.word}"


def _change_lines(lane: LaneChange, word: Conclusion | None) -> Iterator[str]:
    if lane.only:
        yield f"{lane.lane}: only in {lane.only}"
        return
    counts = f"{len(lane.observations)} changed, {lane.unchanged} unchanged"
    judged = f"{word.verdict.value}: {clean(headline(word))}; " if word else ""
    yield f"{lane.lane}: {judged}{counts}"
    yield f"  inputs: {_inputs(lane.inputs) if lane.inputs else 'the same'}"
    for change in lane.observations:
        yield f"  {change.what}: {change.before} -> {change.after}"


def _inputs(changes: Sequence[ValueChange]) -> str:
    return "; ".join(f"{c.what} {_short(c.before)} -> {_short(c.after)}" for c in changes)


def _short(value: str) -> str:
    """Return a hash by its first digits, any other value whole."""
    is_hash = len(value) >= SHORT_HASH and set(value) <= set("0123456789abcdef")
    return value[:HASH_DIGITS] if is_hash else value or "none"


def _minute(moment: str) -> str:
    """Return `2026-01-17 10:15` for `2026-01-17T10:15:30+00:00`."""
    return moment[:16].replace("T", " ")
