# SPDX-License-Identifier: GPL-2.0-only
"""Which tests a worker of pytest-xdist runs one after the other, and which begin."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Files whose tests stay with one worker, the long ones first: they build kernels, and would wait
# for each other's source tree, or they share what a fixture has made. Other tests go one by one to
# whoever is free.
GROUPS = {
    "test_bisect": "builds",
    "test_patch": "builds",
    "test_kernel_build": "builds",
    "test_mutants": "builds",
    "test_splats": "builds",
    "test_restored": "restored",
    "test_run_failures": "failures",
    "test_page": "quickstart",
    "test_run_quickstart": "quickstart",
    "test_cli_output": "quickstart",
    "test_wcprobe_full": "damaged",
    "test_installed": "installed",
    "test_fidelity": "calibration",
    "test_gdbstub": "gdbstub",
    "test_history": "history",
}
# Tests of a second each: they fill the gaps at the end.
SHORT = ("test_fidelity", "test_gdbstub", "test_history", "test_cli_errors")


def rank(item: pytest.Item) -> int:
    """Return a number that is low for what is to begin."""
    file, order = item.path.stem, list(GROUPS)
    if file in SHORT:
        return len(order) + 1
    return order.index(file) if file in order else len(order)


class Groups(LoadScopeScheduling):  # type: ignore[misc] # xdist carries no types
    """Gives the next group, in the order of the tests, to a worker with nothing left to do."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(PurePath(nodeid.partition("::")[0]).stem, nodeid)
