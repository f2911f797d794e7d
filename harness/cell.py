# SPDX-License-Identifier: GPL-2.0-only
"""One cell from left to right: build, boot, probes, observations."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.deadline import Deadline
from harness.errors import BuildError, MachineError, S2EvalError, UsageError
from harness.guest.classify import blame
from harness.guest.host import L1_CHANNELS, GuestDied, L1Host
from harness.guest.launch import GuestFiles, command_line, make_files
from harness.guest.machine import Machine, unusable
from harness.guest.qemu import QemuProcess
from harness.guest.qemubin import QemuBinary
from harness.guest.suite_run import FlatRun, NestedRun, SuiteRun
from harness.guest.userland import initramfs, l1_image
from harness.kernel.build import Build, build, build_modules
from harness.plan import CellRequest
from harness.probe.observe import limited, observe
from harness.probe.witness import audit_observations, witnesses
from harness.report.progress import Progress
from harness.reproduce import SCRIPT, script
from harness.results.records import (
    Cell,
    Failure,
    KernelRecord,
    Observation,
    Phase,
    Status,
    SuiteRecord,
    worst,
)

if TYPE_CHECKING:
    from harness.guest.run_audit import RunAudit

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
    progress: Progress
    idle: Callable[[], object] = lambda: None  # called while a guest boots


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
    except BrokenPipeError:  # of our own output
        raise
    except (S2EvalError, OSError) as error:
        cell.failure = harness_failure(error)
        cell.status = Status.MISS
    cell.phases = phases.done
    cell.logs = sorted(p.name for p in logs.iterdir() if p.stat().st_size)
    return cell


def harness_failure(error: S2EvalError | OSError) -> Failure:
    """A kernel that does not build, a wrong input, or what this machine lacks: space, a tool."""
    if isinstance(error, BuildError):
        log = str(error.log or "")
        return Failure(kind="build", summary=str(error), where="build", log=log)
    if isinstance(error, OSError):
        error = MachineError(f"{error.filename or 'this machine'}: {error.strerror or error}")
    kind = "input" if isinstance(error, UsageError) else "machine"
    return Failure(kind=kind, summary=str(error), where="harness", log=str(error.log or ""))


def _run(cell: Cell, request: CellRequest, tools: Tools, logs: Path, phases: Phases) -> None:
    machine = request.machine
    # L1's disk is downloaded while the kernel builds; a disk that is there costs nothing.
    with ThreadPoolExecutor(1) as aside:
        disk = aside.submit(l1_image) if machine.topology == "nested" else None
        with phases("build"):
            built = build(request.kernel, progress=tools.progress.note)
            cell.kernel = built.record
        with phases("user land"):
            _ = disk.result() if disk else None
    with phases("suite"):
        archive = guest_archive(request, built)
    with tempfile.TemporaryDirectory(prefix="s2eval-cell-") as tmp:
        files = GuestFiles(Path(tmp), built.image, archive)
        make_files(machine, files)
        again = script(cell.name, cell.kernel.name, cell.kernel.version, machine, tools.qemu, files)
        (logs / SCRIPT).write_text(again)
        runner = run_flat if machine.topology == "flat" else run_nested
        guest = GuestRun(cell, request, tools, files, logs, phases)
        outcome = runner(guest)
        bar = files.bar.read_bytes()
    with phases("judge"):
        cell.failure = outcome.failure
        limits = limited(request.suite.needs, cell.fidelity["limits"])
        (logs / "results.ktap").write_text("\n".join(outcome.lines) + "\n")
        name = request.suite.name
        probed = observe(name, outcome.lines, limits, outcome.failure, bar)
        seen = witnesses(name, cell.audits, probed, limits)
        cell.observations = [*probed, *audit_observations(cell.audits), *seen]
        if cell.failure and not any("failure" in o.detail for o in cell.observations):
            cell.observations.append(ending(name, cell.failure))
        elif not cell.observations:
            nothing = {"reason": "the suite ended without a result"}
            cell.observations = [Observation(path=name, status=Status.ERROR, detail=nothing)]
        cell.status = worst([o.status for o in cell.observations])


def ending(suite: str, failure: Failure) -> Observation:
    """`SUITE.guest`: what became of a guest that did not end in one of its tests."""
    detail = {"reason": failure.summary, "failure": failure.kind}
    path, status = f"{suite}.guest", blame(failure)
    return Observation(path=path, status=status, value=failure.kind, detail=detail)


def guest_archive(request: CellRequest, built: Build) -> Path:
    """The initramfs with the suite's modules for this kernel."""
    modules = build_modules(built, request.suite.folder) if request.suite.modules else None
    files = {name: modules / name for name in request.suite.modules} if modules else {}
    return initramfs(files, request.suite.script)


