# SPDX-License-Identifier: GPL-2.0-only
"""The audit of a run: its budget, and what it says when something could not be looked at."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from harness.arm.regs import Regs
from harness.arm.tables.census import StageTables
from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.paths import own_program
from harness.guests.audit import run_audit
from harness.guests.audit.host_module import Unreadable
from harness.guests.audit.run_audit import BARS, MAPPINGS, VFIO, RunAudit
from harness.guests.audit.tables import BUDGET, NO_TABLES
from harness.hosts.tables import Census, Reading, Sight, Target
from harness.results.readings import AuditRecord
from harness.suites.facts import Audit, Device
from tests.unit.guests.audit.test_audit import LEAF_IPA, NC_VA, reading, tables

IPA = 0x80_0000_0000
DEVICE = Device(bdf="0000:00:01.0", vendor="1af4", device="1110", bar=2, start=IPA, size=0x40_0000)
ASKED = Audit(mapping="ioremap_wc", va=NC_VA, ipa=IPA, size=0x1000)
RESOURCES = "0x1 0x2 0x0\n0x3 0x4 0x0\n" + f"{LEAF_IPA:#x} {LEAF_IPA + 0xFFF:#x} 0x0\n"
MAPS = f"{NC_VA:x}-ffff0000 rw-s {2 << 40:08x} 00:0f 4 anon_inode:[vfio-device]\n"
CENSUS = Census(StageTables(Regs(*[0] * 9), None), Sight(0, 0, 0), 0.001)
PROMISES = {"ioremap_wc": "Normal-NC"}


class Tables:
    """A way to tables which are those of test_audit; `refuses` names a target it cannot read."""

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.limits: list[tuple[str, Deadline]] = []
        self.opened = 0

    @contextlib.contextmanager
    def open(self, deadline: Deadline) -> Iterator[Tables]:
        self.opened += 1
        self.limits.append(("open", deadline))
        yield self

    def read(
        self, targets: Sequence[Target], deadline: Deadline, *, answer: Deadline | None = None
    ) -> list[Reading]:
        assert answer is not None
        self.limits += [("search", deadline), ("answer", answer)]
        if any(target.name == self.refuses for target in targets):
            raise MachineError("no vCPU was seen")
        found = reading(NC_VA, tables())
        return [replace(found, target=target, census=CENSUS) for target in targets]


def audited(source: Tables | None, **host: str | None) -> dict[str, AuditRecord]:
    """The records of one request; `host` is what could be read of the host, None: it could not."""
    with RunAudit(source, {}, PROMISES) as audit:
        for name, take, what in (
            ("resources", audit.host_resources, BARS),
            ("maps", audit.vmm_maps, MAPPINGS),
        ):
            text = host.get(name, {"resources": RESOURCES, "maps": MAPS}[name])
            if text is None:
                audit.lacks(what, "Permission denied")
            else:
                take(text)
        assert not audit.see(DEVICE)
        assert audit.see(ASKED)
        return {record.mapping: record for record in audit.records}


def test_all_that_could_be_read_is_judged() -> None:
    found = audited(Tables())
    assert found["ioremap_wc"].status == "PASS"
    assert found["ioremap_wc"].detail.expected.pa == f"{LEAF_IPA:#x}"
    assert found[VFIO].status == "FAIL"  # these tables have Normal-NC at that address


def test_an_address_that_could_not_be_looked_up_is_no_pass() -> None:
    """Its type alone is right: the mapping may lead anywhere."""
    for resources in (None, "0x1 0x2 0x0\n"):
        found = audited(Tables(), resources=resources)
        record = found["ioremap_wc"]
        assert record.status == "MISS" and "could not be read: " in record.detail.reason
        assert record.detail.expected.pa is None and record.combined == "Normal-NC"
        assert found[VFIO].status == "SKIP"


def test_what_is_wrong_stays_wrong_without_the_address() -> None:
    with RunAudit(Tables(), {}, {"ioremap_wc": "Device"}) as audit:
        audit.lacks(BARS, "Permission denied")
        audit.see(DEVICE)
        audit.see(ASKED)
    assert audit.records[0].status == "FAIL"


def test_mappings_that_could_not_be_read_are_told() -> None:
    found = audited(Tables(), maps=None)
    assert found["ioremap_wc"].status == "PASS"
    assert found[VFIO].status == "SKIP"
    assert found[VFIO].detail.reason == f"{MAPPINGS} could not be read: Permission denied"


def test_a_vmm_that_has_not_mapped_the_bar_has_no_record() -> None:
    assert VFIO not in audited(Tables(), maps="")


def test_a_reading_that_fails_is_a_miss_and_the_next_one_begins_anew() -> None:
    source = Tables(refuses="ioremap_wc")
    with RunAudit(source, {}, PROMISES) as audit:
        audit.host_resources(RESOURCES)
        audit.see(DEVICE)
        audit.see(ASKED)
        source.refuses = ""
        audit.see(ASKED)
    assert [record.status for record in audit.records] == ["MISS", "PASS"]
    assert audit.records[0].detail.reason == "no vCPU was seen" and source.opened == 2


def test_one_request_has_one_budget_which_ends_before_the_guest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    init = (own_program("init") / "init.c").read_text()
    (patience,) = re.findall(r"#define AUDIT_WAIT_MS (\d+)", init)
    assert int(patience) / 1000 > BUDGET
    source = Tables()
    audited(source)
    (budget,) = {limit for what, limit in source.limits if what in ("open", "answer")}
    assert budget.seconds == BUDGET
    # The second search of a request, for the VMM's own mapping, has what the first one has left.
    monkeypatch.setattr(run_audit, "BUDGET", 0.0)
    late = Tables()
    audited(late)
    assert [limit.left() for _, limit in late.limits] == [0.0] * len(late.limits)


def test_all_of_stage_2_is_that_of_the_last_request_that_was_read() -> None:
    source = Tables()
    with RunAudit(source, {}, PROMISES) as audit:
        audit.host_resources(RESOURCES)
        audit.see(DEVICE)
        assert audit.census is None
        audit.see(ASKED)
        audit.see(replace(ASKED, mapping="ioremap"))
        source.refuses = "ioremap_np"
        audit.see(replace(ASKED, mapping="ioremap_np"))
    assert audit.census == ("ioremap", CENSUS)
    assert audit.host_bars[2] == range(LEAF_IPA, LEAF_IPA + 0x1000)


def test_a_host_without_tables_says_so() -> None:
    (record,) = audited(None).values()
    assert (record.status, record.detail.reason) == ("SKIP", NO_TABLES)


def test_a_host_that_keeps_its_tables_from_itself_is_no_fault() -> None:
    with RunAudit(Unreadable("the kernel is locked down"), {}, PROMISES) as audit:
        assert audit.see(ASKED)
    (record,) = audit.records
    assert (record.status, record.detail.reason) == ("SKIP", "the kernel is locked down")
