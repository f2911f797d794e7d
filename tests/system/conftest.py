# SPDX-License-Identifier: GPL-2.0-only
"""Runs of real guests that several tests look at: each is made once a session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness.base.paths import PLANS, cache_dir
from harness.kernel.build import build, resolve
from tests.system.commands import Ran, S2Eval


@dataclass(frozen=True)
class Finished:
    """A run, and what the command that made it said."""

    s2eval: S2Eval
    ran: Ran


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """Build the two kernels of nearly every test first: on a new machine it takes minutes."""
    for name in ("debian-6.1", "debian-6.1+stage2-normal-nc"):
        build(resolve(name), progress=lambda _: None)


@pytest.fixture(scope="session", autouse=True)
def no_saved_hosts() -> None:
    """Which L1s are saved, and which restored, does not depend on earlier sessions."""
    shutil.rmtree(cache_dir("states"), ignore_errors=True)


@pytest.fixture
def s2eval(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S2Eval]:
    """The command with folders of its own. It leaves nothing behind, whatever the test does."""
    command = S2Eval(tmp_path_factory.mktemp("s"))
    yield command
    assert command.leftovers() == []


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """plans/quickstart.toml: Linux 6.1 as it is and with the series stage2-normal-nc."""
    command = S2Eval(tmp_path_factory.mktemp("quickstart"))
    return Finished(command, command("run", str(PLANS / "quickstart.toml")))


@pytest.fixture(scope="session")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """wcprobe on flat-tcg, as JSON."""
    command = S2Eval(tmp_path_factory.mktemp("flat"))
    return Finished(command, command("run", "-k", "debian-6.1", "-m", "flat-tcg", "--json"))
