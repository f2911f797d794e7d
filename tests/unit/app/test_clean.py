# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval clean` and retention, on folders of the tests' own."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.app.housekeeping import DAY, apply_retention
from harness.base.locks import try_alone
from harness.base.paths import cache_dir
from harness.cli.main import cli
from harness.kernel import store
from harness.report.logs import tail
from harness.results.logs import open_log
from harness.results.store import RunStore, load_run, run_names
from tests.unit.results.history_runs import GOOD, PATH, cell, name, on_disk, run, seen

USER = """
import sys
from harness.base.paths import hold_cache
hold_cache()
print("ready", flush=True)
sys.stdin.readline()
"""
BUILD = {"record": {"name": "debian-6.1"}, "inputs": {"tree": "linux"}, "seconds": {}}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five nights on disk, 2026-01-01 to 05; `latest` points at the last."""
    base = tmp_path / "results"
    monkeypatch.setenv("S2EVAL_RESULTS", str(base))
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    on_disk(base, *(run(day, cell(seen(PATH, GOOD))) for day in range(1, 6)))
    (base / "latest").symlink_to(name(5))
    (base / "README.md").write_text("stays")
    return base


@pytest.fixture
def builds(results: Path) -> Path:
    """Two builds, `old` last used 40 days ago and `new` today, and what else a cache has."""
    folder = cache_dir("builds")
    for key, days in (("old", 40), ("new", 0)):
        (folder / key / "modules").mkdir(parents=True)
        (folder / key / "build.json").write_text(json.dumps(BUILD))
        age(folder / key, days)
    (cache_dir("userland") / "l1.img").write_bytes(b"x" * 2**20)
    (cache_dir("userland") / "lock").touch()
    return folder


def age(folder: Path, days: float) -> None:
    """Let all of `folder` have been used `days` ago."""
    then = time.time() - days * DAY
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (then, then))


def clean(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["clean", *arguments])


@contextmanager
def another_s2eval() -> Iterator[None]:
    """A process that has asked for the cache."""
    with subprocess.Popen(
        [sys.executable, "-c", USER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.stdin.close()


def test_sizes_and_nothing_else(builds: Path, results: Path) -> None:
    done = clean()
    assert done.exit_code == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()[1:-1]}
    assert rows["results"][1] == "5"
    assert rows["builds"][1] == "2"
    assert rows["userland"][1:4] == ["1", "1.0", "MiB"], "a lock is nothing to gain"
    assert len(run_names(results)) == 5
    assert (builds / "old").is_dir()


@pytest.mark.parametrize("option", ["--dry-run", ""])
def test_nothing_goes_without_a_yes(results: Path, option: str) -> None:
    done = clean("--keep-runs", "2", *filter(None, [option]))
    assert done.exit_code == (0 if option else 2)
    assert "to be removed: 3 of these" in done.stdout
    assert option or "--yes" in done.stderr
    assert len(run_names(results)) == 5


def test_the_newest_runs_are_kept(results: Path) -> None:
    done = clean("--keep-runs", "2", "--yes")
    assert done.exit_code == 0, done.stderr
    assert run_names(results) == [name(4), name(5)]
    assert sorted(p.name for p in results.iterdir()) == [
        ".results.sqlite.lock", name(4), name(5), "README.md", "latest", "results.sqlite",
    ]  # fmt: skip
    clean("--keep-runs", "0", "--yes")
    assert not (results / "latest").is_symlink(), "it would point nowhere"


def test_what_was_not_used_for_long(builds: Path, results: Path) -> None:
    """Without another word it is runs and caches alike."""
    done = clean("--older-than", "30d", "--yes")
    assert done.exit_code == 0, done.stderr
    assert run_names(results) == []
    assert sorted(path.name for path in builds.iterdir()) == ["new"]
    assert (cache_dir("userland") / "l1.img").exists()


@pytest.mark.parametrize(
    ("arguments", "runs", "kept", "image"),
    [
        (("--builds",), 5, [], True),
        (("--builds", "--older-than", "2w"), 5, ["new"], True),
        (("--builds", "--older-than", "9w"), 5, ["new", "old"], True),
        (("--all",), 5, [], False),
        (("--keep-runs", "1", "--older-than", "4w"), 1, ["new", "old"], True),
        (("--keep-runs", "1", "--builds", "--older-than", "2w"), 1, ["new"], True),
    ],
)
def test_what_goes(
    builds: Path, results: Path, arguments: tuple[str, ...], runs: int, kept: list[str], image: bool
) -> None:
    done = clean(*arguments, "--yes")
    assert done.exit_code == 0, done.stderr
    assert len(run_names(results)) == runs
    assert sorted(path.name for path in builds.iterdir()) == kept
    assert (cache_dir("userland") / "l1.img").exists() is image


def test_a_build_that_is_found_was_used(builds: Path) -> None:
    before = time.time() - 60
    assert store.find("old", "debian-6.1")
    # Not every file system notes when a file was read.
    assert (builds / "old/build.json").stat().st_mtime > before
    assert clean("--builds", "--older-than", "2w", "--yes").exit_code == 0
    assert store.find("old", "debian-6.1")


def test_a_source_stays_as_long_as_its_builds(builds: Path) -> None:
    """The modules of a build need its headers."""
    source = cache_dir("sources") / "linux"
    (source / "tree").mkdir(parents=True)
    other = cache_dir("sources") / "other"
    other.mkdir()
    age(cache_dir("sources"), 50)
    assert clean("--older-than", "30d", "--yes").exit_code == 0
    assert (source.is_dir(), other.exists()) == (True, False)
    age(builds, 40)
    assert clean("--older-than", "30d", "--yes").exit_code == 0
    assert not source.exists()
    assert list(builds.iterdir()) == []


def test_a_run_that_goes_on_stays(results: Path) -> None:
    with RunStore(results / name(1)), RunStore(results / name(3)):
        done = clean("--keep-runs", "3", "--compress", "--yes")
    assert f"{name(1)} stays: the run is still going on" in done.stdout
    assert run_names(results) == [name(1), name(3), name(4), name(5)]
    plain = [run.parent.parent.name for run in results.glob("*/cell/console.log")]
    assert sorted(plain) == [name(1), name(3), name(5), "latest"]
    assert clean("--keep-runs", "3", "--yes").exit_code == 0
    assert run_names(results) == [name(3), name(4), name(5)]


def test_the_cache_stays_while_another_uses_it(builds: Path) -> None:
    with another_s2eval():
        done = clean("--all", "--yes")
        assert "the cache is in use by another s2eval" in done.stdout
        assert (builds / "new/build.json").exists()
    assert "removed 3" in clean("--all", "--yes").stdout
    assert not (builds / "new").exists()


def opened(pid: int) -> set[Path]:
    """The files and folders that a process has open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(link.readlink())
    return found


