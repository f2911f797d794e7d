# SPDX-License-Identifier: GPL-2.0-only
"""When runs come into the history: by a look, before they are removed, or at their end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.app.after_run import afterwards
from harness.app.housekeeping import apply_retention
from harness.cli.main import cli
from harness.evaluate.plan.plan import KEEP_ALL
from harness.results.history import location
from harness.results.history.db import Database
from harness.results.history.history import History
from harness.results.records import Run
from harness.results.store import RECORD, RunStore, run_names
from tests.unit.results.history_runs import DEAD, GOOD, PATH, cell, name, on_disk, run, seen

LOOK = """
import sys
from harness.results.history.history import History
print("ready", flush=True)
sys.stdin.readline()
print(len(History().series(sys.argv[1])))
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with three runs on disk, and no history."""
    base = tmp_path / "results"
    monkeypatch.setenv("S2EVAL_RESULTS", str(base))
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("S2EVAL_HISTORY", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    on_disk(base, night(1), night(2), night(3))
    return base


def night(day: int) -> Run:
    return run(day, cell(seen(PATH, GOOD)))


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments])


def known(history: History | None = None) -> list[str]:
    return [point.run for point in (history or History()).series(PATH)]


def words() -> list[str]:
    return [point.word for point in History().series(PATH)]


def test_a_look_takes_in_what_is_new(results: Path) -> None:
    first = asked("history", PATH)
    assert first.exit_code == 0 and first.stderr == ""
    assert f"{name(1)} .. {name(3)}" in first.stdout
    on_disk(results, night(4))
    assert known() == [name(1), name(2), name(3), name(4)]


def test_what_is_known_is_not_stored_again(results: Path) -> None:
    known()

    def cells() -> object:
        with Database(location.default_url()).read() as connection:
            return connection.exec_driver_sql("SELECT id FROM cells").scalars().all()

    before = cells()
    assert known() == [name(1), name(2), name(3)]
    assert cells() == before


def test_a_run_that_went_on_is_taken_in_again(results: Path) -> None:
    assert words() == ["PASS works"] * 3
    resumed = run(2, cell(seen(PATH, DEAD)))
    (results / name(2) / RECORD).write_text(resumed.model_dump_json(by_alias=True))
    assert words() == ["PASS works", "FAIL vm-killed", "PASS works"]


def test_a_run_that_was_killed_has_its_cells(results: Path) -> None:
    """It is not taken in while it goes on, and again when it has gone on after that."""
    killed = run(4)
    killed.run.interrupted = True
    (folder,) = on_disk(results, killed)
    assert name(4) not in known()  # it has no cell yet
    with RunStore(folder) as store:
        store.add(cell(seen(PATH, GOOD)))
        assert name(4) not in known()
    assert name(4) in known()


def test_an_interrupted_run_is_there_with_what_it_has_done(results: Path) -> None:
    interrupted = night(4)
    interrupted.run.interrupted = True
    on_disk(results, interrupted)
    assert name(4) in known()


def test_a_record_that_cannot_be_read_is_named_once(results: Path) -> None:
    record = results / name(2) / RECORD
    record.write_text("{}")
    said: list[str] = []
    assert known(History(say=said.append)) == [name(1), name(3)]
    assert len(said) == 1 and f"left out: {record}: " in said[0]
    assert known(History(say=said.append)) == [name(1), name(3)]
    assert len(said) == 1
    record.write_text("[]")
    known(History(say=said.append))
    assert len(said) == 2, "it is another one now"


def test_a_history_elsewhere_is_not_caught_up(results: Path, tmp_path: Path) -> None:
    assert known(History(f"sqlite:///{tmp_path}/other.sqlite")) == []


def test_what_is_there_can_be_seen_when_no_more_can_be_stored(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known()
    on_disk(results, night(4))
    monkeypatch.setattr("harness.results.history.db.WAIT_SECONDS", 0.1)
    said: list[str] = []
    with Database(location.default_url()).write():
        assert known(History(say=said.append)) == [name(1), name(2), name(3)]
    assert len(said) == 1 and "warning: the newest runs are not in the history: " in said[0]
    assert name(4) in known()


def test_two_processes_catch_up_at_once(results: Path) -> None:
    looks = [
        subprocess.Popen(
            [sys.executable, "-c", LOOK, PATH],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in looks:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in looks:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate() for process in looks] == [("3\n", "")] * 2
    assert known() == [name(1), name(2), name(3)]


def by_hand(_: Path) -> None:
    done = asked("clean", "--keep-runs", "1", "--yes")
    assert done.exit_code == 0 and "removed 2" in done.stdout


def by_retention(_: Path) -> None:
    (line,) = [line for line in apply_retention(1, None, "plans/nightly.toml") if "removed" in line]
    assert "removed 2 runs" in line


@pytest.mark.parametrize("removed", [by_hand, by_retention])
def test_what_is_removed_is_in_the_history(results: Path, removed: Callable[[Path], None]) -> None:
    removed(results)
    assert run_names(results) == [name(3)]
    assert known() == [name(1), name(2), name(3)]


def test_what_is_removed_is_in_the_history_that_others_share(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another host stored stays the only one of its name."""
    monkeypatch.setenv("S2EVAL_HISTORY", f"sqlite:///{tmp_path}/shared.sqlite")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("platform.node", lambda: "elsewhere")
        History().record(night(1), results / name(1))
    by_hand(results)
    assert known() == [name(1), name(2), name(3)]
    assert not (results / "results.sqlite").exists()


def test_runs_stay_that_the_history_cannot_have(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (results / name(1) / RECORD).unlink()  # nothing that a history could have
    monkeypatch.setenv("S2EVAL_HISTORY", f"sqlite:///{tmp_path}/file/below.sqlite")
    done = asked("clean", "--keep-runs", "1", "--yes")
    assert run_names(results) == [name(2), name(3)] and not (results / name(1)).exists()
    assert f"{name(2)} stays: it may not be in the history yet: " in done.stdout


def test_a_record_that_cannot_be_read_goes(results: Path) -> None:
    (results / name(1) / RECORD).write_text("{}")
    done = asked("clean", "--keep-runs", "1", "--yes")
    assert run_names(results) == [name(3)] and "left out: " in done.stdout
    assert known() == [name(2), name(3)]


def test_a_run_does_not_wait_for_its_history(results: Path) -> None:
    afterwards(night(3), results / name(3), retention=KEEP_ALL, page=False)
    assert not (results / "results.sqlite").exists()


def test_a_run_is_at_once_in_a_history_that_others_look_at(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EVAL_HISTORY", f"sqlite:///{tmp_path}/shared.sqlite")
    afterwards(night(3), results / name(3), retention=KEEP_ALL, page=False)
    assert known() == [name(3)]


def test_a_page_has_the_run_itself_among_those_before_it(results: Path) -> None:
    with RunStore(results / name(3)):
        afterwards(night(3), results / name(3), retention=KEEP_ALL, page=True)
        assert (results / name(3) / "report.html").is_file()
        assert known() == [name(1), name(2), name(3)]


def test_a_run_belongs_to_the_host_that_stored_it(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several hosts, or containers of one, may see one results folder."""
    known()
    then = time.time() + 10
    os.utime(results / name(2) / RECORD, (then, then))
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    assert known() == [name(1), name(2), name(3)]
