# SPDX-License-Identifier: GPL-2.0-only
"""A verdict for a terminal and for a mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from harness.base.json_text import json_text
from harness.base.text import clean
from harness.evaluate.patch.verdict.document import StepRecord, VerdictDocument
from harness.evaluate.patch.verdict.verdict import VerdictChange
from harness.evaluate.patch.verdict.word import ChangeKind, counts
from harness.report.counted import TITLES, census_lines, prefix_and_name, sentence
from harness.results.compare import NOT_REACHED
from harness.results.figures import figure

NAMED = 4  # paths that a line names before it counts the rest
LISTED = 12  # lines of one kind
TRACED = 8  # lines of a trace


def show(
    document: VerdictDocument, folder: Path | None, *, as_json: bool, as_markdown: bool = False
) -> None:
    """Print a verdict; `folder` is its run's, None when it made none."""
    if as_json:
        click.echo(json_text(document, indent=2, by_alias=True))
    elif as_markdown:
        click.echo(markdown(document), nl=False)
    else:
        click.echo(text(document, str(folder or "")), nl=False)


def text(document: VerdictDocument, folder: str) -> str:
    """Return the verdict, its evidence, and how to reproduce it; `folder` is the run's."""
    return "\n".join([*_lines(document), *_end(document, folder)]) + "\n"


def markdown(document: VerdictDocument) -> str:
    """Return the verdict and its evidence to be pasted into a reply, without local paths."""
    lines = [f"**{document.verdict.value.upper()}**: {clean(document.headline, 400)}", ""]
    lines += ["```", *_about(document), *_body(document), "```", ""]
    versions = sorted({cell.kernel.compiler for cell in document.patched.cells})
    qemus = sorted({cell.machine.qemu for cell in document.patched.cells if cell.machine.qemu})
    if qemus:
        lines.append(f"QEMU {', '.join(qemus)}; {'; '.join(versions)}")
    return "\n".join(lines).rstrip() + "\n"


def _lines(document: VerdictDocument) -> list[str]:
    head = f"{document.verdict.value.upper()}: {clean(document.headline, 600)}"
    return [head, "", *_about(document), *_body(document)]


def _about(document: VerdictDocument) -> Iterator[str]:
    series = document.series
    if series:
        count = len(series.subjects)
        yield _row("series", f"{clean(series.name)}, {_count(count, 'patch', 'patches')}")
        for number, subject in enumerate(series.subjects[:NAMED], start=1):
            yield _row("", f"{number} {clean(subject, 90)}" if count > 1 else clean(subject, 90))
        if count > NAMED:
            yield _row("", f"and {count - NAMED} more")
    for label, side in (("base", document.base), ("patched", document.patched)):
        kernel = side.kernel
        version = f" ({kernel.version}, {kernel.source})" if kernel else ""
        yield _row(label, f"{clean(side.name, 200)}{version}")
    suites_on: dict[str, list[str]] = {}
    for cell in document.patched.cells:
        suites_on.setdefault(cell.machine.name, []).append(cell.suite.name)
    for machine, suites in suites_on.items():
        boots = max((c.repeats for c in document.patched.cells), default=1)
        often = f", {boots} boots each" if boots > 1 else ""
        yield _row("cells", f"{clean(machine)}: {', '.join(map(clean, suites))}{often}")


def _body(document: VerdictDocument) -> Iterator[str]:
    several = len({(c.machine.name, c.suite.name) for c in document.patched.cells}) > 1
    for step in document.steps:
        yield from _step(step, len(document.steps))
    for kind, title in TITLES.items():
        changes = [c for c in document.changes if c.kind is kind and not c.repeats]
        if changes:
            yield ""
            yield title
            yield from _changes([c for c in changes if not _one_sided(c)], several=several)
            yield from _not_reached(changes)
    if document.unchanged:
        yield f"{'':10} {_count(document.unchanged, 'observation', 'observations')} the same"
    if document.open and document.open != [document.headline]:
        yield ""
        yield "not decided"
        yield from (f"  {clean(line, 600)}" for line in document.open)
    rest = [*_census(document), *_reach(document), *_sizes(document), *_style(document)]
    rest += [_row("note", clean(note, 400)) for note in document.notes]
    if rest:
        yield ""
        yield from rest


def _step(step: StepRecord, total: int) -> Iterator[str]:
    result = step.verdict.value
    if step.error or step.same:
        result = "does not build" if step.error else "the same Image"
    yield f"  {step.count}/{total} {result:14} {clean(step.title, 80)}"


