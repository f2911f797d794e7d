# SPDX-License-Identifier: GPL-2.0-only
"""What the suite vma reported on real hosts, and its observations."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence

from harness.base.paths import PROJECT
from harness.results.records import Observation
from harness.suites.observe import observe
from tests.data_files import DATA

SUITE = PROJECT / "guest-tests/vma"
DEVICE, NORMAL_NC = "vma-6.1", "vma-normal-nc-a72"
ALL_KINDS = "vma-all-6.1"
POLL = "vma-poll-6.1"
BY_VMA, BY_VMA_NO_FWB = "vma-from-vma", "vma-from-vma-a72"
UNCHECKED_NO_FWB = "vma-from-vma-v3-a72"


def recorded(name: str) -> list[str]:
    return gzip.decompress((DATA / "ktap" / f"{name}.ktap.gz").read_bytes()).decode().splitlines()


def changed(name: str, test: str, change: Callable[[str], str]) -> list[str]:
    """The lines of a run; those of one test are what `change` makes of them."""
    lines = recorded(name)
    assert any(f"test={test} " in line for line in lines)
    return [change(line) if f"test={test} " in line else line for line in lines]


def observed(lines: Sequence[str]) -> dict[str, Observation]:
    return {item.path: item for item in observe("vma", lines, {}, None, None)}
