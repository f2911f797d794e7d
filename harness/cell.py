# SPDX-License-Identifier: GPL-2.0-only
"""One cell from left to right: build, boot, probes, observations."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.deadline import Deadline
from harness.errors import BuildError, S2EvalError
from harness.guest import fidelity as emulator
from harness.guest.classify import blame
from harness.guest.host import GuestDied, L1Host, l1_process
from harness.guest.launch import GuestFiles, command_line, make_files
from harness.guest.machine import Machine, unusable
from harness.guest.qemu import QemuProcess
from harness.guest.qemubin import QemuBinary
from harness.guest.run_audit import RunAudit
from harness.guest.suite_run import FlatRun, NestedRun, SuiteRun
from harness.guest.userland import initramfs
from harness.kernel.build import Build, build, build_modules
from harness.plan import CellRequest
from harness.probe.observe import limited, observe
from harness.probe.witness import audit_observations, witnesses
from harness.report.progress import Progress
from harness.reproduce import SCRIPT, script
from harness.results.records import Cell, Failure, KernelRecord, Phase, Status, SuiteRecord, worst

FLAT_CHANNELS = ["console", "results", "kmsg"]


@dataclass
class Phases:
    """Names and times the steps of a cell."""

    cell: str
    progress: Progress
    done: list[Phase] = field(default_factory=list)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.progress.phase(self.cell, name)
        start = time.monotonic()
        try:
            yield
        finally:
            self.done.append(Phase(name=name, seconds=round(time.monotonic() - start, 3)))


@dataclass(frozen=True)
class Tools:
    """What every cell of a run uses."""

    qemu: QemuBinary
    cross: str
    progress: Progress


def blank(request: CellRequest) -> Cell:
    """The record of a cell that has not run yet."""
    return Cell(
        name=request.name,
        kernel=KernelRecord(name=request.kernel.name, series=list(request.kernel.series)),
        machine=request.machine.record("", []),
        suite=SuiteRecord(name=request.suite.name, source_hash=request.suite.source_hash),
        status=Status.MISS,
    )


def run_cell(request: CellRequest, tools: Tools, logs: Path) -> Cell:
    """Run one cell; whatever goes wrong becomes part of its record.

    `logs` is the cell's own folder. Ctrl-C and errors of the harness itself pass through, after
    every process and temporary file of the cell is gone.
    """
    cell = blank(request)
    phases = Phases(request.name, tools.progress)
    reason = unusable(request.machine)
    if reason:
        cell.status = Status.SKIP
        cell.failure = Failure(kind="machine", summary=reason, where="harness")
        return cell
    try:
        _run(cell, request, tools, logs, phases)
    except S2EvalError as error:
        kind = "build" if isinstance(error, BuildError) else "machine"
        where = "build" if kind == "build" else "harness"
        log = str(error.log) if error.log else ""
        cell.failure = Failure(kind=kind, summary=str(error), where=where, log=log)
        cell.status = Status.MISS
    cell.phases = phases.done
    cell.logs = sorted(p.name for p in logs.iterdir() if p.stat().st_size)
    return cell


def _run(cell: Cell, request: CellRequest, tools: Tools, logs: Path, phases: Phases) -> None:
    machine = request.machine
    with phases("build"):
        built = build(request.kernel, progress=tools.progress.note)
        cell.kernel = built.record
    with phases("suite"):
        archive = guest_archive(request, built, tools.cross)
    with phases("calibrate"):
        fidelity = calibrate_machine(machine, tools.qemu)
        cell.fidelity = fidelity.model_dump(mode="json", exclude={"report"})
    with tempfile.TemporaryDirectory(prefix="s2eval-cell-") as tmp:
        files = GuestFiles(Path(tmp), built.image, archive)
        make_files(machine, files)
        again = script(cell.name, cell.kernel.name, cell.kernel.version, machine, tools.qemu, files)
        (logs / SCRIPT).write_text(again)
        runner = run_flat if machine.topology == "flat" else run_nested
        guest = GuestRun(cell, request, tools.qemu, files, logs, phases)
        outcome = runner(guest)
        bar = files.bar.read_bytes()
    with phases("judge"):
        cell.failure = outcome.failure
        limits = limited(request.suite.needs, emulator.limits(fidelity))
        (logs / "results.ktap").write_text("\n".join(outcome.lines) + "\n")
        name = request.suite.name
        probed = observe(name, outcome.lines, limits, outcome.failure, bar)
        seen = witnesses(name, cell.audits, probed, limits)
        cell.observations = [*probed, *audit_observations(cell.audits), *seen]
        cell.status = cell_status(cell)


def cell_status(cell: Cell) -> Status:
    """The worst of what was observed; a guest that died without any FAIL decides by its end."""
    status = worst([o.status for o in cell.observations])
    if cell.failure and status in (Status.PASS, Status.DONE, Status.SKIP):
        return blame(cell.failure)
    return status if cell.observations else Status.MISS


def guest_archive(request: CellRequest, built: Build, cross: str) -> Path:
    """The initramfs with the suite's modules for this kernel."""
    modules = build_modules(built, request.suite.folder) if request.suite.modules else None
    files = {name: modules / name for name in request.suite.modules} if modules else {}
    return initramfs(files, request.suite.script, cross)


def calibrate_machine(machine: Machine, qemu: QemuBinary) -> emulator.Fidelity:
    """What this machine's emulator can show, measured once and cached."""
    return emulator.calibrate(
        qemu.path,
        list(qemu.args),
        cpu=machine.cpu,
        smp=machine.smp,
        el2=machine.topology == "nested",
        icount=machine.icount,
        accel=machine.accel,
        deadline=Deadline(machine.limits.boot),
    )


@dataclass(frozen=True)
class GuestRun:
    """What run_flat() and run_nested() need of their cell."""

    cell: Cell
    request: CellRequest
    qemu: QemuBinary
    files: GuestFiles
    logs: Path
    phases: Phases

    def start(self, process: QemuProcess) -> None:
        """Start the machine's QEMU and record the command line."""
        machine = self.request.machine
        command = command_line(
            machine, self.qemu, self.files, process.chardev, gdb_socket=process.gdb_socket
        )
        self.cell.machine = machine.record(self.qemu.version, command)
        process.start(command)

    def suite_deadline(self) -> Deadline:
        return Deadline(self.request.suite.limit * self.request.machine.limits.slowdown)


def run_flat(guest: GuestRun) -> SuiteRun:
    """The suite in L1 itself."""
    with QemuProcess(guest.logs, FLAT_CHANNELS) as process, guest.phases("boot and probe"):
        guest.start(process)
        silence = guest.request.machine.limits.silence
        return FlatRun(process, silence).finish(guest.suite_deadline())


def run_nested(guest: GuestRun) -> SuiteRun:
    """The suite in L2, on an L1 that runs the kernel under test as its KVM host."""
    machine = guest.request.machine
    limits = machine.limits
    with (
        l1_process(guest.logs) as process,
        RunAudit(process, machine.memory_mib, guest.request.suite.promises) as audit,
    ):
        guest.cell.audits = audit.records
        host = L1Host(process, limits.silence)
        try:
            with guest.phases("boot L1"):
                guest.start(process)
                host.boot(Deadline(limits.boot))
            with guest.phases("start L2"):
                nested = NestedRun(host, audit)
                nested.start("sh /share/l2", machine.device_bdf, Deadline(limits.boot))
            with guest.phases("probe"):
                return nested.finish(guest.suite_deadline())
        except GuestDied as died:
            return SuiteRun(failure=died.failure)
