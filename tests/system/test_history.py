# SPDX-License-Identifier: GPL-2.0-only
"""The history in a real PostgreSQL server, and of real runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import insert

from harness.results.history.db import Database
from harness.results.history.history import History
from harness.results.history.schema import KERNELS
from tests.system import postgres
from tests.system.commands import S2Eval, wait_for

# The same questions as SQLite is asked, with the `url` below.
from tests.unit.results.history.test_history import (  # noqa: F401
    test_a_change_after_a_change_of_inputs_is_not_flaky,
    test_a_change_without_a_change_of_inputs_is_flaky,
    test_a_history_of_nothing_says_how_to_fill_it,
    test_a_record_that_was_taken_over_counts_once,
    test_a_run_stored_twice_is_stored_once,
    test_a_schema_from_the_future_is_left_alone,
    test_an_observation_over_time,
    test_bad_from_the_start,
    test_boots_of_one_cell_that_do_not_agree,
    test_figures_keep_their_unit,
    test_flaky_though_nothing_was_seen_in_between,
    test_from_the_first_schema_to_this_one,
    test_inputs_that_changed_are_named_where_they_did,
    test_names_that_are_not_there,
    test_one_lane_of_several,
    test_runs_are_in_the_order_they_ran_in,
    test_the_first_bad_run_and_what_changed_before,
    test_the_steps_make_what_the_queries_expect,
    test_the_worst_counts_of_two_observations_of_one_path,
    test_what_is_good_again_is_not_bad,
    test_what_two_runs_saw_differently,
)
from tests.unit.results.history.test_history_file import BOTH

FACT = "wcprobe.ioremap_wc.unaligned_load"
FLAT = ("run", "-q", "-k", "debian-6.1", "-m", "flat-tcg")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """An empty database."""
    with psycopg.connect(
        server.replace("/postgres?", "/template1?"), autocommit=True
    ) as connection:
        connection.execute("DROP DATABASE IF EXISTS postgres WITH (FORCE)")
        connection.execute("CREATE DATABASE postgres")
    return server


def test_two_processes_store_at_once(url: str) -> None:
    """Both also make the tables: there are none when they start."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BOTH, url, str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (1, 2)
    ]
    assert [process.communicate("go\n")[1] for process in started] == ["", ""]
    history = History(url)
    assert len(history.series(FACT, limit=99)) == 28


def test_writers_take_turns(url: str) -> None:
    """One that wants to store a run waits for the transaction that is open here."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    def one_waits() -> bool:
        with psycopg.connect(url) as connection:
            return connection.execute(waiting).fetchone() == (1,)

    with Database(url).write() as connection:
        process = subprocess.Popen(
            [sys.executable, "-c", BOTH, url, "27"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        wait_for("nobody waits for this transaction", one_waits)
        kernel = {column.name: "" for column in KERNELS.columns if column.name != "id"}
        kernel |= {"name": "debian-6.1", "build_key": "key-c14"}
        connection.execute(insert(KERNELS).values(kernel))
    assert process.communicate()[1] == "", "it found the kernel that was stored meanwhile"
    assert len(History(url).series(FACT)) == 1


def test_runs_are_in_the_history(s2eval: S2Eval) -> None:
    runs = []
    for _ in range(2):
        assert s2eval(*FLAT).code == 0
        runs.append(s2eval.run().run.id)
    asked = s2eval("history", FACT, "--json")
    (lane,) = json.loads(asked.out)["lanes"]
    assert [point["run"] for point in lane["points"]] == runs
    assert s2eval("history", "--flaky").out == "nothing changed while its inputs stayed the same\n"
