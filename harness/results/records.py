# SPDX-License-Identifier: GPL-2.0-only
"""The schema of run.json (docs/results.md): one record for each fact, with its provenance."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from harness.results.base import SEVERITY, Record, Status, exit_code_of, worst
from harness.results.failure_kinds import Blame, FailureKind
from harness.results.places import Place
from harness.results.readings import AuditRecord, CensusRecord, FidelityRecord

# Defined in base.py; users of records import these names from here.
__all__ = ["SEVERITY", "Record", "Status", "exit_code_of", "worst"]

SCHEMA = "s2eval-run-1"
# The value of a test that the guest did not survive.
VM_KILLED = "vm-killed"
# Between the readings of a value about which sources disagree: `Device-nGnRnE or Device-nGnRE`.
OR = " or "
# Last component of the path whose value counts the tests that a guest never began.
UNREACHED = "not_reached"


class Observation(Record):
    """One fact, e.g. path `wcprobe.ioremap_wc.unaligned_load`.

    `value` is a word such as `works`, or a figure in `unit`; `samples` are the raw figures.
    `detail` has keys that differ from suite to suite; `detail["reason"]` says why the status is
    SKIP, FAIL, ERROR or MISS, `detail["representative"]` is false for timings from an emulator.
    """

    path: str
    status: Status
    value: str | int | float | bool | None = None
    unit: str | None = None
    samples: list[float] = Field(default_factory=list)
    detail: dict[str, Any] = Field(default_factory=dict)


class Case(Record):
    """One test that only passes or fails, e.g. one of kselftest's.

    `name` is its path below the suite, the names of nested tests joined with dots. `message` says
    why it did not pass; `seconds` is None where the test reported no time. `flaky` counts the
    statuses of the repeats where they did not agree (`{"PASS": 4, "FAIL": 1}`).
    """

    name: str
    status: Status
    message: str = ""
    seconds: float | None = None
    flaky: dict[str, int] = Field(default_factory=dict)


class Phase(Record):
    """One step of a cell, and the seconds of wall time it took.

    `quiet` is the longest time without a line from its guests in it, 0.0 where nobody listened.
    """

    name: str
    seconds: float
    quiet: float = 0.0


class Failure(Record):
    """Why a cell or a guest ended early: kind, the line that shows it, the log to read on in.

    `place` is where a guest that fell silent hangs, None for all others and where nobody can see.
    """

    kind: FailureKind
    summary: str
    excerpt: list[str] = Field(default_factory=list)
    where: str = ""  # "L1", "L2", "VMM", "build", "harness"
    log: str = ""  # file name inside the cell's folder
    place: Place | None = None

    @property
    def status(self) -> Status:
        """Return FAIL when the kernel is at fault; MISS when the harness or the machine may be."""
        return Status.FAIL if self.kind.blame is Blame.KERNEL else Status.MISS


class KernelRecord(Record):
    """The kernel of a cell, exactly enough to build it again."""

    name: str
    source: str = ""
    version: str = ""  # kernelrelease
    commit: str = ""
    series: list[str] = Field(default_factory=list)
    series_hash: str = ""
    config_hash: str = ""
    compiler: str = ""
    image_hash: str = ""
    build_key: str = ""
    cached: bool = False


class HostRecord(Record):
    """A lab host: what a figure of it depends on beside the kernel. "" for what it does not tell.

    `cpu` is MIDR_EL1, `link` the PCIe link of the device (speed and width), `load` /proc/loadavg
    before the suite, `vmm` the first line of its VMM's version, `kvm` the kernel's line on KVM's
    mode, `safe` the release of the machine's own kernel, `method` how the kernel under test was
    booted. `virtual`: it is a virtual machine, none of whose figures count.
    """

    name: str
    cpu: str = ""
    features: str = ""
    cpus: int = 0
    firmware: str = ""
    smmu: str = ""
    device: str = ""
    link: str = ""
    governor: str = ""
    load: str = ""
    vmm: str = ""
    kvm: str = ""
    safe: str = ""
    method: str = ""
    virtual: bool = False


class MachineRecord(Record):
    """The machine of a cell: accelerator, CPU model, topology and the QEMU it ran on.

    `restored`: L1 did not boot in this cell but was loaded from a saved state. `host` is there for
    a lab host, whose kernel command line `command` is.
    """

    name: str
    topology: Literal["flat", "nested", "host", "lab"]
    accel: Literal["tcg", "kvm"]
    cpu: str
    smp: int
    memory_mib: int
    qemu: str = ""
    restored: bool = False
    command: list[str] = Field(default_factory=list)
    host: HostRecord | None = None


class SuiteRecord(Record):
    """The suite of a cell, and the hash of its sources."""

    name: str
    source_hash: str = ""


class Usage(Record):
    """QEMU's peak memory and CPU time, of all guests of a cell."""

    memory_mib: float
    cpu_seconds: float


class Cell(Record):
    """One suite on one machine with one kernel: observations and, of tests that only pass or
    fail, cases.

    With `repeats` above 1 the observations are those of all repeats together. `retried` says why
    earlier boots do not count, one record each. `inputs` is a hash over all that shaped the cell;
    `carried` names the run that the cell was copied from, because its inputs are the same.
    """

    name: str
    kernel: KernelRecord
    machine: MachineRecord
    suite: SuiteRecord
    status: Status
    phases: list[Phase] = Field(default_factory=list)
    failure: Failure | None = None
    observations: list[Observation] = Field(default_factory=list)
    cases: list[Case] = Field(default_factory=list)
    audits: list[AuditRecord] = Field(default_factory=list)
    census: CensusRecord | None = None
    fidelity: FidelityRecord = Field(default_factory=FidelityRecord)
    expectations: list[Observation] = Field(default_factory=list)
    logs: list[str] = Field(default_factory=list)
    repeats: int = 1
    retried: list[Failure] = Field(default_factory=list)
    inputs: str = ""
    carried: str = ""
    usage: Usage | None = None

    def outcomes(self) -> list[Observation]:
        """Return the observations, and each case in their form, at `SUITE.CASE`."""
        return [*self.observations, *(self._observation(case) for case in self.cases)]

    def _observation(self, case: Case) -> Observation:
        detail: dict[str, object] = {"reason": case.message} if case.message else {}
        if case.flaky:
            detail["flaky"] = case.flaky
        return Observation(path=f"{self.suite.name}.{case.name}", status=case.status, detail=detail)


class HostInfo(Record):
    """The computer on which the harness ran."""

    system: str
    machine: str
    cpus: int
    python: str
    s2eval: str


class Comparison(Record):
    """Two kernels of a run that are compared, machine by machine and suite by suite."""

    base: str
    patched: str


class RunInfo(Record):
    """How a run was started, and how it ended.

    `refs` is the commit that each kernel from a local tree was resolved to, `resumed` how often
    the run was continued. `stopped` says why the run ended by itself before its last cell.
    """

    id: str
    plan: str
    started: str  # ISO 8601, UTC
    seconds: float = 0.0
    command: list[str] = Field(default_factory=list)
    host: HostInfo
    interrupted: bool = False
    comparisons: list[Comparison] = Field(default_factory=list)
    refs: dict[str, str] = Field(default_factory=dict)
    jobs: int = 1
    resumed: int = 0
    stopped: str = ""


class Run(Record):
    """The whole of run.json."""

    schema_: Literal["s2eval-run-1"] = Field(default="s2eval-run-1", alias="schema")
    run: RunInfo
    status: Status
    cells: list[Cell] = Field(default_factory=list)

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
