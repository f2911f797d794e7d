# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval host check`: everything that a run on a lab host needs, and what brings what lacks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.lab.boot.control import BootControl, is_left
from harness.hosts.lab.boot.state import read_state
from harness.hosts.lab.console import Console
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile, load
from harness.hosts.lab.lease import Lease, holder
from harness.hosts.lab.link import Link
from harness.hosts.lab.power import Power
from harness.hosts.lab.survey.checks import Check, checks
from harness.hosts.lab.survey.survey import survey
from harness.hosts.lab.watched import LabEvents, WatchedHost

CONSOLE_SECONDS = 2.0  # that a console's command is watched
SIGNS = {"ok": "ok", "note": "note", "missing": "MISSING"}
WAYS = {
    Step.NETWORK: "address (and jump) in its file; is it on: s2eval host power {name} status",
    Step.SSH: "s2eval host console {name} shows what it does; s2eval host power {name} cycle",
    Step.KEY: "ssh-copy-id {address}",
    Step.HOST_KEY: "s2eval host add {name} --address {address} --force, after comparing the key",
}


class HostReport(BaseModel):
    """What `s2eval host check --json` prints. `ok`: runs find all they need."""

    name: str
    ok: bool
    checks: list[Check]


def check(name: str, progress: Callable[[str], object] = lambda _: None) -> HostReport:
    """Return the report on the host `name`; `progress` is called with what is looked at.

    Raise UsageError when there is no such host or its file is wrong.
    """
    host = load(name)
    found = [*_over_ssh(host, progress), *_console(host, progress), *_power(host, progress)]
    return HostReport(name=host.name, ok=all(c.state != "missing" for c in found), checks=found)


def _over_ssh(host: HostFile, progress: Callable[[str], object]) -> Iterator[Check]:
    """Yield what is asked of the machine itself; only the fault when it does not answer."""
    progress("SSH")
    began = time.monotonic()
    with Link(host) as link:
        try:
            link.connect(Deadline(host.limits.connect))
            took = time.monotonic() - began
            yield Check(name="SSH", state="ok", detail=f"{host.address}, connected in {took:.1f} s")
            progress("the machine")
            held = _lease(link, host)
            yield held
            if held.state == "ok" and (back := _bring_back(link, host, progress)):
                yield back
            bdf = host.device.bdf if host.device else ""
            yield from checks(host, survey(link, bdf, Deadline(host.limits.command)))
        except LabError as error:
            way = WAYS.get(error.step, "").format(name=host.name, address=host.address)
            yield Check(name="SSH", state="missing", detail=f"{error.step}: {error.cause}", way=way)


def _lease(link: Link, host: HostFile) -> Check:
    try:
        held = holder(link, Deadline(host.limits.command))
    except LabError as error:
        way = "folder in its file: where root may write"
        return Check(name="lease", state="missing", detail=error.cause, way=way)
    if held is None:
        return Check(name="lease", state="ok", detail="free")
    way = f"wait, or s2eval host release {host.name} --force"
    return Check(name="lease", state="note", detail=f"held by {held.described()}", way=way)


def _bring_back(link: Link, host: HostFile, progress: Callable[[str], object]) -> Check | None:
    """Bring a machine back that a killed run has left in a kernel under test; say so.

    Return None for one that runs its own kernel. Raise LabError when it does not come back.
    """
    state = read_state(link, Deadline(host.limits.command))
    if not is_left(host, state):
        return None
    progress(f"{state.release}, which an earlier run has left: back to its own kernel")
    with (
        tempfile.TemporaryDirectory() as folder,
        LabEvents(host, Path(folder) / "console.log") as events,
        Lease(link) as lease,
    ):
        own = BootControl(link, WatchedHost(host, (), events), progress).back(state.boot_id)
        lease.renew()  # also of the killed run's, on the disk
    detail = f"it ran {state.release}, which an earlier run had left, and is back at {own.release}"
    return Check(name="own kernel", state="ok", detail=detail)


def _console(host: HostFile, progress: Callable[[str], object]) -> Iterator[Check]:
    if not host.console:
        detail = "none: a kernel that dies is only known to be silent"
        yield Check(name="console", state="note", detail=detail, way="console in its file")
        return
    progress("console")
    with tempfile.TemporaryDirectory() as folder:
        try:
            said = Console(host, Path(folder) / "console.log").check(Deadline(CONSOLE_SECONDS))
        except MachineError as error:
            cause = error.cause if isinstance(error, LabError) else str(error)
            yield Check(name="console", state="missing", detail=cause, way="console in its file")
            return
    last = said.strip().rpartition("\n")[2]
    detail = f"stays open{f', and says: {last}' if last else ''}"
    yield Check(name="console", state="ok", detail=detail)


def _power(host: HostFile, progress: Callable[[str], object]) -> Iterator[Check]:
    power = Power(host)
    if not power.can("cycle"):
        detail = "no cycle, nor on and off: a machine that hangs stays so"
        yield Check(name="power", state="note", detail=detail, way="[power] in its file")
        return
    if not host.power.status:
        detail = "no status: a command that does nothing is not noticed"
        yield Check(name="power", state="note", detail=detail, way="status in [power] of its file")
        return
    progress("power")
    try:
        state = power.status(Deadline(host.limits.power))
    except LabError as error:
        yield Check(name="power", state="missing", detail=error.cause, way="[power] in its file")
        return
    yield Check(name="power", state="ok", detail=f"it is {state}")


def render(report: HostReport) -> Iterator[str]:
    """Yield the report as lines: each check, and below what lacks how it is brought."""
    width = max((len(c.name) for c in report.checks), default=0)
    for one in report.checks:
        yield f"{SIGNS[one.state]:<8}{one.name:<{width}}  {one.detail}"
        if one.way:
            yield f"{'':<8}{'':<{width}}  -> {one.way}"
    lacking = [c.name for c in report.checks if c.state == "missing"]
    yield ""
    if lacking:
        yield f"{report.name} lacks {len(lacking)}: {', '.join(lacking)}"
    else:
        yield f"{report.name} is ready: s2eval run -m lab:{report.name} -k KERNEL -s SUITE"
