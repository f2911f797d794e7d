# SPDX-License-Identifier: GPL-2.0-only
"""A host under test that stays: one L1 runs the L2s of several suites, one after the other.

A new L2 costs a third of an L1 with its L2. L1 is kept only while nothing has hurt it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.deadline import Deadline
from harness.base.scratch import scratch_folder
from harness.guests.launch import (
    BAR_SIZE,
    L2_APPEND,
    GuestFiles,
    command_line,
    l2_script,
    make_files,
)
from harness.hosts.l1.host import L1_CHANNELS, MONITOR, GuestDied, L1Host
from harness.hosts.l1.saved import WAITING, SavedHost, memory_file
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.memory import find_memfd
from harness.hosts.qemu.process import QemuProcess
from harness.results.phases import PhaseName
from harness.results.records import Failure, Observation
from harness.suites.suite import Suite

if TYPE_CHECKING:
    from harness.guests.audit.run_audit import RunAudit
    from harness.guests.suite_run import NestedRun, SuiteRun

ANSWER = 10.0  # seconds for L1 to say that it lives, also when it has been restored


@dataclass
class Pass:
    """One guest of a cell: what it reported, and the host's side of the BAR when it was over.

    `bar` is None for a device whose memory the host cannot see.
    """

    run: SuiteRun
    bar: bytes | None


@dataclass
class Aftermath:
    """The host under test after a suite: `answers`, and what its log says, None when all is well.

    `device` is whether the device was given to a new guest afterwards, None when nobody tried.
    """

    answers: bool
    log: Failure | None
    device: bool | None


@dataclass
class Ended:
    """All guests of a cell, in their order."""

    passes: list[Pass] = field(default_factory=list)
    aftermath: Aftermath | None = None
    traced: list[Observation] = field(default_factory=list)  # from QEMU's trace


class L1Session:
    """One L1 from its boot on. A context manager: at its end QEMU and all files are gone."""

    def __init__(
        self, machine: Machine, qemu: QemuBinary, image: Path, saved: SavedHost | None = None
    ) -> None:
        """`saved` is this L1 with its first guest's VMM ready; one that is not there is saved."""
        self.machine = machine
        self.qemu = qemu
        self.image = image
        # What it was restored from, or is saved as; None for one that simply boots.
        self.state = saved
        self.restored = saved is not None and saved.exists
        self._saved = saved  # until the first guest has begun
        self.usable = False
        self.command: list[str] = []
        self._stack = contextlib.ExitStack()
        self._suites = 0
        self._harm: Failure | None = None
        self._limit: Deadline | None = None  # of the cell

    def __enter__(self) -> L1Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.usable = False
        self._stack.close()

    def start(self, archive: Path, logs: Path, limit: Deadline | None = None) -> None:
        """Start L1's QEMU; boot() waits for it. `limit` is the cell's."""
        self._limit = limit
        tmp = self._stack.enter_context(scratch_folder())
        self.files = GuestFiles(tmp, self.image, archive)
        first = l2_script(self.machine, monitor=True) if self._saved else None
        make_files(self.machine, self.files, first)
        channels = [*L1_CHANNELS, MONITOR] if self._saved else L1_CHANNELS
        self.process = QemuProcess(self.files.folder, logs, channels)
        self._stack.enter_context(self.process)
        self.host = L1Host(self.process, self.machine.limits.silence)
        self.host.limit = limit
        with contextlib.ExitStack() as stack:
            memory = stack.enter_context(memory_file()) if self._saved else None
            self.command = command_line(
                self.machine,
                self.qemu,
                replace(self.files, ram=f"/dev/fd/{memory}" if memory else ""),
                self.process.chardev,
                gdb_socket=self.process.gdb_socket,
                monitor=self._saved is not None,
            )
            keep = [memory] if memory else []
            if self.state and self.restored:
                self.state.logs(logs)
                self.command += WAITING
                self.process.start(self.command, keep)
                self.state.fill(keep[0])  # while QEMU starts
            else:
                self.process.heard = [] if self.state else None
                self.process.start(self.command, keep)

    def boot(self) -> None:
        """Wait for L1's init. GuestDied when it never comes; MachineError: cannot be restored."""
        limit = Deadline(self.machine.limits.boot, within=self._limit)
        if self.state and self.restored:
            self.process.put_back(self.state.said())
            self.state.restore(self.process, limit)
        self.host.boot(limit)
        self.usable = True

    def move(self, logs: Path, limit: Deadline | None = None) -> None:
        """The next cell begins: it has logs and a limit of its own, and answers for its guests."""
        self._limit = self.host.limit = limit
        self.process.log_to(logs)
        self.host.new_log()
        self._harm = None

    def run(
        self, suite: Suite, archive: Path, audit: RunAudit, step: Callable[[PhaseName], None]
    ) -> Ended:
        """The suite's guests, until one ends well or there may be no more.

        `step` is told what begins. An L1 that dies is in the last pass.
        """
        from harness.guests.suite_run import NestedRun  # noqa: PLC0415 - imported while L1 boots

        ended = Ended()
        actions = _actions(suite)
        resume = ""
        while True:
            nested = NestedRun(self.host, audit, actions)
            run = self._guest(nested, suite, archive, resume, step)
            ended.passes.append(Pass(run, self.bar()))
            test = _last_begun(run)
            if not (self.usable and run.failure and len(ended.passes) < suite.guests):
                break
            if test in ("", resume):  # it would only die there again
                break
            resume = test
            self.host.new_log()
        if suite.destructive and self.usable and test and len(ended.passes) == 1:
            # It survived: a new guest, which finds nothing to do, shows that the device did too.
            run = self._guest(NestedRun(self.host, audit), suite, archive, test, step)
            ended.passes.append(Pass(run, self.bar()))
        if suite.destructive or len(ended.passes) > 1:
            ended.aftermath = self._aftermath(ended.passes)
        # What did harm, or may have, must not decide what the next suite sees.
        self.usable = self.usable and not suite.destructive
        return ended

    def _guest(
        self,
        nested: NestedRun,
        suite: Suite,
        archive: Path,
        resume: str,
        step: Callable[[PhaseName], None],
    ) -> SuiteRun:
        limits = self.machine.limits
        try:
            step(PhaseName.START_L2)
            self._start(nested, archive, resume, Deadline(limits.boot, within=self._limit))
            step(PhaseName.PROBE)
            run = nested.finish(Deadline(suite.limit * limits.slowdown, within=self._limit))
            gone = nested.stop(Deadline(ANSWER, within=self._limit))
            self._harm = self._harm or self.host.harm()
            self.usable = gone and self._harm is None
            return run
        except GuestDied as died:
            self.usable = False
            return nested.lost(died)

    def _start(self, nested: NestedRun, archive: Path, resume: str, limit: Deadline) -> None:
        """Start L2, or let the one go on that a saved machine has; save the machine in between."""
        saved, self._saved = self._saved, None
        bdf = self.machine.device_bdf
        if saved and self.restored:
            self.host.wake(Deadline(ANSWER, within=self._limit))
            nested.adopt(bdf, limit)
            nested.begin()
            return
        nested.start(self._script(archive, resume), bdf, limit)
        if saved and nested.ready(limit):
            if self.host.unmount(limit):
                saved.save(self.process, self.machine.memory_mib << 20, limit)
            self.process.heard = None
            nested.begin()

    def _script(self, archive: Path, resume: str) -> str:
        """Put what L2 boots into the shared folder, under names that L1 has not read before."""
        self._suites += 1
        if self._suites == 1 and archive == self.files.archive:  # make_files() has put it there
            return ". /share/l2"
        name = f"initrd-{self._suites}"
        (self.files.share / name).write_bytes(archive.read_bytes())
        append = f"{L2_APPEND} s2eval.after={resume}" if resume else L2_APPEND
        script = self.files.share / f"l2-{self._suites}"
        script.write_text(l2_script(self.machine, append=append, initrd=name))
        return f". /share/{script.name}"

    def bar(self) -> bytes | None:
        """The device's memory as this machine sees it."""
        if self.machine.device.screen:
            return self.process.screen()
        if not self.machine.device.host_file:
            return None
        if not self.state:
            return self.files.bar.read_bytes()
        memory = find_memfd(self.process.pid, BAR_SIZE)
        return memory.read_bytes() if memory else None

    def _aftermath(self, passes: list[Pass]) -> Aftermath:
        answers = self.host.answers(Deadline(ANSWER, within=self._limit))
        device = bool(passes[-1].run.lines) if len(passes) > 1 else None
        return Aftermath(answers, self._harm or self.host.harm(), device)


