# SPDX-License-Identifier: GPL-2.0-only
"""The changes of a verdict in words, and those that its headline counts, a line each. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.base.text import clean
from harness.evaluate.patch.verdict.document import VerdictDocument
from harness.evaluate.patch.verdict.verdict import NOT_THERE, VerdictChange
from harness.evaluate.patch.verdict.word import ChangeKind, counts
from harness.report.view.words import LABELS, words

TITLES = {
    ChangeKind.REGRESSED: "worse",
    ChangeKind.IMPROVED: "better",
    ChangeKind.CHANGED: "different",
}
STAGES = {"stage1": "stage 1 of ", "stage2": "stage 2 of ", "combined": "effective type of "}
PREFIXES = {"census": "all of stage 2, ", "witness": "witnesses of ", "build": "compiler: "}
LINE = 300  # characters of a log's line
HEADLINE = 600


@dataclass(frozen=True)
class Counted:
    """A thing that the headline of a verdict counts; `title` is `worse` or `better`."""

    change: VerdictChange
    title: str
    text: str

    @property
    def worse(self) -> bool:
        """Tell whether this is a promise broken, not one kept."""
        return self.change.kind is ChangeKind.REGRESSED


def counted(document: VerdictDocument) -> list[Counted]:
    """Return all that the headline counts, what is worse first."""
    several = _several(document)
    things = []
    for kind in (ChangeKind.REGRESSED, ChangeKind.IMPROVED):
        for change in document.changes:
            if change.kind is kind and counts(change):
                place, name = _place(change, several=several), clean(prefix_and_name(change)[1])
                text = place + sentence(change, name) + _reason(change)
                things.append(Counted(change, TITLES[kind], text))
    return things


def word_line(document: VerdictDocument) -> str:
    """Return the word on a comparison and what it rests on, e.g. `regressed: 1 thing worse, …`."""
    return f"{document.verdict.value}: {clean(document.headline, HEADLINE)}"


def kernels(document: VerdictDocument) -> str:
    """Return the two kernels of a comparison, `a -> b`."""
    return f"{clean(document.base.name)} -> {clean(document.patched.name)}"


def counted_lines(document: VerdictDocument) -> list[str]:
    """Return the counted things, those with the same change on one line, which names all."""
    several = _several(document)
    groups: dict[tuple[str, ...], list[VerdictChange]] = {}
    for thing in counted(document):
        change = thing.change
        prefix, _ = prefix_and_name(change)
        place, reason = _place(change, several=several), _reason(change)
        key = (thing.title, place, reason, prefix, change.base, change.patched)
        groups.setdefault(key, []).append(change)
    return [
        f"{title}: {place}"
        + sentence(members[0], ", ".join(clean(prefix_and_name(one)[1]) for one in members))
        + reason
        for (title, place, reason, *_), members in groups.items()
    ]


def census_lines(document: VerdictDocument) -> list[str]:
    """Return what became of all of stage 2, a line for machines and suites of which it is alike."""
    cells: dict[str, list[str]] = {}
    for one in document.census:
        cells.setdefault(one.summary, []).append(f"{clean(one.machine)}, {clean(one.suite)}")
    several = len(document.census) > 1
    return [
        clean(summary, HEADLINE) + (f" ({'; '.join(where)})" if several else "")
        for summary, where in cells.items()
    ]


def sentence(change: VerdictChange, names: str) -> str:
    """Return a change in words; `names` are those of all that changed in the same way."""
    before, after = change.base, change.patched
    if change.about == "log":
        word, line = ("new", after) if after != NOT_THERE else ("gone", before)
        return f"{word} in {names}: {clean(line, LINE)}"
    prefix, _ = prefix_and_name(change)
    return f"{prefix}{names}: {words(before)} -> {words(after)}"


def prefix_and_name(change: VerdictChange) -> tuple[str, str]:
    """Return the words that stand before names of a change's kind, and its name."""
    top, _, rest = change.path.partition(".")
    if change.about == "audit":
        mapping, _, stage = rest.rpartition(".")
        return (STAGES[stage], mapping) if stage in STAGES else ("audit of ", rest)
    if change.about in PREFIXES:
        return PREFIXES[change.about], rest
    if change.about == "log":
        return "", f"{rest.partition('.')[0]}'s log"
    if change.about == "expectation":
        return "expected: ", change.path
    name = rest if top == change.suite and rest else change.path
    return "", ".".join(LABELS.get(part, part) for part in name.split("."))


def _reason(change: VerdictChange) -> str:
    """Return why something is worse, to follow its sentence; "" where that is all there is."""
    reason = str(change.detail.get("reason", ""))
    worse = change.kind is ChangeKind.REGRESSED
    return f" ({clean(reason, LINE)})" if worse and reason else ""


def _several(document: VerdictDocument) -> bool:
    return len({(c.machine.name, c.suite.name) for c in document.patched.cells}) > 1


def _place(change: VerdictChange, *, several: bool) -> str:
    return clean(f"{change.machine}, {change.suite}: ") if several and change.machine else ""
