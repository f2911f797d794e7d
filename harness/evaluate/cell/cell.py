# SPDX-License-Identifier: GPL-2.0-only
"""One cell from begin to end: build, boot, probes, observations."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.deadline import Deadline
from harness.base.errors import (
    BuildError,
    DiskFullError,
    MachineError,
    S2EvalError,
    UsageError,
    machine_error,
)
from harness.evaluate.events import GuestStarted, Listener, PhaseBegan, notes
from harness.evaluate.plan.plan import CellRequest
from harness.guests.placement import placement_of
from harness.guests.placement.placement import RunContext
from harness.guests.usable import why_not
from harness.hosts.coverage.record import is_record
from harness.hosts.l1.userland import guest_program, initramfs, l1_root
from harness.hosts.pool import HostPool
from harness.hosts.qemu.binary import QemuBinary
from harness.kernel.build import Build, build, build_modules
from harness.results.failure_kinds import FailureKind
from harness.results.phases import PhaseName
from harness.results.records import (
    Cell,
    Failure,
    HostRecord,
    KernelRecord,
    Phase,
    Status,
    SuiteRecord,
)

if TYPE_CHECKING:  # few cells record what runs, and a guest should not start later for it
    from harness.hosts.coverage.plugin import Coverage


@dataclass
class Phases:
    """Reports and times the phases of a cell; `done` has those that are over."""

    cell: str
    listener: Listener
    done: list[Phase] = field(default_factory=list)
    _current: PhaseName | None = None
    _start: float = 0.0

    def begin(self, name: PhaseName | None) -> None:
        """End the current phase, if there is one, and begin the phase `name`, unless it is None."""
        now = time.monotonic()
        if self._current:
            self.done.append(Phase(name=self._current, seconds=round(now - self._start, 3)))
        self._current, self._start = name, now
        if name:
            self.listener(PhaseBegan(self.cell, name))

    @contextlib.contextmanager
    def __call__(self, name: PhaseName) -> Iterator[None]:
        """Make the block of a `with` statement the phase `name`."""
        self.begin(name)
        try:
            yield
        finally:
            self.begin(None)


@dataclass(frozen=True)
class Tools:
    """Settings that every cell of a run shares.

    `limit`: the seconds that a cell may take once all is built (None: no limit). `fresh`: L1
    boots, also where it could be restored. `boot_only`: a host boots, and no guest on it.
    """

    qemu: QemuBinary
    listener: Listener
    limit: float | None = None
    fresh: bool = False
    boot_only: bool = False

    def deadline(self) -> Deadline | None:
        """Return the limit of a cell that begins now, for all its waits; None without a limit."""
        if self.limit is None:
            return None
        reason = f"took longer than the plan's limit of {self.limit:g} s for a cell"
        return Deadline(self.limit, reason=reason)


def blank(request: CellRequest) -> Cell:
    """Return the record of a cell that has not run yet, with status MISS."""
    return Cell(
        name=request.name,
        kernel=KernelRecord(name=request.kernel.name, series=list(request.kernel.series)),
        machine=request.machine.record("", []),
        suite=SuiteRecord(name=request.suite.name, source_hash=request.suite.source_hash),
        status=Status.MISS,
    )


def run_cell(request: CellRequest, tools: Tools, logs: Path, pool: HostPool, *, last: bool) -> Cell:
    """Run one cell and return its record, which has every S2EvalError and OSError as a failure.

    `logs` is the cell's own folder. An L1 that the next cell can use is left in `pool`, unless
    this cell is the `last` one. Raise BrokenPipeError, KeyboardInterrupt and errors of the harness
    itself, after every process and temporary file of the cell is gone.
    """
    cell = blank(request)
    phases = Phases(request.name, tools.listener)
    try:
        reason = why_not(request.kernel, request.machine, request.suite, tools.qemu)
        if reason:
            cell.status = Status.SKIP
            cell.failure = Failure(kind=FailureKind.MACHINE, summary=reason, where="harness")
            return cell
        pool.enabled = not last
        _run(cell, request, tools, logs, phases, pool)
    except BrokenPipeError:  # the reader of the command's output has gone
        raise
    except (S2EvalError, OSError) as error:
        cell.failure = harness_failure(error)
        cell.status = Status.MISS
    phases.begin(None)
    cell.phases = phases.done
    cell.logs = sorted(p.name for p in logs.iterdir() if p.stat().st_size and not is_record(p))
    return cell


def harness_failure(error: S2EvalError | OSError) -> Failure:
    """Return the failure for an error: a build, a wrong input, or a lack of space or a tool."""
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
    cell: Cell,
    request: CellRequest,
    tools: Tools,
    logs: Path,
    phases: Phases,
    pool: HostPool,
) -> None:
    placement = placement_of(request.machine)
    # L1's root is made while the kernel builds; one in the cache costs nothing.
    with ThreadPoolExecutor(1) as executor:
        root = executor.submit(l1_root) if placement.needs_userland else None
        with phases(PhaseName.BUILD):
            built = build(request.kernel, progress=notes(tools.listener, cell.name))
            cell.kernel = built.record
        with phases(PhaseName.USER_LAND):
            _ = root.result() if root else None
    with phases(PhaseName.SUITE):
        archive = guest_archive(request, built)
    guest = RunningCell(cell, request, tools, logs)
    context: RunContext = RunContext(
        machine=request.machine,
        qemu=tools.qemu,
        suite=request.suite,
        image=built.image,
        archive=archive,
        logs=logs,
        pool=pool,
        begin=phases.begin,
        note=notes(tools.listener, cell.name),
        started=lambda command, pid, *, restored: guest.started(
            context, command, pid, restored=restored
        ),
        on_host=guest.on_host,
        fresh=tools.fresh,
        boot_only=tools.boot_only,
        limit=tools.deadline(),
        coverage=coverage_for(request, built, tools),
        make_module=partial(build_modules, built),
    )
    cell.audits = context.audits
    outcome = placement.run(context)
    phases.begin(None)
    phases.done = [p.model_copy(update={"quiet": round(outcome.quiet.get(p.name, 0.0), 3)})
                   for p in phases.done]  # fmt: skip
    if tools.boot_only and not outcome.passes:
        cell.status = Status.DONE
        return
    with phases(PhaseName.JUDGE):
        from harness.evaluate.cell.judge import judge_cell  # noqa: PLC0415 - not before the guest

        for number, suite_pass in enumerate(outcome.passes, 1):
            name = "results.ktap" if number == 1 else f"results-{number}.ktap"
            (logs / name).write_text("\n".join(suite_pass.run.lines) + "\n")
        judge_cell(cell, request.suite, outcome)


def coverage_for(request: CellRequest, built: Build, tools: Tools) -> Coverage | None:
    """Return what records the instructions that a cell executes; None where nobody wants that.

    Also None, with a note for the user, where it cannot be had.
    """
    if not request.coverage:
        return None
    from harness.hosts.coverage.plugin import coverage_of, why_no_coverage  # noqa: PLC0415

    reason = why_no_coverage(request.machine, tools.qemu.path, built.image)
    try:
        return None if reason else coverage_of(built.image)
    except MachineError as error:
        notes(tools.listener, request.name)(f"what runs is not recorded: {error}")
        return None


def guest_modules(request: CellRequest, built: Build) -> dict[str, Path]:
    """Return the suite's modules for this kernel, by name, built when missing.

    Raise BuildError when they do not build.
    """
    suite = request.suite
    modules = build_modules(built, suite.folder) if suite.modules else None
    return {name: modules / name for name in suite.modules} if modules else {}


def guest_archive(request: CellRequest, built: Build) -> Path:
    """Return the initramfs with the suite's modules for this kernel, and its programs.

    Raise BuildError when one of them does not build, MachineError when a tool is missing.
    """
    suite = request.suite
    files = guest_modules(request, built)
    files |= {f"bin/{name}": guest_program(suite.folder, name) for name in suite.programs}
    script = request.machine.fill(suite.script)
    if suite.selftests:
        # Few cells run the kernel's own tests.
        from harness.kernel.selftests import build_selftests  # noqa: PLC0415
        from harness.suites.selftests import selftests_script  # noqa: PLC0415

        tests = build_selftests(built, suite.selftests)
        files |= {f"selftests/{name}": path for name, path in tests.programs.items()}
        script += selftests_script(suite.folder, suite.subset, tests.programs, tests.failed)
    return initramfs(files, script)


@dataclass(frozen=True)
class RunningCell:
    """A cell whose guest has been started."""

    cell: Cell
    request: CellRequest
    tools: Tools
    logs: Path

    def on_host(self, command: list[str], host: HostRecord) -> None:
        """Record the lab host, its kernel's command line, and what its figures cannot tell."""
        # A lab host is rare.
        from harness.guests.calibrate.lab import lab_fidelity  # noqa: PLC0415

        self.cell.machine = self.request.machine.record(host.vmm, command)
        self.cell.machine.host = host
        self.cell.fidelity = lab_fidelity(host)
        self.tools.listener(GuestStarted(self.cell.name, 0))

    def started(self, context: RunContext, command: list[str], pid: int, *, restored: bool) -> None:
        """Record QEMU's command line and, while the guest boots, fidelity and reproducing script.

        Raise MachineError or BuildError when the machine cannot be calibrated.
        """
        # What is imported here takes 30 ms, by which the guest would start later.
        from harness.evaluate.cell.reproduce import SCRIPT, script  # noqa: PLC0415
        from harness.guests.calibrate.fidelity import fidelity_record  # noqa: PLC0415
        from harness.guests.calibrate.machine import calibrate_machine  # noqa: PLC0415

        machine, qemu = self.request.machine, self.tools.qemu
        self.cell.machine = machine.record(qemu.version, command)
        self.cell.machine.restored = restored
        deadline = context.deadline(machine.limits.boot)
        self.cell.fidelity = fidelity_record(calibrate_machine(machine, qemu, deadline))
        kernel = self.cell.kernel
        reproduce = script(
            self.cell.name, kernel.name, kernel.version, machine, qemu, context.image,
            context.archive,
        )  # fmt: skip
        (self.logs / SCRIPT).write_text(reproduce)
        self.tools.listener(GuestStarted(self.cell.name, pid))
