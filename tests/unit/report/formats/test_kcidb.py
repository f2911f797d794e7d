# SPDX-License-Identifier: GPL-2.0-only
"""KCIDB v5.3 out, judged by the schema that kcidb-io carries."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kcidb_io.schema import V5_3

from harness.base.errors import UsageError
from harness.kernel.series import patches, patchset_hash
from harness.report.formats import Source, export
from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure, Observation, Run, Status
from tests.unit.report.format_runs import expected, failing, hostile
from tests.unit.report.report_runs import LINES, a_cell, a_run, quickstart, recorded


def read(run: Run, origin: str = "s2eval") -> dict[str, Any]:
    run.run.started = "2026-01-17T10:15:30+00:00"
    document: dict[str, Any] = json.loads(export(Source(run, origin=origin), "kcidb"))
    V5_3.validate(document)
    assert V5_3.is_compatible_directly(document)
    return document


def by_id(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {one["id"]: one for one in objects}
    assert len(found) == len(objects)
    return found


def test_version_and_ids() -> None:
    document = read(recorded(), origin="my_lab")
    assert document["version"] == {"major": 5, "minor": 3}
    for group in ("checkouts", "builds", "tests", "issues", "incidents"):
        for name, one in by_id(document[group]).items():
            assert name.startswith("my_lab:") and one["origin"] == "my_lab"


def test_every_id_that_is_pointed_to_is_there() -> None:
    document = read(quickstart())
    checkouts, builds, tests = (by_id(document[g]) for g in ("checkouts", "builds", "tests"))
    assert {build["checkout_id"] for build in builds.values()} == set(checkouts)
    assert {test["build_id"] for test in tests.values()} == set(builds)
    for incident in document["incidents"]:
        assert incident["test_id"] in tests
        assert incident["issue_id"] in by_id(document["issues"])


def test_a_checkout_is_a_commit_and_its_patches() -> None:
    run = recorded()
    files = patches(["stage2-normal-nc"])
    run.cells[1].kernel.series_hash = patchset_hash(files)
    plain, patched = read(run)["checkouts"]
    assert plain["patchset_hash"] == ""
    sums = "".join(hashlib.sha256(Path(f).read_bytes()).hexdigest() + "\n" for f in files)
    assert patched["patchset_hash"] == hashlib.sha256(sums.encode()).hexdigest()
    assert plain["git_commit_hash"] == run.cells[0].kernel.commit
    assert plain["git_commit_hash"] == patched["git_commit_hash"]


def test_figures_have_numbers_without_a_prefix_in_the_unit() -> None:
    tests = by_id(read(failing())["tests"])
    (speed,) = [test for test in tests.values() if test["path"] == "s2eval.wcprobe.a.speed"]
    assert speed["status"] == "DONE"
    assert speed["number"] == {"value": 12.5e6, "unit": "B/s", "prefix": "metric"}
    good = next(test for test in tests.values() if test["path"].endswith("a.good"))
    assert "number" not in good


@pytest.mark.parametrize(
    ("value", "unit", "number"),
    [
        (3.5, "ns", {"value": 3.5e-9, "unit": "s", "prefix": "metric"}),
        (7, "ticks/4KiB", {"value": 7, "unit": "ticks/4KiB"}),
        (7, None, {"value": 7}),
        (float("nan"), "ns", None),
        (float("inf"), "ns", None),
        (True, None, None),
        ("works", None, None),
    ],
)
def test_numbers(value: Any, unit: str | None, number: dict[str, Any] | None) -> None:
    run = failing()
    run.cells[0].observations[2] = Observation(
        path="wcprobe.x", status=Status.DONE, value=value, unit=unit, samples=[1.0, float("nan")]
    )
    (test,) = [t for t in read(run)["tests"] if t["path"] == "s2eval.wcprobe.x"]
    assert test.get("number") == pytest.approx(number) if number else "number" not in test


def test_a_finding_is_an_incident_of_an_issue_that_is_the_same_every_night() -> None:
    first, second = failing(reason="kvm [59]: no", kind="oops"), failing(reason="kvm [60]: no")
    second.run.id = "20260118-101530-quickstart"
    documents = [read(first), read(second)]
    (issue,), (again,) = (document["issues"] for document in documents)
    assert issue == again
    assert issue["culprit"] == {"code": True, "tool": False, "harness": False}
    (one,), (other,) = (document["incidents"] for document in documents)
    assert one["id"] != other["id"] and one["present"]


@pytest.mark.parametrize(
    ("status", "culprit"), [(Status.FAIL, "code"), (Status.ERROR, "tool"), (Status.MISS, "harness")]
)
def test_whose_fault_it_is(status: Status, culprit: str) -> None:
    (issue,) = read(failing(status, kind=""))["issues"]
    assert [name for name, guilty in issue["culprit"].items() if guilty] == [culprit]


def test_an_expected_failure_is_one_all_the_same_and_said_to_be_expected() -> None:
    document = read(expected(failing()))
    bad = next(test for test in document["tests"] if test["path"] == "s2eval.wcprobe.a.bad")
    assert bad["status"] == "FAIL" and bad["misc"]["expected"]
    assert document["incidents"][0]["comment"] == "as the plan expects"


def test_a_kernel_that_does_not_build() -> None:
    cell = a_cell("a", LINES)
    cell.observations, cell.status = [], Status.MISS
    cell.failure = Failure(
        kind=FailureKind.BUILD, summary="no", excerpt=["mmu.c:1: error"], where="build"
    )
    document = read(a_run(cell))
    (build,) = document["builds"]
    assert (build["status"], build["log_excerpt"]) == ("MISS", "mmu.c:1: error")
    assert {test["status"] for test in document["tests"]} == {"MISS"}


@pytest.mark.parametrize("origin", ["", "My-Lab", "a b", "lab:1", "läb"])
def test_an_origin_that_is_none(origin: str) -> None:
    with pytest.raises(UsageError, match=r"only a-z, 0-9 and _"):
        export(Source(recorded(), origin=origin), "kcidb")


def test_hostile_words_and_paths_said_twice() -> None:
    run = hostile()
    run.cells[0].observations += run.cells[0].observations
    by_id(read(run)["tests"])


@given(st.text(), st.text(), st.sampled_from(Status))
def test_any_words_are_valid(path: str, reason: str, status: Status) -> None:
    run = failing(status, reason=reason, name=path)
    run.cells[0].observations[0].path = path
    read(run)