def calibrate_machine(machine: Machine, qemu: QemuBinary) -> dict[str, Any]:
    """What this machine's emulator can show, measured once and cached, as it is recorded."""
    from harness.guest import fidelity as emulator  # noqa: PLC0415 - imported while a guest boots

    found = emulator.calibrate(
        qemu.path,
        list(qemu.args),
        cpu=machine.cpu,
        smp=machine.smp,
        el2=machine.topology == "nested",
        icount=machine.icount,
        accel=machine.accel,
        deadline=Deadline(machine.limits.boot),
    )
    record = found.model_dump(mode="json", exclude={"report"})
    return {**record, "limits": emulator.limits(found)}


@dataclass(frozen=True)
class GuestRun:
    """What run_flat() and run_nested() need of their cell."""

    cell: Cell
    request: CellRequest
    tools: Tools
    files: GuestFiles
    logs: Path
    phases: Phases

    def start(self, process: QemuProcess) -> None:
        """Start the machine's QEMU and record the command line.

        What the cell needs only later is done here, while the guest boots.
        """
        machine, qemu = self.request.machine, self.tools.qemu
        command = command_line(
            machine, qemu, self.files, process.chardev, gdb_socket=process.gdb_socket
        )
        self.cell.machine = machine.record(qemu.version, command)
        process.start(command)
        self.cell.fidelity = calibrate_machine(machine, qemu)
        self.tools.idle()

    def suite_deadline(self) -> Deadline:
        return Deadline(self.request.suite.limit * self.request.machine.limits.slowdown)


def run_flat(guest: GuestRun) -> SuiteRun:
    """The suite in L1 itself."""
    with (
        QemuProcess(guest.files.folder, guest.logs, FLAT_CHANNELS) as process,
        guest.phases("boot and probe"),
    ):
        guest.start(process)
        silence = guest.request.machine.limits.silence
        return FlatRun(process, silence).finish(guest.suite_deadline())


def run_nested(guest: GuestRun) -> SuiteRun:
    """The suite in L2, on an L1 that runs the kernel under test as its KVM host."""
    machine = guest.request.machine
    limits = machine.limits
    with (
        QemuProcess(guest.files.folder, guest.logs, L1_CHANNELS) as process,
        contextlib.ExitStack() as stack,
    ):
        host = L1Host(process, limits.silence)
        with guest.phases("start L1"):
            guest.start(process)
            audit = stack.enter_context(_run_audit(guest, process))
            guest.cell.audits = audit.records
            nested = NestedRun(host, audit)
        try:
            with guest.phases("boot L1"):
                host.boot(Deadline(limits.boot))
            with guest.phases("start L2"):
                nested.start("sh /share/l2", machine.device_bdf, Deadline(limits.boot))
            with guest.phases("probe"):
                return nested.finish(guest.suite_deadline())
        except GuestDied as died:
            return nested.lost(died)


def _run_audit(guest: GuestRun, process: QemuProcess) -> RunAudit:
    from harness.guest.run_audit import RunAudit  # noqa: PLC0415 - imported while L1 boots

    return RunAudit(process, guest.request.machine.memory_mib, guest.request.suite.promises)
