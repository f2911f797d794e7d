# SPDX-License-Identifier: GPL-2.0-only
"""guest-tests/kvm-selftests/selftest.c, built for this computer: how tests end, in KTAP."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.base.paths import own_program
from harness.results.records import Case, Status
from harness.suites.observe import observe_suite

TESTS = {
    "passes": "echo Testing; exit 0",
    "skips": "echo '1..0 # SKIP - no such feature'; exit 4",
    "asserts": """
echo '==== Test Assertion Failure ===='
echo '  lib/x.c:12: fd >= 0'
echo '  pid=1 tid=1 errno=2 - No such file'
exit 254""",
    "dies": "kill -SEGV $$",
    "hangs": "echo waiting; sleep 4729 & wait",
    "below": "echo '1..2'; echo 'ok 1 first'; echo 'not ok 2 second'; echo '1..1'; exit 1",
    "floods": "for i in $(seq 3000); do echo line $i; done; exit 3",
    "args": '[ "$*" = "-b 64M" ]',
}
LIMIT = "20"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("selftests")
    source = own_program("kvm-selftests") / "selftest.c"
    defines = [f'-DFOLDER="{folder}"', f'-DBEHIND="{folder}/behind"']
    command = ["gcc", "-O1", "-Wall", "-Werror", *defines, "-o", str(folder / "run"), str(source)]
    subprocess.run(command, check=True)
    for name, body in TESTS.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def run(folder: Path, *args: str) -> str:
    done = subprocess.run(
        [str(folder / "run"), *args], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def case(folder: Path, name: str, *args: str, limit: str = LIMIT) -> Case:
    lines = [
        *run(folder, "plan", "1").splitlines(),
        *run(folder, "1", name, limit, *args).splitlines(),
    ]
    observations, cases = observe_suite("s", [*lines, "# s2eval: end"], {}, None, None, cases=True)
    assert not [o for o in observations if o.path.endswith("ktap")], observations
    return cases[-1]


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("passes", Status.PASS, ""),
        ("skips", Status.SKIP, "no such feature"),
        ("asserts", Status.FAIL, "exit 254: lib/x.c:12: fd >= 0"),
        ("dies", Status.FAIL, "signal 11"),
        ("floods", Status.FAIL, "exit 3: line 3000"),
        ("absent", Status.FAIL, "No such file or directory"),
    ],
)
def test_how_a_test_ends(folder: Path, name: str, status: Status, message: str) -> None:
    told = case(folder, name)
    assert (told.name, told.status) == (name, status)
    assert message in told.message


def test_a_test_that_hangs_is_ended_with_all_that_it_started(folder: Path) -> None:
    told = case(folder, "hangs", limit="1")
    assert told.status is Status.MISS and "1 seconds: waiting" in told.message
    left = subprocess.run(["pgrep", "-f", "^sleep 4729$"], capture_output=True, check=False)
    assert left.returncode == 1


def test_tests_below_a_test_are_cases(folder: Path) -> None:
    told = case(folder, "below")
    assert (told.name, told.status) == ("below.second", Status.FAIL)


def test_a_test_that_does_not_build_fails_with_the_compilers_words(folder: Path) -> None:
    told = case(folder, "broken", "a.c:1:", "error:", "x.h", limit="-")
    assert (told.status, told.message) == (Status.FAIL, "does not build: a.c:1: error: x.h")


@pytest.mark.parametrize("resume", [(), ("",)])
def test_arguments_are_the_tests(folder: Path, resume: tuple[str, ...]) -> None:
    assert case(folder, "args", *resume, "-b", "64M").status is Status.PASS


def test_after_a_host_that_died_the_next_goes_on_behind_its_test(folder: Path) -> None:
    (folder / "behind").unlink(missing_ok=True)
    for name, runs in (("passes", False), ("dies", False), ("skips", True), ("passes", True)):
        assert bool(run(folder, "1", name, LIMIT, "after=dies")) is runs, name
