# SPDX-License-Identifier: GPL-2.0-only
"""What the headline of a verdict counts has its line in every form of output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml

from harness.base.text import clean
from harness.evaluate.patch.verdict.conclude import Conclusion, conclude, headline
from harness.evaluate.patch.verdict.document import Side, VerdictDocument
from harness.evaluate.patch.verdict.verdict import STATUS, VerdictChange
from harness.evaluate.patch.verdict.word import ChangeKind, counts
from harness.report.counted import counted, prefix_and_name
from harness.report.formats import Source, export
from harness.report.page import render
from harness.report.page.trends import Trends
from harness.report.terminal import verdict as terminal
from harness.report.terminal.run import print_run
from harness.results.compare import Pair
from harness.results.records import Observation, Run, Status, exit_code_of
from harness.results.store import PATCH
from tests.data_files import DATA
from tests.unit.evaluate.patch.patch_cells import cell, saw

RUN = Run.model_validate_json((DATA / "runs/quickstart.json").read_text())
ABOUTS = ("probe", "audit", "witness", "expectation", "ending", "figure", "log", "build")

_names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
_words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)


@st.composite
def _changes(draw: st.DrawFn) -> VerdictChange:
    about = draw(st.sampled_from(ABOUTS))
    tops = {"audit": "audit", "witness": "witness", "log": "log.L1", "build": "build"}
    top = tops.get(about, "wcprobe")
    return VerdictChange(
        path=f"{top}.{draw(_names)}.{draw(_names)}",
        base=draw(_words),
        patched=draw(_words),
        kind=draw(st.sampled_from(ChangeKind)),
        about=about,
        machine="nested-tcg",
        suite="wcprobe",
        repeats=draw(st.booleans()),
        detail={"ratio": 1.0, "effect": 1.0, "p": 0.01} if about == "figure" else {},
    )


def document_of(changes: list[VerdictChange], questions: list[str]) -> VerdictDocument:
    """Return the document of a run of `s2eval patch` with these changes."""
    told = Conclusion(changes=changes, open=questions)
    before, after = RUN.cells
    return VerdictDocument(
        verdict=told.verdict,
        status=STATUS[told.verdict],
        exit_code=exit_code_of(STATUS[told.verdict]),
        headline=headline(told),
        open=questions,
        base=Side(name=before.kernel.name, kernel=before.kernel, cells=[before]),
        patched=Side(name=after.kernel.name, kernel=after.kernel, cells=[after]),
        changes=changes,
        run=RUN.run.id,
    )


def _printed(folder: Path) -> str:
    file = StringIO()
    print_run(RUN, folder, file=file, width=80)
    return file.getvalue()


def _kept(folder: Path) -> VerdictDocument:
    return VerdictDocument.model_validate_json((folder / PATCH).read_text())


def _of_junit(folder: Path) -> str:
    """Return the lines of the test cases, each of which has to be there once."""
    suites = JUnitXml.fromstring(export(Source(RUN, folder), "junit").encode())
    (suite,) = (one for one in suites if one.name.startswith("verdict: "))
    return "\n".join(str(case.system_out) for case in suite)


def _of_kcidb(folder: Path) -> str:
    tests = json.loads(export(Source(RUN, folder), "kcidb"))["tests"]
    return "\n".join(t["comment"] for t in tests if t["path"].startswith("s2eval.verdict"))


FORMS: dict[str, Callable[[Path], str]] = {
    "terminal": lambda folder: terminal.text(_kept(folder), ""),
    "mail": lambda folder: terminal.markdown(_kept(folder)),
    "show": _printed,
    "page": lambda folder: render(RUN, folder, Trends([])),
    "markdown": lambda folder: export(Source(RUN, folder), "markdown"),
    "junit": _of_junit,
    "kcidb": _of_kcidb,
    "json": lambda folder: _kept(folder).model_dump_json(by_alias=True),
}


def _plain(text: str) -> str:
    """Return a text without what wrapping, quoting and escaping change."""
    text = re.sub(r"&(amp|lt|gt|quot|#\w+);", "", text)
    return re.sub(r"[^a-z0-9_.]", "", text.casefold())


@pytest.mark.parametrize("form", FORMS)
@given(st.lists(_changes(), max_size=20), st.lists(st.just("no answer"), max_size=1))
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_is_counted_is_listed(
    tmp_path: Path, form: str, changes: list[VerdictChange], questions: list[str]
) -> None:
    document = document_of(changes, questions)
    (tmp_path / PATCH).write_text(document.model_dump_json(by_alias=True))
    shown = _plain(FORMS[form](tmp_path))
    for change in changes:
        if counts(change):
            name = change.path if form == "json" else prefix_and_name(change)[1]
            assert _plain(clean(name)) in shown, (form, change)
    worse = sum(counts(c) and c.kind is ChangeKind.REGRESSED for c in changes)
    better = sum(counts(c) and c.kind is ChangeKind.IMPROVED for c in changes)
    assert [thing.worse for thing in counted(document)] == [True] * worse + [False] * better
    if worse:
        assert f"{worse} thing" in document.headline


_results = st.sampled_from(
    [
        *(saw("s.t", None, status) for status in Status),
        saw("s.t", "vm-killed", Status.FAIL),
        *(saw("audit.x", None, status) for status in (Status.PASS, Status.FAIL)),
        *(saw("audit.x.stage2", word, Status.DONE) for word in ("Normal-NC", "Device-nGnRE")),
        saw("s.t.host", None, Status.PASS),
        saw("s.t.host", None, Status.FAIL),
        saw("s.not_reached", None, Status.SKIP),
        saw("s.guest", "panic", Status.FAIL),
    ]
)
_records = st.lists(_results, max_size=6, unique_by=lambda item: item.path)


@given(_records, _records)
@settings(deadline=None)
def test_what_is_better_or_worse_is_counted_or_follows_from_what_is(
    before: list[Observation], after: list[Observation]
) -> None:
    told = conclude([Pair(cell("a", *before), cell("b", *after))], (None, None), every_figure=False)
    for change in told.changes:
        if change.kind is not ChangeKind.CHANGED and change.repeats:
            cause = next(c for c in told.changes if c.path == change.follows)
            assert counts(cause) and cause.kind is change.kind
