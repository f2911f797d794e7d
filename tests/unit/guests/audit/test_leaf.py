# SPDX-License-Identifier: GPL-2.0-only
"""The lines that tell what the tables say of a VMM's test, and of its own mapping."""

from __future__ import annotations

from dataclasses import replace

from harness.guests.audit.leaf import LeafAudit
from harness.suites.facts import Audit, Leaf
from harness.suites.ktap import parse_lines
from tests.unit.guests.audit.test_run_audit import ASKED, Tables

WITH_VMM = replace(ASKED, vmm=0x1000)


def leaves(source: Tables, *requests: Audit) -> list[Leaf]:
    with LeafAudit(source) as audit:
        lines = [line for request in requests for line in audit.lines(request)]
    return [fact for fact in parse_lines(lines).facts if isinstance(fact, Leaf)]


def test_the_type_in_the_vmms_tables_is_told_where_it_is_asked_for() -> None:
    plain, both = leaves(Tables(), ASKED, WITH_VMM)
    assert (plain.stage2, plain.vmm) == ("Normal-NC", "")
    assert (both.stage2, both.vmm) == ("Normal-NC", "Normal-NC")


def test_a_host_whose_vmms_tables_cannot_be_read_is_asked_once() -> None:
    source = Tables(refuses="vmm")
    first, second = leaves(source, WITH_VMM, WITH_VMM)
    assert (first.stage2, first.vmm, second.stage2, second.vmm) == ("Normal-NC", "") * 2
    assert len([what for what, _ in source.limits if what == "search"]) == 3