def _one_sided(change: VerdictChange) -> bool:
    """Tell whether only one of the kernels came to the place, which proves nothing."""
    return change.kind is ChangeKind.CHANGED and NOT_REACHED in (change.base, change.patched)


def _not_reached(changes: Sequence[VerdictChange]) -> Iterator[str]:
    """Yield a line for all that only one of the kernels came to."""
    for side in ("base", "patched"):
        missing = [c for c in changes if _one_sided(c) and getattr(c, side) == NOT_REACHED]
        paths = ["".join(prefix_and_name(change)) for change in missing]
        if paths:
            more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
            yield f"  not reached by {side}: {', '.join(map(clean, paths[:NAMED]))}{more}"


def _changes(changes: Sequence[VerdictChange], *, several: bool) -> Iterator[str]:
    """Yield the lines of `changes`; paths with the same change share a line.

    What the headline counts is named in full; of other differences only the first are.
    """
    groups: dict[tuple[str, ...], list[VerdictChange]] = {}
    for change in changes:
        cell = f"{change.machine}, {change.suite}: " if several and change.machine else ""
        prefix, _ = prefix_and_name(change)
        patch = str(change.detail.get("patch", ""))
        groups.setdefault((cell, prefix, change.base, change.patched, patch), []).append(change)
    for count, ((cell, *_), members) in enumerate(groups.items()):
        if count == LISTED and not counts(members[0]):
            yield f"  and {len(groups) - LISTED} more (--json)"
            return
        paths = [prefix_and_name(member)[1] for member in members]
        named = len(paths) if counts(members[0]) else NAMED
        more = f" and {len(paths) - named} more" if len(paths) > named else ""
        names = ", ".join(map(clean, paths[:named])) + more
        yield f"  {cell}{sentence(members[0], names)}"
        yield from _detail(members[0])


def _detail(change: VerdictChange) -> Iterator[str]:
    if "patch" in change.detail:
        yield f"    in patch {change.detail['patch']} only"
    if "effect" in change.detail:
        yield (f"    x {change.detail['ratio'] or 0:.3g}, effect {change.detail['effect']:+.2f}"
               f" (Cliff's delta), p {change.detail['p']:.2g}")  # fmt: skip
    for side, seen in change.detail.get("flaky", {}).items():
        often = ", ".join(f"{n} times {clean(str(word))}" for word, n in seen.items())
        yield f"    {side} flickers: {often}"
    if change.kind is ChangeKind.REGRESSED and change.detail.get("reason"):
        yield f"    {clean(str(change.detail['reason']), 300)}"
    for whose, key in (("VMM", "vmm"), ("L1", "host")):
        said = [line for line in change.detail.get(key, ()) if line != change.detail.get("reason")]
        for line in said[:TRACED]:
            yield f"    {whose}: {clean(str(line), 200)}"
    trace = change.detail.get("trace", ())
    yield from (f"    {clean(line, 160)}" for line in trace[1 : TRACED + 1])
    if len(trace) > TRACED + 1:
        yield f"    {len(trace) - TRACED - 1} more lines"


def _reach(document: VerdictDocument) -> Iterator[str]:
    if document.reach and document.reach.added:
        yield _row("reach", clean(document.reach.summary, 400))


def _census(document: VerdictDocument) -> Iterator[str]:
    for number, line in enumerate(census_lines(document)):
        yield _row("" if number else "stage 2", line)


def _sizes(document: VerdictDocument) -> Iterator[str]:
    grown = [
        f"{name} {after - before:+,}"
        for name, (before, after) in document.size.items()
        if after != before
    ]
    if grown:
        yield _row("bytes", ", ".join(grown))
    elif document.size:
        yield _row("bytes", f"Image as large as before ({figure(document.size['Image'][0], '')})")


def _style(document: VerdictDocument) -> Iterator[str]:
    for tool in ("checkpatch", "sparse"):
        complaints = [complaint for complaint in document.style if complaint.tool == tool]
        for complaint in complaints[:NAMED]:
            yield _row(tool, f"{clean(complaint.text, 140)} ({clean(complaint.place)})")
        if len(complaints) > NAMED:
            yield _row(tool, f"{len(complaints) - NAMED} more (--json)")


def _end(document: VerdictDocument, folder: str) -> Iterator[str]:
    yield ""
    for number, line in enumerate(document.reproduce):
        yield _row("again" if not number else "", line)
    if folder:
        yield _row("records", folder)
    took = f"{document.seconds:.1f} s, " if document.seconds else ""
    yield f"{took}exit code {document.exit_code}"


def _row(label: str, value: str) -> str:
    return f"{label:10} {value}".rstrip()


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"
