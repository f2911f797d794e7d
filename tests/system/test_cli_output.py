# SPDX-License-Identifier: GPL-2.0-only
"""What the command prints: help with examples, completion, JSON, and a reader that has left."""

from __future__ import annotations

import json
import os
import subprocess

import click
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from tests.system.commands import PROGRAM, S2Eval
from tests.system.conftest import Finished


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_every_command_shows_an_example(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"], prog_name="s2eval")
    assert shown.exit_code == 0
    examples = [n for n in shown.output.splitlines() if n.startswith(f"  s2eval {name}")]
    assert examples, shown.output


def test_the_help_of_all_is_printed_whatever_the_terminal_can_show(s2eval: S2Eval) -> None:
    for name in ("audit", "show", "run"):
        for encoding in ("ascii", "latin-1"):  # neither has the ellipsis of an example
            ran = s2eval(name, "--help", PYTHONIOENCODING=encoding)
            assert ran.code == 0 and ran.err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_that_shell(s2eval: S2Eval, shell: str) -> None:
    ran = s2eval("completion", shell)
    assert ran.code == 0 and "_S2EVAL_COMPLETE" in ran.out
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=ran.out, text=True, check=False)
        assert checked.returncode == 0


def test_completion_completes(s2eval: S2Eval) -> None:
    ran = s2eval(_S2EVAL_COMPLETE="bash_complete", COMP_WORDS="s2eval sh", COMP_CWORD="1")
    assert ran.out.split() == ["plain,show"]


def test_list_as_json_names_what_there_is(s2eval: S2Eval) -> None:
    ran = s2eval("list", "--json")
    found = json.loads(ran.out)
    assert "debian-6.1" in [k["name"] for k in found["kernels"]]
    assert "nested-tcg" in [m["name"] for m in found["machines"]]
    assert ran.err == ""


def test_json_of_a_failure_is_on_standard_error_alone(s2eval: S2Eval) -> None:
    for command in (["show", "--json"], ["build", "nope", "--json"], ["run", "nope", "--json"]):
        ran = s2eval(*command)
        assert ran.out == "" and ran.one_line()


@pytest.mark.parametrize("args", [["show"], ["show", "--json"], ["list"]])
def test_a_reader_that_has_left_is_no_error(quickstart: Finished, args: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [str(PROGRAM), *args],
        env=quickstart.s2eval.environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "EOF while parsing"),
        ('{"schema": "s2eval-run-1", "run": {', "EOF while parsing"),
        ('{"schema": "s2eval-run-9"}', "schema"),
        ("\0\1\2", "expected value"),
    ],
)
def test_a_record_that_is_none(s2eval: S2Eval, text: str, words: str) -> None:
    folder = s2eval.results / "20260101-000000-x"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    for name in (folder.name, str(folder), str(folder / "run.json")):
        ran = s2eval("show", name)
        assert f"{folder / 'run.json'}: no record" in ran.one_line() and words in ran.err
        assert ran.code == 2


def test_a_run_that_is_not_there_gets_the_nearest_name(quickstart: Finished) -> None:
    name = quickstart.s2eval.run().run.id
    ran = quickstart.s2eval("show", name[:-1])
    assert f"did you mean '{name}'?" in ran.one_line()
    ran = quickstart.s2eval("show", "--reproduce", "debian-6.1/nested/wcprobe")
    assert "did you mean 'debian-6.1/nested-tcg/wcprobe'?" in ran.one_line()
