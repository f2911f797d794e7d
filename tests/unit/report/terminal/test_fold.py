# SPDX-License-Identifier: GPL-2.0-only
"""Many tests of one family are one row; figures of hardware have an interval."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.results.records import Cell, Observation, Status
from tests.unit.report.report_runs import LINES, a_cell, a_run, block, shown

FAMILY = "wcprobe.ioremap.accessors"
NAMES = ("writeb", "writew", "writel", "writeq", "stp", "readb")


def cell(*observations: Observation) -> Cell:
    made = a_cell("a", LINES)
    made.observations = list(observations)
    return made


def accessors(
    changed: Mapping[str, Status] | None = None, hosts: Mapping[str, Status] | None = None
) -> Cell:
    """Six accessors, five of which store; `changed` and `hosts` say what is not a PASS."""
    status = dict.fromkeys(NAMES, Status.PASS) | dict(changed or {})
    seen = {name: Status.PASS for name in NAMES if name != "readb"} | dict(hosts or {})
    why = {"reason": "it broke"}
    tests = [Observation(path=f"{FAMILY}.{n}", status=s, detail=why) for n, s in status.items()]
    host = [Observation(path=f"{FAMILY}.{n}.host", status=s, detail=why) for n, s in seen.items()]
    return cell(*tests, *host)


def row(one: Cell, label: str = "accessors") -> str:
    text = block(shown(a_run(one), width=160), "ioremap")
    found = re.search(rf"^  {label} +(.*)$", text, re.M)
    assert found, text
    return found[1]


def test_all_is_well_in_one_line() -> None:
    text = shown(a_run(accessors()))
    assert row(accessors()) == "6 ok, host 5 ok"
    assert "writew" not in text


def test_what_is_not_well_is_named() -> None:
    assert row(accessors({"writew": Status.FAIL})) == "5 ok, writew FAIL, host 5 ok"
    assert "FAIL  ioremap.accessors.writew: it broke" in shown(
        a_run(accessors({"writew": Status.FAIL}))
    )


def test_what_the_host_saw_otherwise_is_named() -> None:
    one = accessors(hosts={"writeq": Status.FAIL})
    assert row(one) == "6 ok, host 4 ok, writeq HOST DIFFERS"


def test_many_that_fail_are_counted() -> None:
    bad = dict.fromkeys(("writew", "writel", "writeq", "stp"), Status.FAIL)
    assert row(accessors(bad)) == "4 FAIL, writeb ok, readb ok, host 5 ok"


def test_a_host_that_sees_nothing_says_nothing() -> None:
    one = accessors(hosts=dict.fromkeys(NAMES[:5], Status.SKIP))
    assert row(one) == "6 ok"


def test_a_cell_without_the_family_says_so() -> None:
    other = cell(Observation(path="wcprobe.ioremap.stage1", status=Status.PASS))
    other.kernel.name = "b"
    text = block(shown(a_run(accessors(), other), width=160), "ioremap")
    assert re.search(r"  accessors +6 ok, host 5 ok +-\n", text + "\n")


def figures(count: int, *, representative: bool) -> list[Observation]:
    detail = {"representative": representative}
    test = Observation(path="wcprobe.ioremap.latency", status=Status.PASS)
    return [test] + [
        Observation(
            path=f"wcprobe.ioremap.latency.f{n}",
            status=Status.DONE,
            value=100.0 + n,
            unit="ns",
            samples=[99.0 + n, 100.0 + n, 104.0 + n],
            detail=detail,
        )
        for n in range(count)
    ]


def test_few_figures_of_hardware_have_their_interval() -> None:
    one = cell(*figures(2, representative=True))
    assert row(one, "  f0") == "100 [99, 104] ns"
    assert row(cell(*figures(2, representative=False)), "  f0") == "100 ns"


def test_many_figures_are_a_range() -> None:
    assert row(cell(*figures(9, representative=True)), "latency") == "100 to 108 ns"
    told = row(cell(*figures(9, representative=False)), "latency")
    assert told == "not representative (TCG)"


def test_what_many_accesses_did_is_counted() -> None:
    made = [Observation(path="wcprobe.ioremap.atomics", status=Status.DONE, value="recorded")]
    for name, value in (("a", "works"), ("b", "works"), ("c", "works"), ("d", "works"), ("e", "f")):
        path = f"wcprobe.ioremap.atomics.{name}"
        made.append(Observation(path=path, status=Status.DONE, value=value))
    assert row(cell(*made), "atomics") == "4 works, e f"


def test_nobody_reads_two_hundred_findings() -> None:
    bad = [
        Observation(path=f"wcprobe.ioremap.t{n}", status=Status.FAIL, detail={"reason": "no"})
        for n in range(200)
    ]
    text = shown(a_run(cell(*bad)))
    assert text.count("FAIL  ") == 21
    assert "FAIL  180 more: see run.json" in text
