# SPDX-License-Identifier: GPL-2.0-only
"""One cell from left to right: build, boot, probes, observations."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import BuildError, DiskFullError, S2EvalError, UsageError, machine_error
from harness.base.scratch import scratch_folder
from harness.evaluate.cell.nested import run_nested
from harness.evaluate.cell.reproduce import SCRIPT, script
from harness.evaluate.events import GuestStarted, Listener, PhaseBegan, notes
from harness.evaluate.plan.plan import CellRequest
from harness.guests.launch import GuestFiles, command_line, make_files
from harness.hosts.l1.session import Ended, Pass, Shelf
from harness.hosts.l1.userland import guest_program, initramfs, l1_root
from harness.hosts.machines.machine import Machine, unusable
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.process import QemuProcess
from harness.kernel.build import Build, build, build_modules
from harness.results.failure_kinds import FailureKind
from harness.results.phases import PhaseName
from harness.results.readings import FidelityRecord
from harness.results.records import Cell, Failure, KernelRecord, Phase, Status, SuiteRecord

FLAT_CHANNELS = ["console", "results", "kmsg"]
# What a cell needs once its guest runs: together 0.1 s, in which QEMU can start.
LATER = (
    "harness.guests.calibrate.fidelity",
    "harness.guests.suite_run",
    "harness.suites.device_trace",
    "harness.evaluate.cell.judge",
)
LATER_NESTED = ("harness.guests.audit.run_audit",)


@dataclass
class Phases:
    """Names and times the steps of a cell."""

    cell: str
    listener: Listener
    done: list[Phase] = field(default_factory=list)
    _current: PhaseName | None = None
    _start: float = 0.0

    def begin(self, name: PhaseName | None) -> None:
        """The step `name` begins, and the one before ends; None only ends it."""
        now = time.monotonic()
        if self._current:
            self.done.append(Phase(name=self._current, seconds=round(now - self._start, 3)))
        self._current, self._start = name, now
        if name:
            self.listener(PhaseBegan(self.cell, name))

    @contextlib.contextmanager
    def __call__(self, name: PhaseName) -> Iterator[None]:
        """A step that is the body of a block."""
        self.begin(name)
        try:
            yield
        finally:
            self.begin(None)


@dataclass(frozen=True)
class Tools:
    """What every cell of a run uses.

    `limit`: the seconds that a cell may take when all is built; None: any. `fresh`: L1 boots, also
    where it could be restored.
    """

    qemu: QemuBinary
    listener: Listener
    limit: float | None = None
    fresh: bool = False

    def deadline(self) -> Deadline | None:
        """Return the limit of a cell that begins now, for all waits to be within."""
        if self.limit is None:
            return None
        reason = f"took longer than the plan's limit of {self.limit:g} s for a cell"
        return Deadline(self.limit, reason=reason)


def blank(request: CellRequest) -> Cell:
    """The record of a cell that has not run yet."""
    return Cell(
        name=request.name,
        kernel=KernelRecord(name=request.kernel.name, series=list(request.kernel.series)),
        machine=request.machine.record("", []),
        suite=SuiteRecord(name=request.suite.name, source_hash=request.suite.source_hash),
        status=Status.MISS,
    )


def run_cell(request: CellRequest, tools: Tools, logs: Path, shelf: Shelf, *, last: bool) -> Cell:
    """Run one cell; whatever goes wrong becomes part of its record.

    `logs` is the cell's own folder. An L1 that the next cell can use is left on `shelf`, unless
    this cell is the `last` one. Ctrl-C and errors of the harness itself pass through, after every
    process and temporary file of the cell is gone.
    """
    cell = blank(request)
    phases = Phases(request.name, tools.listener)
    reason = unusable(request.machine, tools.qemu)
    if reason:
        cell.status = Status.SKIP
        cell.failure = Failure(kind=FailureKind.MACHINE, summary=reason, where="harness")
        return cell
    try:
        shelf.keeps = not last
        _run(cell, request, tools, logs, phases, shelf)
    except BrokenPipeError:  # of our own output
        raise
    except (S2EvalError, OSError) as error:
        cell.failure = harness_failure(error)
        cell.status = Status.MISS
    phases.begin(None)
    cell.phases = phases.done
    cell.logs = sorted(p.name for p in logs.iterdir() if p.stat().st_size)
    return cell


def harness_failure(error: S2EvalError | OSError) -> Failure:
    """A kernel that does not build, a wrong input, or what this machine lacks: space, a tool."""
    if isinstance(error, BuildError):
        log = str(error.log or "")
        return Failure(kind=FailureKind.BUILD, summary=str(error), where="build", log=log)
    if isinstance(error, OSError):
        error = machine_error(error)
    kind = FailureKind.MACHINE
    if isinstance(error, UsageError):
        kind = FailureKind.INPUT
    elif isinstance(error, DiskFullError):
        kind = FailureKind.DISK_FULL
    return Failure(kind=kind, summary=str(error), where="harness", log=str(error.log or ""))


def _run(
    cell: Cell, request: CellRequest, tools: Tools, logs: Path, phases: Phases, shelf: Shelf
) -> None:
    machine = request.machine
    # L1's root is downloaded while the kernel builds; one that is there costs nothing.
    with ThreadPoolExecutor(1) as aside:
        root = aside.submit(l1_root) if machine.topology == "nested" else None
        with phases(PhaseName.BUILD):
            built = build(request.kernel, progress=notes(tools.listener, cell.name))
            cell.kernel = built.record
        with phases(PhaseName.USER_LAND):
            _ = root.result() if root else None
    with phases(PhaseName.SUITE):
        archive = guest_archive(request, built)
    guest = GuestRun(cell, request, tools, built.image, archive, logs, phases, tools.deadline())
    ended = run_flat(guest) if machine.topology == "flat" else run_nested(guest, shelf)
    from harness.evaluate.cell.judge import judge_cell  # noqa: PLC0415 - see LATER

    with phases(PhaseName.JUDGE):
        for number, one in enumerate(ended.passes, 1):
            name = "results.ktap" if number == 1 else f"results-{number}.ktap"
            (logs / name).write_text("\n".join(one.run.lines) + "\n")
        judge_cell(cell, request.suite, ended)


def guest_archive(request: CellRequest, built: Build) -> Path:
    """The initramfs with the suite's modules for this kernel, and its programs."""
    suite = request.suite
    modules = build_modules(built, suite.folder) if suite.modules else None
    files = {name: modules / name for name in suite.modules} if modules else {}
    files |= {f"bin/{name}": guest_program(suite.folder, name) for name in suite.programs}
    return initramfs(files, request.machine.fill(suite.script))


