# SPDX-License-Identifier: GPL-2.0-only
"""The history's file: damaged, shared by two processes, not to be had; what is on disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.base.errors import UsageError
from harness.cli.main import cli
from harness.results.history.db import Database
from harness.results.history.history import History
from harness.results.history.location import default_url
from harness.results.history.recording import record_run
from tests.unit.results.history_runs import DEAD, GOOD, HERE, PATH, cell, name, on_disk, run, seen

BOTH = """
import sys
from harness.results.history.history import History
from tests.unit.results.history_runs import GOOD, HERE, PATH, cell, run, seen
history = History(sys.argv[1])
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
for day in range(int(sys.argv[2]), 29, 2):
    history.record(run(day, cell(seen(PATH, GOOD), commit=f"c{(day + 1) // 2}")), HERE)
    assert history.series(PATH)
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with three runs on disk, and nothing in its history."""
    base = tmp_path / "results"
    monkeypatch.setenv("S2EVAL_RESULTS", str(base))
    monkeypatch.delenv("S2EVAL_HISTORY", raising=False)
    on_disk(
        base, *(run(day, cell(seen(PATH, said))) for day, said in enumerate((GOOD, DEAD, DEAD), 1))
    )
    return base


def asked(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["history", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_what_is_on_disk(results: Path) -> None:
    assert asked("--rebuild")[:2] == (0, f"3 runs stored in {results / 'results.sqlite'}\n")
    assert asked("--rebuild", "--json")[0] == 0
    assert [p.run for p in History().series(PATH)] == [name(1), name(2), name(3)]


def test_a_rebuild_keeps_what_is_no_longer_on_disk_and_names_what_it_cannot_read(
    results: Path,
) -> None:
    History().record(run(9, cell(seen(PATH, GOOD))), HERE)
    (results / name(2) / "run.json").write_text("{}")
    said: list[str] = []
    assert History(say=said.append).rebuild() == 2
    assert len(said) == 1
    assert f"{name(2)}/run.json" in said[0]
    assert [p.run for p in History().series(PATH)] == [name(1), name(3), name(9)]


def garbage(file: Path) -> None:
    file.write_bytes(b"this is no database at all\n" * 400)


def middle(file: Path) -> None:
    """The first page stands, those after it do not."""
    data = file.read_bytes()
    file.write_bytes(data[:4096] + os.urandom(len(data) - 4096))


def half(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("damage", [garbage, middle, half])
@pytest.mark.parametrize("writes", [False, True])
def test_a_damaged_file_is_moved_aside_and_made_anew(
    results: Path, damage: object, writes: bool
) -> None:
    history = History()
    facts = [seen(f"{PATH}{number}", GOOD) for number in range(999)]
    history.record(run(9, cell(*facts)), HERE)
    history.close()
    file = results / "results.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert callable(damage)
    damage(file)
    broken = file.read_bytes()
    said: list[str] = []
    again = History(say=said.append)
    if writes:
        again.record(run(4, cell(seen(PATH, GOOD))), HERE)
    assert [p.run for p in again.series(PATH)] == [
        name(day) for day in range(1, 5 if writes else 4)
    ]
    (line,) = said
    (aside,) = results.glob("results.sqlite.damaged-*[0-9]")
    assert "\n" not in line
    assert f"moved to {aside.name}, made anew from 3 runs on disk" in line
    assert aside.read_bytes() == broken


def test_two_processes_on_one_file(tmp_path: Path) -> None:
    """Both also make the file: neither has it when they start."""
    url = f"sqlite:///{tmp_path}/new/results.sqlite"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BOTH, url, str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (1, 2)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in started] == ["", ""]
    assert [process.returncode for process in started] == [0, 0]
    assert len(History(url).series(PATH, limit=99)) == 28
    with Database(url).read() as connection:
        kernels = connection.exec_driver_sql("SELECT count(*) FROM kernels").scalar()
        paths = connection.exec_driver_sql("SELECT count(*) FROM paths").scalar()
    assert (kernels, paths) == (14, 1)


def test_a_run_that_cannot_be_stored_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("S2EVAL_HISTORY", f"sqlite:///{tmp_path}/file/below/results.sqlite")
    said: list[str] = []
    record_run(run(1), HERE, said.append)
    assert len(said) == 1
    assert said[0].startswith("warning: this run is not in the history: ")


@pytest.mark.parametrize(
    "url", ["results.sqlite", "mysql://host/name", "sqlite://", "sqlite:///:memory:", "x://y", ""]
)
def test_urls_of_no_history(url: str) -> None:
    if not url:
        assert default_url().startswith("sqlite:////")
        return
    with pytest.raises(UsageError, match="no database of a history"):
        History(url)


def test_a_password_is_not_told(results: Path) -> None:
    code, _, err = asked("--flaky", "--url", "postgresql://me:secret@127.0.0.1:1/x")
    assert code == 125
    assert err.startswith("s2eval: the history in postgresql+psycopg://me:***@127.0.0.1:1/x: ")
    assert err.count("\n") == 1
    assert "secret" not in err


def test_the_command_says_since_when_it_is_bad(results: Path) -> None:
    asked("--rebuild")
    code, out, err = asked(PATH)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        PATH,
        "",
        f"debian-6.1/nested-tcg/wcprobe: FAIL vm-killed, first bad run {name(2)} "
        f"(2026-01-02 02:00), last good one {name(1)}; changed between: nothing: the same inputs",
        "  flaky: 1 of 3 with the same inputs: 1 x PASS works, otherwise FAIL vm-killed",
        f"  2026-01-01 02:00  PASS works                     {name(1)}",
        f"  2026-01-02 02:00  FAIL vm-killed             2 x {name(2)} .. {name(3)}",
    ]


def test_the_commands_documents(results: Path) -> None:
    asked("--rebuild")
    document = json.loads(asked(PATH, "--json", "--limit", "2")[1])
    (lane,) = document["lanes"]
    assert [point["run"] for point in lane["points"]] == [name(2), name(3)]
    assert lane["bad"]["first"]["run"] == name(2)
    (flake,) = json.loads(asked("--flaky", "--json")[1])
    assert (flake["odd"], flake["boots"], flake["lane"]["kernel"]) == (1, 3, "debian-6.1")
    (changed,) = json.loads(asked("--changes", name(1), name(2), "--json")[1])
    assert changed["observations"] == [
        {"what": PATH, "before": "PASS works", "after": "FAIL vm-killed"}
    ]
    assert changed["word"] == "regressed" and "1 thing worse" in changed["headline"]
    printed = asked("--changes", name(1), name(2))[1]
    assert ": regressed: 1 thing worse, nothing better; 1 changed, " in printed
    shutil.rmtree(results / name(1))
    (changed,) = json.loads(asked("--changes", name(1), name(2), "--json")[1])
    assert changed["observations"] and "word" not in changed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name an observation"),
        (("wcprobe.ioremap_wc.unaligned_lod",), f"did you mean '{PATH}'?"),
        ((PATH, "-m", "nested-tgc"), "unknown machine 'nested-tgc': did you mean 'nested-tcg'?"),
        (("--changes", name(1), name(8)), "unknown run in the history"),
        (("--flaky", "--limit", "0"), "0 is not in the range"),
    ],
)
def test_what_the_command_refuses(results: Path, arguments: tuple[str, ...], said: str) -> None:
    asked("--rebuild")
    code, out, err = asked(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
