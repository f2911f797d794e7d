# SPDX-License-Identifier: GPL-2.0-only
"""What the page is made of: figures and their plots, what changed since the last run."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.evaluate.patch.verdict.figures import compared
from harness.report import logs
from harness.report.page.audits import audits, limits
from harness.report.page.figures import Figure, figures, short_names
from harness.report.page.model import page_of
from harness.report.page.plots import Plotter
from harness.report.page.since import changes, previous
from harness.report.page.trends import Trends
from harness.results.compare import Pair
from harness.results.logs import pack
from harness.results.readings import FidelityRecord
from harness.results.records import Observation, Run, Status
from harness.results.stats import summaries, summarize
from harness.results.store import RECORD
from tests.unit.report.report_runs import (
    CUT,
    KILLED,
    LINES,
    PATCHED,
    a_cell,
    a_run,
    quickstart,
    recorded,
)


def measured(
    kernel: str, samples: list[float], *, representative: bool = True, repeats: int = 1
) -> Run:
    cell = a_cell(kernel, LINES)
    cell.repeats = repeats
    detail = {} if representative else {"representative": False}
    cell.observations = [
        Observation(
            path=f"wcprobe.{place}.rate",
            status=Status.DONE,
            value=samples[0],
            unit="MB/s",
            samples=samples,
            detail=detail,
        )
        for place in ("ioremap", "ioremap_wc")
    ]
    return a_run(cell)


def together(*runs: Run) -> Run:
    return a_run(*(cell for run in runs for cell in run.cells))


# -- figures ----------------------------------------------------------------------------------


def test_a_figure_has_every_kernel_and_mapping() -> None:
    (rate,) = figures(together(measured("a", [1.0, 2, 3]), measured("b", [4.0, 5, 6])))
    assert (rate.name, rate.unit, rate.mappings) == ("rate", "MB/s", ["ioremap", "ioremap_wc"])
    assert [(p.kernel, p.mapping) for p in rate.points][:2] == [
        ("a", "ioremap"),
        ("a", "ioremap_wc"),
    ]


def test_intervals_are_those_of_the_statistics() -> None:
    sets = [[1.0, 2, 3, 4, 90], [5.0, 5, 5, 5, 5], [0.1, 0.2, 0.15, 0.3, 0.12]]
    assert summaries(sets) == [summarize(samples) for samples in sets]
    assert summaries([[7.0]]) == [summarize([7.0])]
    (rate, *_) = figures(measured("a", sets[0]))
    assert rate.points[0].summary == summarize(sets[0])


def test_only_representative_figures_are_compared() -> None:
    slow, fast = [10.0, 11, 12, 10, 11, 12, 10], [20.0, 21, 22, 20, 21, 22, 20]
    (rate,) = figures(together(measured("a", slow, repeats=7), measured("b", fast, repeats=7)))
    assert any(re.match(r"ioremap: a -> b: x 1\.91 \(p = ", line) for line in rate.shifts)
    assert rate.shifts[0].endswith("7 and 7 boots)")
    (rate,) = figures(together(measured("a", slow, repeats=7), measured("b", slow, repeats=7)))
    assert rate.shifts == []
    tcg = [measured("a", slow, repeats=7), measured("b", fast, representative=False, repeats=7)]
    (rate,) = figures(together(*tcg))
    assert rate.shifts == [] and not rate.representative


@pytest.mark.parametrize("repeats", [1, 3, 4, 7])
def test_the_page_differs_where_the_verdict_does(repeats: int) -> None:
    """Two figures, ioremap's and ioremap_wc's: four boots are enough for one, not for both."""
    slow, fast = [10.0 + n for n in range(84)], [100.0 + n for n in range(84)]
    run = together(measured("a", slow, repeats=repeats), measured("b", fast, repeats=repeats))
    (rate,) = figures(run)
    records = compared(Pair(*run.cells))
    assert len(records) == 2
    assert len(rate.shifts) == sum(one.differs for one in records) == (2 if repeats == 7 else 0)


def test_what_is_no_figure() -> None:
    run = measured("a", [1.0])
    run.cells[0].observations += [
        Observation(path="wcprobe.x", status=Status.SKIP, value=1, unit="ns"),
        Observation(path="wcprobe.y", status=Status.DONE, value=float("nan"), unit="ns"),
        Observation(path="wcprobe.z", status=Status.DONE, value=3),
        Observation(path="wcprobe.w", status=Status.DONE, value="works", unit="ns"),
        Observation(path="wcprobe.a.b.c.d", status=Status.DONE, value=3, unit="ns"),
    ]
    assert [figure.name for figure in figures(run)] == ["rate"]


def test_short_names() -> None:
    assert short_names(["a", "a+x", "b+x"]) == {"a": "a", "a+x": "+x", "b+x": "b+x"}


# -- plots ------------------------------------------------------------------------------------


def a_plot(kernel: str = "a", *, representative: bool = True) -> tuple[Figure, str]:
    (rate,) = figures(measured(kernel, [1.0, 2, 3], representative=representative))
    return rate, Plotter().svg(rate, 7)


def test_a_plot_is_the_same_every_time_and_has_ids_of_its_own() -> None:
    rate, svg = a_plot()
    plotter = Plotter()
    other = plotter.svg(figures(measured("other", [100.0, -3.5]))[0], 1)
    assert other != svg == plotter.svg(rate, 7) == plotter.svg(rate, 7)
    assert "nan" not in svg.lower() and len(plotter.svg(rate, 7)) == len(svg)
    ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert all(name.startswith("p7-") for name in re.findall(r'\bid="([^"]*)"', svg))
    assert all(name.startswith("p7-") for name in re.findall(r'href="#([^"]*)"', svg))


def test_a_plot_has_the_colours_of_the_page_alone() -> None:
    _, svg = a_plot()
    assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) == {
        "none", "var(--fg)", "var(--line)", "var(--mark)",
    }  # fmt: skip
    _, tcg = a_plot(representative=False)
    assert "var(--bg)" in tcg  # an open circle


def test_names_in_a_plot_are_text() -> None:
    _, svg = a_plot("<b>$\\frac{1}{0}$ & 你好")
    assert "&lt;b&gt;$\\frac{1}{0}$ &amp; 你好</text>" in svg
    ElementTree.fromstring(svg)  # noqa: S314
    _, svg = a_plot("debian-6.1+a-very-long-series-name-that-ends-in-v2")
    assert "debian-6…that-ends-in-v2</text>" in svg


# -- since the last run -----------------------------------------------------------------------


def stored(run: Run, base: Path, name: str, plan: str = "plans/q.toml") -> Path:
    run.run.id, run.run.plan = name, plan
    folder = base / name
    folder.mkdir()
    (folder / RECORD).write_text(run.model_dump_json(by_alias=True))
    return folder


def test_the_run_before_is_the_newest_of_the_same_plan(tmp_path: Path) -> None:
    stored(quickstart(), tmp_path, "20260115-000000-q")
    stored(quickstart(), tmp_path, "20260116-000000-q")
    stored(quickstart(), tmp_path, "20260116-120000-other", "plans/other.toml")
    (tmp_path / "20260116-130000-q").mkdir()
    (tmp_path / "20260116-130000-q" / RECORD).write_text("broken")
    stored(a_run(), tmp_path, "20260116-140000-q")
    mine = quickstart()
    folder = stored(mine, tmp_path, "20260117-000000-q", "./plans/q.toml")
    stored(quickstart(), tmp_path, "20260118-000000-q")
    before = previous(mine, folder)
    assert before and before.run.id == "20260116-000000-q"
    first = stored(quickstart(), tmp_path, "20260101-000000-q")
    assert previous(quickstart(), first) is None


def test_nothing_changed() -> None:
    found = changes(quickstart(), quickstart())
    assert (found.changes, found.added, found.gone, found.moved) == ([], [], [], [])
    assert found.same == 2


def test_what_changed_is_told_once_for_all_machines() -> None:
    machines = ("x", "y")
    before = a_run(*(a_cell(PATCHED, LINES, machine=m) for m in machines))
    after = a_run(*(a_cell(PATCHED, LINES, machine=m) for m in machines))
    for cell in after.cells:
        item = next(o for o in cell.observations if o.path == "wcprobe.ioremap_wc.unaligned_load")
        item.status, item.value, cell.status = Status.FAIL, "faults", Status.FAIL
    (change,) = changes(before, after).changes
    assert (change.machines, change.cells) == (["x", "y"], [0, 1])
    assert change.statuses == "PASS -> FAIL"
    assert change.clauses[0].startswith("ioremap_wc.unaligned_load: works -> FAIL (")


def test_cells_that_came_and_went_and_kernels_that_moved() -> None:
    before, after = quickstart(), quickstart()
    before.cells.append(a_cell("old", LINES))
    after.cells.append(a_cell("new", LINES))
    for run, commit in ((before, "a" * 40), (after, "b" * 40)):
        run.cells[0].kernel.build_key = run.cells[0].kernel.commit = commit
    found = changes(before, after)
    assert found.added == ["new/nested-tcg/wcprobe"] and found.gone == ["old/nested-tcg/wcprobe"]
    assert found.moved == [f"debian-6.1: commit {'a' * 12} -> {'b' * 12}"]


def test_comparisons_that_come_to_the_same_are_told_once() -> None:
    run = a_run(a_cell("old", CUT, KILLED), a_cell("a", LINES), a_cell("b", LINES))
    run.cells[2].observations.append(Observation(path="wcprobe.more", status=Status.SKIP))
    same = page_of(a_run(*run.cells[:2], a_cell("b", LINES)), None, Trends([])).comparisons
    assert [compared.heads for compared in same] == [
        ["old -> a on nested-tcg", "old -> b on nested-tcg"]
    ]
    assert same[0].clauses[0] == "ioremap_wc.unaligned_load: VM killed -> works"
    assert len(page_of(run, None, Trends([])).comparisons) == 2


# -- audits, limits, logs ---------------------------------------------------------------------


def test_equal_readings_are_one_line() -> None:
    run = recorded()
    (wc,) = [mapped for mapped in audits(run) if mapped.mapping == "ioremap_wc"]
    assert [line.kernels for line in wc.lines] == [["debian-6.1"], [PATCHED]]
    assert wc.status is Status.FAIL and "MemAttr 0x1" in wc.lines[0].reading.stage2_bits
    run.cells.append(run.cells[1].model_copy(deep=True))
    run.cells[2].machine.name = "other"
    (wc,) = [mapped for mapped in audits(run) if mapped.mapping == "ioremap_wc"]
    assert wc.lines[1].machines == ["nested-tcg", "other"] and wc.lines[1].cells == [1, 2]


def test_the_limits_of_machines_name_the_machine_once() -> None:
    run = recorded()
    said = {"mte": "QEMU 10 has no MTE", "fwb": "QEMU 10 has no FWB"}
    run.cells[0].fidelity = FidelityRecord(limits=said)
    run.cells[1].fidelity = run.cells[0].fidelity
    (found,) = limits(run)
    assert found.machines == ["nested-tcg"] and found.what == "QEMU 10 has no"
    assert found.sentences == ["MTE", "FWB"]


def test_the_end_of_a_log_compressed_or_not(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(2000)))
    plain = logs.tail(tmp_path, log.name, 100)
    assert plain[-1] == "line 1999" and len("\n".join(plain)) <= 100
    assert all(re.fullmatch(r"line \d+", line) for line in plain)
    pack(log)
    assert logs.tail(tmp_path, log.name, 100) == plain
    (tmp_path / "console.log.gz").write_bytes(b"\x1f\x8bbroken")
    assert logs.tail(tmp_path, log.name) == [] == logs.tail(tmp_path, "none.log")
