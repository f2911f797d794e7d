# SPDX-License-Identifier: GPL-2.0-only
"""What every command does before its work, and how its errors look."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.base import paths
from harness.cli.group import COMMANDS, USING_CACHE
from harness.cli.main import cli


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that is not there yet, and a current folder without names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("S2EVAL_RESULTS", str(tmp_path / "results"))
    return tmp_path / "cache"


def s2eval(*args: str) -> Result:
    return CliRunner().invoke(cli, args)


@contextlib.contextmanager
def cache_alone(folder: Path) -> Iterator[bool]:
    """Whether somebody who uses no lock of this process's can have `folder` alone."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def one_line(done: Result) -> str:
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_command_works_with_half_an_installation(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "PROJECT", tmp_path / "none")
    done = s2eval(name)
    assert one_line(done).startswith("s2eval: this s2eval is incomplete, ")
    assert (done.exit_code, done.stdout) == (125, "")
    assert s2eval(name, "--help").exit_code == 0


def test_commands_that_use_the_cache_hold_it(cache: Path) -> None:
    ours = {name for name, folder in COMMANDS.items() if folder != "inspect"}
    ours -= {"completion", "host"}  # which need nothing of it
    assert ours == USING_CACHE, "those in inspect/ read what is in the results"
    assert s2eval("decode", "mair", "0xff").exit_code == 0 and s2eval("run", "-h").exit_code == 0
    assert not cache.exists()
    assert s2eval("plan", "check", "nothing").exit_code == 2
    with cache_alone(cache) as alone:
        assert not alone


def test_a_wrong_command_line_is_one_line() -> None:
    done = s2eval("export")
    assert "Missing option '--format' / '-f'. Choose from: ktap, junit" in one_line(done)
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("nighlty", "unknown plan 'nighlty': did you mean 'nightly'?"),
        ("plans/nightly.toml", "no such file: did you mean the plan 'nightly'?"),
        ("./none.toml", "none.toml: no such file"),
    ],
)
def test_a_plan_that_is_not_there(plan: str, words: str) -> None:
    for command in (["run", plan], ["plan", "check", plan]):
        done = s2eval(*command)
        assert words in one_line(done)
        assert done.exit_code == 2


def test_plans_can_be_completed() -> None:
    words = {"COMP_WORDS": "s2eval run ni", "COMP_CWORD": "2", "_S2EVAL_COMPLETE": "bash_complete"}
    done = CliRunner(env=words).invoke(cli, prog_name="s2eval")
    assert done.stdout.splitlines() == ["plain,nightly"]
