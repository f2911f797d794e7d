# SPDX-License-Identifier: GPL-2.0-only
"""Many entries as one: the most frequent text is counted, the others are named. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from harness.base.text import clean
from harness.report.view.table import Entry
from harness.results.records import Status, worst

OK = "ok"
NAMED = 3  # entries that are named before the rest is counted
BAD = (Status.FAIL, Status.ERROR, Status.MISS)


def fold(entries: Mapping[str, tuple[str, Status]], hosts: Mapping[str, Status]) -> Entry:
    """Return one entry for many, e.g. `33 ok, host 17 ok`, `32 ok, readw FAIL, host 17 ok`.

    `entries` has the text and the status of each entry, `hosts` the statuses of the host's looks.
    """
    common, count = Counter(text for text, _ in entries.values()).most_common(1)[0]
    others = [f"{clean(name)} {text}" for name, (text, _) in entries.items() if text != common]
    parts = [f"{count} {common}", *_named(others)]
    if hosts:
        passed = sum(status is Status.PASS for status in hosts.values())
        parts.append(f"host {passed} {OK}")
        differing = [clean(name) for name, status in hosts.items() if status is not Status.PASS]
        parts += [f"{', '.join(_named(differing))} HOST DIFFERS"] if differing else []
    return Entry(
        ", ".join(parts), worst([*(status for _, status in entries.values()), *hosts.values()])
    )


def _named(names: list[str]) -> list[str]:
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return names[:NAMED] + more
