# SPDX-License-Identifier: GPL-2.0-only
"""Suites: every file names what is there, and wcprobe's tables in C and TOML fit each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.base import paths
from harness.base.errors import UsageError
from harness.hosts.machines.machine import list_devices
from harness.suites.suite import list_suites, load_suite

FOLDER = paths.PROJECT / "guest-tests" / "wcprobe"
SUITES = {"wcprobe": "basic", "wcprobe-figures": "figures", "wcprobe-risky": "risky"}


def source(name: str) -> str:
    return (FOLDER / name).read_text()


@pytest.mark.parametrize("name", list_suites())
def test_every_suite_has_what_its_file_names(name: str) -> None:
    suite = load_suite(name)
    assert suite.description and set(suite.devices) <= set(list_devices())
    assert all((suite.folder / f"{program}.c").is_file() for program in suite.programs)
    for module in suite.modules:
        objects = (suite.folder / "Kbuild").read_text()
        assert f" {module.removesuffix('.ko')}.o" in objects


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_runs_its_set_and_promises_each_mapping(name: str) -> None:
    suite = load_suite(name)
    (insmod,) = [line for line in suite.script.splitlines() if line.startswith("insmod ")]
    found = re.search(r" set=(\w+)", insmod)
    assert (found[1] if found else "basic") == SUITES[name]
    assert suite.folder == FOLDER and " audit=1" in insmod
    table = source("mappings.c").split("const struct mapping mappings[]")[1]
    assert set(re.findall(r'\{ "(\w+)",', table)) == set(suite.promises)


def test_another_guest_goes_on_where_one_may_die() -> None:
    for name in SUITES:
        suite = load_suite(name)
        assert (suite.guests > 1) == suite.destructive == ("@resume" in suite.script)
    assert load_suite("wcprobe-risky").destructive


def test_every_set_has_tests() -> None:
    rows = re.findall(r"\{ SET_(\w+),", source("tests.c"))
    assert {row.lower() for row in rows} == set(SUITES.values())


def test_every_accessor_has_a_name_of_its_own() -> None:
    table = source("accessors.c").split("const struct accessor accessors[]")[1]
    names = re.findall(r"(?:STORE|LOAD)\((\w+),|\{ \"(\w+)\",", table)
    flat = [one or other for one, other in names]
    assert len(flat) == len(set(flat)) == 39
    # probe_throughput() measures the first two.
    assert flat[:2] == ["writel", "iowrite64_copy"]


def test_no_version_is_asked_for_outside_the_compatibility_header() -> None:
    files = [*(paths.PROJECT / "guest-tests").rglob("*.[ch]")]
    asking = [
        p.name for p in files if re.search(r"LINUX_VERSION_CODE|KERNEL_VERSION", p.read_text())
    ]
    assert set(asking) <= {"compat.h"}


def test_a_suite_of_ones_own_extends_the_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "wcprobe"):
        (tmp_path / "guest-tests" / name).mkdir(parents=True)
        path = tmp_path / "guest-tests" / name / "suite.toml"
        path.write_text('extends = "wcprobe"\nlimit = 7\n')
    mine, same = load_suite("mine"), load_suite("wcprobe")
    assert (mine.name, mine.limit, mine.folder) == ("mine", 7, FOLDER)
    assert (same.name, same.limit, same.folder) == ("wcprobe", 7, FOLDER)
    (tmp_path / "guest-tests/wcprobe/suite.toml").write_text('extends = "mine"\n')
    with pytest.raises(UsageError, match="extend each other in a circle"):
        load_suite("mine")