def test_another_waits_while_the_cache_is_cleaned(results: Path) -> None:
    with try_alone(cache_dir()) as mine:
        assert mine
        process = subprocess.Popen(
            [sys.executable, "-c", USER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        end = time.monotonic() + 60
        while cache_dir() not in opened(process.pid):
            assert process.poll() is None and time.monotonic() < end, "it does not come so far"
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 0.5)[0] == [], "it does not wait"
    assert process.communicate("go\n")[0] == "ready\n"


def test_what_a_killed_clean_left_goes_the_next_time(results: Path) -> None:
    (results / name(1)).rename(results / f".removed-{name(1)}")
    assert clean("--older-than", "2w", "--keep-runs", "9", "--yes").exit_code == 0
    assert (results / f".removed-{name(1)}").exists(), "nine were to be kept"
    assert clean("--keep-runs", "4", "--yes").exit_code == 0
    assert not (results / f".removed-{name(1)}").exists()
    assert len(run_names(results)) == 4


def test_logs_are_compressed_and_still_read(results: Path) -> None:
    text = (results / name(1) / "cell/console.log").read_bytes()
    done = clean("--compress", "--yes")
    assert "compressed 4 logs" in done.stdout, "all but the newest run's"
    for day in range(1, 5):
        folder = results / name(day) / "cell"
        assert [path.name for path in folder.iterdir()] == ["console.log.gz"]
        assert gzip.decompress((folder / "console.log.gz").read_bytes()) == text
        with open_log(folder, "console.log") as log:
            assert log.read() == text
        assert tail(folder, "console.log")[-1] == "a line of a log"
        assert load_run(results / name(day)).run.id == name(day)
    with open_log(results / name(5) / "cell", "console.log") as log:
        assert log.read() == text
    with pytest.raises(FileNotFoundError):
        open_log(results / name(5) / "cell", "no.log")
    assert "compressed" not in clean("--compress", "--yes").stdout.replace("to be compressed", "")


def test_guests_folders_whose_owner_is_dead_go(results: Path, tmp_path: Path) -> None:
    dead = tmp_path / "s2eval-cell-dead"
    dead.mkdir()
    (dead / ".owner").touch()
    assert "removed 1 temporary folder of" in clean("--keep-runs", "4", "--yes").stdout
    assert not dead.exists()


def test_to_look_is_no_use(builds: Path) -> None:
    clean()
    clean("--all", "--dry-run")
    assert clean("--builds", "--older-than", "30d", "--yes").exit_code == 0
    assert sorted(path.name for path in builds.iterdir()) == ["new"]


def test_a_document(builds: Path, results: Path) -> None:
    done = clean("--builds", "--older-than", "30d", "--json", "--yes")
    document = json.loads(done.stdout)
    (item,) = document["selected"]
    assert (item["kind"], item["what"]) == ("builds", "debian-6.1")
    assert item["path"] == str(builds / "old")
    assert document["done"] == [f"removed 1, {item['size'] / 2**20:.1f} MiB"]


@pytest.mark.parametrize("age", ["30", "d", "1.5d", "3 d", "-1d", "1m"])
def test_ages_that_are_none(results: Path, age: str) -> None:
    done = clean("--older-than", age)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "12h, 30d, 2w" in done.stderr


def test_retention_keeps_what_a_rule_keeps(results: Path) -> None:
    plan = "plans/nightly.toml"
    on_disk(results, run(9, cell(), plan="plans/other.toml"))
    assert apply_retention(None, None, plan)[0].startswith("retention: compressed 4 logs")
    assert len(run_names(results)) == 6, "no rule, nothing goes"
    days = (time.time() - started(results, 3)) / DAY
    apply_retention(1, days + 0.5, plan)
    assert run_names(results) == [name(3), name(4), name(5), name(9)]
    apply_retention(2, None, plan)
    assert run_names(results) == [name(4), name(5), name(9)], "another plan's runs stay"
    apply_retention(None, 0.001, plan)
    assert run_names(results) == [name(9)]


def started(results: Path, day: int) -> float:
    return datetime.fromisoformat(load_run(results / name(day)).run.started).timestamp()