def calibrate_machine(
    machine: Machine, qemu: QemuBinary, limit: Deadline | None = None
) -> FidelityRecord:
    """What this machine's emulator can show, measured once and cached, as it is recorded."""
    from harness.guests.calibrate import fidelity as emulator  # noqa: PLC0415 - see LATER

    found = emulator.calibrate(
        qemu.path,
        list(qemu.args),
        cpu=machine.cpu,
        smp=machine.smp,
        el2=machine.topology == "nested",
        icount=machine.icount,
        accel=machine.accel,
        deadline=Deadline(machine.limits.boot, within=limit),
    )
    measured = found.model_dump(mode="json", exclude={"report"})
    return FidelityRecord(**measured, limits=emulator.limits(found))


@dataclass(frozen=True)
class GuestRun:
    """What run_flat() and run_nested() need of their cell."""

    cell: Cell
    request: CellRequest
    tools: Tools
    image: Path
    archive: Path
    logs: Path
    phases: Phases
    limit: Deadline | None  # of the cell

    def started(self, command: list[str], pid: int, *, restored: bool = False) -> None:
        """QEMU runs: record how. What the cell needs only later is done while the guest boots."""
        machine, qemu = self.request.machine, self.tools.qemu
        self.cell.machine = machine.record(qemu.version, command)
        self.cell.machine.restored = restored
        for name in (*LATER, *(LATER_NESTED if machine.topology == "nested" else ())):
            import_module(name)
        self.cell.fidelity = calibrate_machine(machine, qemu, self.limit)
        kernel, files = self.cell.kernel, GuestFiles(Path(), self.image, self.archive)
        again = script(self.cell.name, kernel.name, kernel.version, machine, qemu, files)
        (self.logs / SCRIPT).write_text(again)
        self.tools.listener(GuestStarted(self.cell.name, pid))

    def traced(self, ended: Ended, files: GuestFiles) -> Ended:
        """What QEMU's trace tells of the device, read while the trace is there."""
        from harness.suites.device_trace import trace_observations  # noqa: PLC0415 - see LATER

        lines = [line for one in ended.passes for line in one.run.lines]
        machine, name = self.request.machine, self.request.suite.name
        ended.traced = trace_observations(name, lines, files.trace, machine)
        return ended


def run_flat(guest: GuestRun) -> Ended:
    """The suite in L1 itself."""
    machine = guest.request.machine
    with scratch_folder() as tmp:
        files = GuestFiles(tmp, guest.image, guest.archive)
        make_files(machine, files)
        with (
            guest.phases(PhaseName.BOOT_AND_PROBE),
            QemuProcess(files.folder, guest.logs, FLAT_CHANNELS) as process,
        ):
            command = command_line(
                machine,
                guest.tools.qemu,
                files,
                process.chardev,
                gdb_socket=process.gdb_socket,
            )
            process.start(command)
            guest.started(command, process.pid)
            from harness.guests.suite_run import FlatRun  # noqa: PLC0415 - see LATER

            seconds = guest.request.suite.limit * machine.limits.slowdown
            run = FlatRun(process, machine.limits.silence).finish(
                Deadline(seconds, within=guest.limit)
            )
        bar = files.bar.read_bytes() if machine.device.host_file else None
        return guest.traced(Ended([Pass(run, bar)]), files)
