# SPDX-License-Identifier: GPL-2.0-only
"""Runs of real guests that several tests look at: each is made once a session."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from xdist.remote import Producer

from harness.base.paths import cache_dir, hold_cache
from harness.kernel.build import build, resolve
from tests.system.commands import Ran, S2Eval
from tests.system.once import once
from tests.system.side_by_side import Groups, rank


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes long begin."""
    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)  # also without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    return Groups(config, log)


@pytest.hookimpl(optionalhook=True)  # also without xdist
def pytest_xdist_auto_num_workers() -> int:
    """Return how many guests may run side by side: each has two vCPUs and 2 GiB."""
    return min(4, len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class Finished:
    """A run, what the command that made it said, and what it left behind."""

    s2eval: S2Eval
    ran: Ran
    left: tuple[str, ...] = ()


def finished(factory: pytest.TempPathFactory, name: str, *args: str) -> Finished:
    """What `s2eval ARGS` did, once a session. Every worker has temporary files of its own."""

    def make(folder: Path) -> None:
        command = S2Eval(folder)
        said = {"ran": asdict(command(*args)), "left": command.leftovers()}
        (folder / "said.json").write_text(json.dumps(said))

    folder = once(factory, name, make)
    said = json.loads((folder / "said.json").read_text())
    return Finished(S2Eval(folder, factory.mktemp("t")), Ran(**said["ran"]), tuple(said["left"]))


@pytest.fixture(scope="session", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Build the two kernels of nearly every test first: on a new machine it takes minutes.

    Which L1s are saved, and which restored, does not depend on earlier sessions.
    """

    hold_cache()

    def make(_: Path) -> None:
        shutil.rmtree(cache_dir("states"), ignore_errors=True)
        for name in ("debian-6.1", "debian-6.1+stage2-normal-nc"):
            build(resolve(name), progress=lambda _: None)

    once(tmp_path_factory, "kernels", make)


@pytest.fixture
def s2eval(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S2Eval]:
    """The command with folders of its own. It leaves nothing behind, whatever the test does."""
    command = S2Eval(tmp_path_factory.mktemp("s"))
    yield command
    assert command.leftovers() == []


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """plans/quickstart.toml: Linux 6.1 as it is and with the series stage2-normal-nc."""
    return finished(tmp_path_factory, "quickstart", "run", "quickstart")


@pytest.fixture(scope="session")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """wcprobe on flat-tcg, as JSON."""
    return finished(tmp_path_factory, "flat", "run", "-k", "debian-6.1", "-m", "flat-tcg", "--json")
