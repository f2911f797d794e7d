# SPDX-License-Identifier: GPL-2.0-only
"""A nested cell: the L1 that it needs, which waits, is restored or boots, and the suite in L2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.base.errors import MachineError
from harness.evaluate.events import Note
from harness.hosts.l1.host import GuestDied
from harness.hosts.l1.saved import SavedHost, state_of
from harness.hosts.l1.session import Ended, L1Session, Pass, Shelf, may_be_kept
from harness.results.phases import PhaseName

if TYPE_CHECKING:
    from harness.evaluate.cell.cell import GuestRun
    from harness.guests.audit.run_audit import RunAudit
    from harness.hosts.qemu.process import QemuProcess

ERROR = "# s2eval: error "  # of the guest's init (docs/guest-protocol.md)


def run_nested(guest: GuestRun, shelf: Shelf) -> Ended:
    """The suite in L2, on an L1 that runs the kernel under test as its KVM host."""
    machine, qemu = guest.request.machine, guest.tools.qemu
    session = shelf.take(machine, guest.image)
    if session:
        session.move(guest.logs, guest.limit)
    else:
        session = L1Session(machine, qemu, guest.image, _saved(guest))
    if not session.state:
        return _on(session, guest, shelf)
    try:
        return _on(session, guest, shelf)
    except (MachineError, OSError) as error:
        # Nothing that a kernel is blamed for may come from the way it was started.
        if session.restored:
            session.state.discard()
        else:
            session.state.refuse()
        _begin_again(guest, str(error))
    return _on(L1Session(machine, qemu, guest.image), guest, shelf)


def _saved(guest: GuestRun) -> SavedHost | None:
    """The state that the cell's L1 is restored from, or is to be saved as."""
    tools, machine = guest.tools, guest.request.machine
    state = None if tools.fresh else state_of(machine, tools.qemu, guest.image, guest.archive)
    return state if state and (state.exists or state.asked_before()) else None


def _begin_again(guest: GuestRun, why: str) -> None:
    """What the cell has seen so far does not count."""
    text = f"L1 boots again, without a saved state: {why}"
    guest.tools.listener(Note(text, guest.cell.name))
    guest.cell.audits = []
    for log in guest.logs.iterdir():
        log.unlink()


def _on(session: L1Session, guest: GuestRun, shelf: Shelf) -> Ended:
    """The suite on this L1; MachineError also when saving or restoring it may have done harm."""
    restored = session.restored
    try:
        if session.usable:
            guest.started(session.command, session.process.pid, restored=restored)
        else:
            guest.phases.begin(PhaseName.START_L1)
            session.start(guest.archive, guest.logs, guest.limit)
            guest.started(session.command, session.process.pid, restored=restored)
            guest.phases.begin(PhaseName.RESTORE_L1 if restored else PhaseName.BOOT_L1)
        ended = _ended(session, guest)
        if session.state and (doubt := _doubt(ended)):
            raise MachineError(doubt)
        ended = guest.traced(ended, session.files)
        if session.usable and may_be_kept(session.machine):
            shelf.put(session)
        return ended
    finally:
        if not shelf.holds(session):
            guest.phases.begin(PhaseName.END_L1)
            session.close()
        guest.phases.begin(None)


def _ended(session: L1Session, guest: GuestRun) -> Ended:
    """Boot or restore L1, if that is still to be done, and run the suite."""
    try:
        if not session.usable:
            session.boot()
    except GuestDied as died:
        from harness.guests.suite_run import SuiteRun  # noqa: PLC0415 - see LATER

        return Ended([Pass(SuiteRun("L1", "console.log", failure=died.failure), None)])
    with _run_audit(guest, session.process) as audit:
        guest.cell.audits = audit.records
        return session.run(guest.request.suite, guest.archive, audit, guest.phases.begin)


def _doubt(ended: Ended) -> str:
    """What such an L1 is not believed; when KVM gives up a guest, it says why itself."""
    errors = [line for one in ended.passes for line in one.run.lines if line.startswith(ERROR)]
    if errors:
        return errors[0]
    failures = [one.run.failure for one in ended.passes]
    if ended.aftermath:
        failures.append(ended.aftermath.log)
    return next((f.summary for f in failures if f and not f.kind.of_guest), "")


def _run_audit(guest: GuestRun, process: QemuProcess) -> RunAudit:
    from harness.guests.audit.run_audit import RunAudit  # noqa: PLC0415 - see LATER

    machine, suite = guest.request.machine, guest.request.suite
    return RunAudit(process, machine.memory_mib, suite.promises, guest.limit)