def _actions(suite: Suite) -> Mapping[str, str]:
    """The suite's scripts for L1, host/NAME.sh, by their names."""
    return {path.stem: path.read_text() for path in sorted(suite.folder.glob("host/*.sh"))}


def _last_begun(run: SuiteRun) -> str:
    """The test that the guest announced last."""
    from harness.suites.facts import Begin  # noqa: PLC0415 - imported while L1 boots
    from harness.suites.ktap import parse_lines  # noqa: PLC0415

    begun = [fact.test for fact in parse_lines(run.lines).facts if isinstance(fact, Begin)]
    return begun[-1] if begun else ""


class Shelf:
    """Where an L1 waits for the next cell of its batch. A context manager.

    `session` is the one that waits. `keeps` is off while the last cell runs: nobody comes after it.
    """

    def __init__(self) -> None:
        self.keeps = True
        self.session: L1Session | None = None

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *error: object) -> None:
        if self.session:
            self.session.close()

    def put(self, session: L1Session) -> None:
        """Leave `session` here, if somebody will come for it."""
        if self.keeps:
            self.session = session

    def holds(self, session: L1Session) -> bool:
        return self.session is session

    def take(self, machine: Machine, image: Path) -> L1Session | None:
        """The L1 of this machine and kernel, if there is one that can be used."""
        session, self.session = self.session, None
        if session is None:
            return None
        if session.usable and session.machine == machine and session.image == image:
            return session
        session.close()
        return None


def may_be_kept(machine: Machine) -> bool:
    """Whether cells may share an L1: not where instructions or accesses are counted."""
    return not machine.icount and not machine.device.traced
