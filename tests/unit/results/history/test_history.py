# SPDX-License-Identifier: GPL-2.0-only
"""The history's questions, in SQLite here and in PostgreSQL in tests/system/test_history.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import UniqueConstraint, create_engine, inspect

from harness.base.errors import UsageError
from harness.results.history import schema
from harness.results.history.db import Database
from harness.results.history.history import History
from harness.results.history.values import Lane, ValueChange
from harness.results.records import Case, Observation, Status
from tests.unit.results.history_runs import DEAD, FIGURE, GOOD, HERE, PATH, cell, name, run, seen

LANE = Lane("debian-6.1", "nested-tcg", "wcprobe")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/results.sqlite"


def nights(url: str, *said: Observation, commits: str = "") -> History:
    """A history of a run a night with one observation each; `commits` are letters, a run each."""
    history = History(url)
    for day, one in enumerate(said, 1):
        commit = commits[day - 1] if commits else "c1"
        history.record(run(day, cell(one, commit=commit)), HERE)
    return history


def test_an_observation_over_time(url: str) -> None:
    history = nights(url, seen(PATH, GOOD), seen(PATH, DEAD), seen(PATH, (Status.PASS, None)))
    points = history.series(PATH)
    assert [(p.run, p.status, p.value) for p in points] == [
        (name(1), "PASS", "works"),
        (name(2), "FAIL", "vm-killed"),
        (name(3), "PASS", None),
    ]
    assert points[0].started == "2026-01-01T02:00:00+00:00"
    assert [p.run for p in history.series(PATH, limit=2)] == [name(2), name(3)]
    assert history.series("wcprobe.other") == []


def test_figures_keep_their_unit(url: str) -> None:
    said = [seen(FIGURE, (Status.DONE, figure), "MB/s") for figure in (190.25, 3)]
    history = nights(url, *said)
    assert [(p.value, p.unit) for p in history.series(FIGURE)] == [(190.25, "MB/s"), (3.0, "MB/s")]
    assert history.flaky() == [], "figures differ from run to run"


def test_one_lane_of_several(url: str) -> None:
    history = History(url)
    cells = [
        cell(seen(PATH, GOOD)),
        cell(seen(PATH, DEAD), kernel="debian-7.2"),
        cell(seen(PATH, DEAD), machine="flat-tcg"),
    ]
    history.record(run(1, *cells), HERE)
    assert len(history.series(PATH)) == 3
    assert [p.status for p in history.series(PATH, "debian-6.1", "nested-tcg")] == ["PASS"]
    assert [p.status for p in history.series(PATH, kernel="debian-7.2")] == ["FAIL"]
    assert history.series(PATH, kernel="debian-5.10") == []
    assert [lane.lane.kernel for lane in history.lanes(PATH, machine="nested-tcg")] == [
        "debian-6.1",
        "debian-7.2",
    ]


def test_a_run_stored_twice_is_stored_once(url: str) -> None:
    history = History(url)
    history.record(run(1, cell(seen(PATH, GOOD))), HERE)
    history.record(run(1, cell(seen(PATH, DEAD))), HERE)
    assert [p.value for p in history.series(PATH)] == ["vm-killed"], "it went on since"
    assert history.flaky() == [], "nor is it flaky for that"


def test_runs_are_in_the_order_they_ran_in(url: str) -> None:
    history = History(url)
    for day in (3, 1, 2):
        history.record(run(day, cell(seen(PATH, GOOD))), HERE)
    assert [p.run for p in history.series(PATH)] == [name(1), name(2), name(3)]


def test_the_worst_counts_of_two_observations_of_one_path(url: str) -> None:
    history = History(url)
    history.record(run(1, cell(seen(PATH, GOOD), seen(PATH, DEAD), seen(PATH, GOOD))), HERE)
    assert [p.value for p in history.series(PATH)] == ["vm-killed"]


def test_the_first_bad_run_and_what_changed_before(url: str) -> None:
    miss = seen(PATH, (Status.MISS, "deadline"))
    good, dead = seen(PATH, GOOD), seen(PATH, DEAD)
    history = nights(url, dead, good, miss, dead, miss, dead, commits="aabcdd")
    (bad,) = history.first_bad(PATH)
    assert (bad.first.run, bad.lane) == (name(4), LANE), "a MISS says nothing of the kernel"
    assert bad.good is not None
    assert bad.good.run == name(2)
    assert bad.inputs == (ValueChange("commit", "a", "c"),)


def test_what_is_good_again_is_not_bad(url: str) -> None:
    assert nights(url, seen(PATH, DEAD), seen(PATH, GOOD)).first_bad(PATH) == []


def test_bad_from_the_start(url: str) -> None:
    (bad,) = nights(url, seen(PATH, DEAD), seen(PATH, DEAD)).first_bad(PATH)
    assert (bad.first.run, bad.good, bad.inputs) == (name(1), None, ())


def test_inputs_that_changed_are_named_where_they_did(url: str) -> None:
    history = History(url)
    history.record(run(1, cell(seen(PATH, GOOD))), HERE)
    history.record(run(2, cell(seen(PATH, GOOD), qemu="10.0.3", commit="c2")), HERE)
    history.record(run(3, cell(seen(PATH, GOOD), qemu="10.0.3", commit="c2")), HERE)
    (lane,) = history.lanes(PATH)
    changed = (ValueChange("commit", "c1", "c2"), ValueChange("qemu", "10.0.2", "10.0.3"))
    assert lane.inputs == {1: changed}


def test_a_change_without_a_change_of_inputs_is_flaky(url: str) -> None:
    said = [GOOD, GOOD, DEAD, GOOD, GOOD, DEAD, GOOD]
    history = nights(url, *(seen(PATH, one) for one in said))
    (flake,) = history.flaky()
    assert (flake.path, flake.lane) == (PATH, LANE)
    assert [(s.word, s.count) for s in flake.seen] == [("PASS works", 5), ("FAIL vm-killed", 2)]
    assert (flake.odd, flake.boots, flake.last) == (2, 7, "2026-01-07T02:00:00+00:00")
    assert history.lanes(PATH)[0].flakes == (flake,)
    assert history.flaky(PATH, machine="nested-tcg") == [flake]
    assert history.flaky(kernel="debian-7.2") == history.flaky("wcprobe.other") == []


def test_a_change_after_a_change_of_inputs_is_not_flaky(url: str) -> None:
    history = nights(url, seen(PATH, GOOD), seen(PATH, DEAD), commits="ab")
    assert history.flaky() == []
    assert history.lanes(PATH)[0].flakes == ()


def test_flaky_though_nothing_was_seen_in_between(url: str) -> None:
    history = nights(url, seen(PATH, GOOD), seen("wcprobe.end", DEAD), seen(PATH, DEAD))
    assert [flake.path for flake in history.flaky()] == [PATH]


def test_boots_of_one_cell_that_do_not_agree(url: str) -> None:
    """Five repeats, one of which killed the guest; then five that agree, but for one not there."""
    history = History(url)
    said = {"PASS works": 4, "FAIL vm-killed": 1}
    split = seen(PATH, DEAD).model_copy(update={"detail": {"flaky": said}})
    repeated = {"repeats": 5}
    history.record(run(1, cell(split).model_copy(update=repeated)), HERE)
    (flake,) = history.flaky()
    assert {one.word: one.count for one in flake.seen} == said
    assert (flake.odd, flake.boots) == (1, 5)
    history.record(run(2, cell(seen(PATH, GOOD)).model_copy(update=repeated)), HERE)
    (flake,) = history.flaky(PATH)
    assert {one.word: one.count for one in flake.seen} == {"PASS works": 9, "FAIL vm-killed": 1}
    assert history.lanes(PATH)[0].flakes == (flake,)
    history.record(run(1, cell(seen(PATH, GOOD)).model_copy(update=repeated)), HERE)
    assert history.flaky() == [], "stored again, it is what it is now"


def test_what_two_runs_saw_differently(url: str) -> None:
    history = History(url)
    both = seen("wcprobe.same", GOOD)
    either = "audit.ioremap.combined"
    history.record(
        run(
            1,
            cell(both, seen(PATH, DEAD), seen(either, (Status.DONE, "nGnRE or nGnRnE"))),
            cell(both, kernel="debian-6.12"),
            cell(both, kernel="only-in-1"),
        ),
        HERE,
    )
    after = [
        both,
        seen(PATH, GOOD),
        seen(either, (Status.DONE, "nGnRE")),
        seen("wcprobe.new", GOOD),
    ]
    history.record(run(2, cell(*after, commit="c2"), cell(both, kernel="debian-6.12")), HERE)
    first, second, third = history.changes(name(1), name(2))
    assert first.inputs == (ValueChange("commit", "c1", "c2"),)
    assert first.observations == (
        ValueChange(PATH, "FAIL vm-killed", "PASS works"),
        ValueChange("wcprobe.new", "not observed", "PASS works"),
    )
    assert first.unchanged == 2, "one of two readings is no change"
    assert (second.inputs, second.observations, second.unchanged) == ((), (), 1)
    assert (third.lane.kernel, third.only) == ("only-in-1", name(1))


def test_a_record_that_was_taken_over_counts_once(url: str) -> None:
    history = History(url)
    history.record(run(1, cell(seen(PATH, DEAD))), HERE)
    history.record(run(2, cell(seen(PATH, DEAD), carried=name(1))), HERE)
    assert [p.run for p in history.series(PATH)] == [name(1)]
    (lane,) = history.changes(name(1), name(2))
    assert (lane.observations, lane.unchanged) == ((), 1)


def test_names_that_are_not_there(url: str) -> None:
    history = nights(url, seen(PATH, GOOD))
    history.check(path=PATH, kernel="debian-6.1", machine=None)
    with pytest.raises(UsageError, match=f"unknown observation .* did you mean '{PATH}'"):
        history.check(path="wcprobe.ioremap_wc.unaligned_lod")
    with pytest.raises(UsageError, match="unknown kernel 'debian-61'"):
        history.check(path=PATH, kernel="debian-61")
    with pytest.raises(UsageError, match="unknown run in the history"):
        history.changes(name(1), "20260101-020000-nightl")


def test_a_history_of_nothing_says_how_to_fill_it(url: str) -> None:
    with pytest.raises(UsageError, match="s2eval history --rebuild"):
        History(url).check(path=PATH)


def test_the_steps_make_what_the_queries_expect(url: str) -> None:
    with Database(url).read() as connection:
        found = inspect(connection)
        assert set(found.get_table_names()) - {"sqlite_stat1"} == {
            *schema.METADATA.tables,
            "schema_steps",
        }
        for table in schema.METADATA.sorted_tables:
            columns = {c["name"]: c["nullable"] for c in found.get_columns(table.name)}
            # SQLite's own word on a number that it gives itself.
            columns.update(dict.fromkeys({"id"} & set(columns), False))
            assert columns == {c.name: bool(c.nullable) for c in table.columns}, table.name
            primary = found.get_pk_constraint(table.name)["constrained_columns"]
            assert primary == [c.name for c in table.primary_key], table.name
            unique = [set(u["column_names"]) for u in found.get_unique_constraints(table.name)]
            assert unique == [
                {c.name for c in u.columns}
                for u in table.constraints
                if isinstance(u, UniqueConstraint)
            ], table.name
            indices = {i["name"] for i in found.get_indexes(table.name)}
            assert {index.name for index in table.indexes} <= indices, table.name
            links = {
                (key["constrained_columns"][0], key["referred_table"])
                for key in found.get_foreign_keys(table.name)
            }
            assert links == {(f.parent.name, f.column.table.name) for f in table.foreign_keys}


def test_from_the_first_schema_to_this_one(url: str) -> None:
    """A database of step 1, with a run that the code of that time stored."""
    engine = create_engine(Database(url).url)
    with engine.begin() as connection:
        schema.upgrade(connection, last=1)
        assert schema.version(connection) == 1
        for statement in (
            "INSERT INTO kernels VALUES (1, 'k', '', '', 'c1', '', '', '', 'key')",
            "INSERT INTO machines VALUES (1, 'm', 'nested', 'tcg', 'max', 2, 2048, '')",
            "INSERT INTO suites VALUES (1, 'wcprobe', '')",
            "INSERT INTO setups VALUES (1, 1, 1, 1, '')",
            "INSERT INTO paths VALUES (1, 'wcprobe.test')",
            "INSERT INTO outcomes VALUES (1, 'PASS', 'works', '', FALSE)",
            "INSERT INTO outcomes VALUES (2, 'FAIL', 'vm-killed', '', FALSE)",
            "INSERT INTO runs VALUES (1, 'a', '', '', '', '2026-01-01T02:00:00+00:00', 'PASS')",
            "INSERT INTO runs VALUES (2, 'b', '', '', '', '2026-01-02T02:00:00+00:00', 'FAIL')",
            "INSERT INTO cells VALUES (1, 1, 1, 'PASS', '', ''), (2, 2, 1, 'FAIL', '', '')",
            "INSERT INTO observations VALUES (1, 1, 1, NULL), (1, 2, 2, NULL)",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    history = History(url)
    words = [point.word for point in history.series("wcprobe.test")]
    assert words == ["PASS works", "FAIL vm-killed"]
    (flake,) = history.flaky()
    assert (flake.path, flake.odd, flake.boots) == ("wcprobe.test", 1, 2)
    with Database(url).read() as connection:
        assert schema.version(connection) == len(schema.steps())


def test_a_schema_from_the_future_is_left_alone(url: str) -> None:
    database = Database(url)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO schema_steps VALUES (99)")
    database.close()
    with pytest.raises(UsageError, match="schema 99"):
        History(url).flaky()


def test_cases_are_remembered_as_observations_are(url: str) -> None:
    history = History(url)
    for day, status in enumerate((Status.PASS, Status.PASS, Status.FAIL), 1):
        made = cell()
        made.cases = [Case(name="page_fault_test", status=status, flaky={"PASS": 1, "FAIL": 1})]
        history.record(run(day, made), HERE)
    points = history.series("wcprobe.page_fault_test")
    assert [point.status for point in points] == ["PASS", "PASS", "FAIL"]
    (bad,) = history.first_bad("wcprobe.page_fault_test")
    assert bad.first.started.startswith("2026-01-03")
    assert history.flaky("wcprobe.page_fault_test")
