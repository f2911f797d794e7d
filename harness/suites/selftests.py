# SPDX-License-Identifier: GPL-2.0-only
"""The table of a suite of the kernel's selftests, and the script that runs them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from harness.base.errors import UsageError
from harness.base.text import clean
from harness.base.toml import parse, read_toml, unknown

TABLE = "tests.toml"
FULL = "full"  # the set of all tests
REASON = 200  # characters of a compiler's error


class Test(BaseModel):
    """How a test is run; `not_in` are the sets that leave the test out, `why` says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arguments: str = ""
    seconds: int = Field(default=0, ge=0)  # 0: as all
    not_in: tuple[str, ...] = ()
    why: str


class Table(BaseModel):
    """The file tests.toml of a suite. `seconds`: until a test is ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: int = Field(gt=0)
    tests: dict[str, Test] = Field(default_factory=dict)

    @property
    def sets(self) -> set[str]:
        """Return the names of the sets."""
        return {FULL, *(name for test in self.tests.values() for name in test.not_in)}


def load_table(folder: Path) -> Table:
    """Return the table of a suite's folder. Raise UsageError when the file is wrong."""
    path = folder / TABLE
    return parse(Table, path, read_toml(path))


def check_set(folder: Path, selftests: str, subset: str) -> None:
    """Raise UsageError when the suite in `folder` has no set of that name."""
    if not selftests:
        raise UsageError(f"{folder.name} has no sets of tests: {folder.name} alone")
    sets = load_table(folder).sets
    if subset not in sets:
        raise unknown("set of tests", subset, sets)


def selftests_script(
    folder: Path, subset: str, programs: Collection[str], failed: Mapping[str, str]
) -> str:
    """Return lines of a guest's /suite, one for each test of the set; "" is the set of all.

    `failed` has the tests that did not build, each with the compiler's first error.
    """
    table = load_table(folder)
    return "".join(f"{line}\n" for line in _lines(table, subset, programs, failed))


def _lines(
    table: Table, subset: str, programs: Collection[str], failed: Mapping[str, str]
) -> Iterator[str]:
    tests = {name: table.tests.get(name) for name in (*programs, *failed)}
    chosen = {name: test for name, test in tests.items() if not (test and subset in test.not_in)}
    yield f"exec /bin/selftest plan {len(chosen)}"
    for number, (name, test) in enumerate(chosen.items(), 1):
        if name in failed:
            yield f"exec /bin/selftest {number} {name} - {clean(failed[name], REASON)}"
            continue
        seconds = (test.seconds if test else 0) or table.seconds
        arguments = test.arguments if test else ""
        yield f"exec /bin/selftest {number} {name} {seconds} @resume {arguments}".rstrip()
