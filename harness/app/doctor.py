# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval doctor`: the tools, this host, the caches, and what each machine can show here."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from harness.app.housekeeping import disk_usage, size
from harness.base import tools
from harness.base.deadline import Deadline
from harness.base.errors import ExitCode, S2EvalError
from harness.base.paths import cache_dir
from harness.guests.calibrate import fidelity
from harness.guests.calibrate.machine import calibrate_machine
from harness.guests.start_check import why_no_start
from harness.guests.usable import unusable
from harness.hosts.machines import kvm, machine
from harness.hosts.qemu.binary import QemuBinary, find_qemu

CALIBRATION_SECONDS = 60.0  # of one machine: building the guest once and running it
START_SECONDS = 20.0  # of one machine; it takes a tenth of one
GIB = 2**30
CACHE_GIB = 10  # a kernel's source, worktree and build folder take about 4
MEMORY_GIB = 4  # L1 has 2, the compiler runs on each CPU
NEEDED_FOR = {
    "required": "",
    "wanted": " (optional)",
    "test": " (./bootstrap test)",
    "optional": " (optional)",
}


class DoctorModel(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(extra="forbid")


class ToolState(DoctorModel):
    """A tool of tools.toml as it is here."""

    name: str
    state: tools.State
    version: str
    minimum: str
    need: tools.Need
    purpose: str
    package: str


class QemuState(DoctorModel):
    """The QEMU that runs the machines; `problem` says why there is none."""

    path: str = ""
    args: list[str] = []
    version: str = ""
    problem: str = ""


class HostState(DoctorModel):
    """This machine; sizes in bytes. `kvm` and `nested_kvm` are "usable" or why they are not."""

    system: str
    machine: str
    cpus: int
    memory: int
    cache: str
    cache_free: int
    kvm: str
    nested_kvm: str


class MachineState(DoctorModel):
    """A machine of qemu-configs: `limits` is why each of the needs it cannot show is one.

    `skipped` says why the host or its QEMU cannot run it, `problem` why QEMU does not start with
    it or why its calibration failed.
    """

    name: str
    label: str = ""
    skipped: str = ""
    problem: str = ""
    shows: list[str] = []
    limits: dict[str, str] = {}


class DoctorReport(DoctorModel):
    """What `s2eval doctor --json` prints; cache sizes in bytes."""

    ok: bool
    tools: list[ToolState]
    install: str
    host: HostState
    caches: dict[str, int]
    qemu: QemuState
    machines: list[MachineState]
    warnings: list[str]

    @property
    def exit_code(self) -> ExitCode:
        """OK when all that is needed is there."""
        return ExitCode.OK if self.ok else ExitCode.UNDECIDED


def doctor(progress: Callable[[str], None] = lambda _: None) -> DoctorReport:
    """Return how tools, host, caches, QEMU and machines are here; QEMU is fetched when needed.

    `progress` is called with what is being looked at.
    """
    progress("tools")
    findings = tools.check_all(tools.load_tools())
    progress("QEMU")
    qemu, state = _qemu()
    machines = [_machine(name, qemu, progress) for name in machine.list_machines()]
    progress("cache")
    host = _host()
    bad = [f.tool.package for f in findings if f.needed]
    return DoctorReport(
        ok=not bad and not state.problem and not any(m.problem for m in machines),
        tools=[_tool_state(finding) for finding in findings],
        install=tools.install_command(bad) if bad else "",
        host=host,
        caches=_cache_sizes(),
        qemu=state,
        machines=machines,
        warnings=_warnings(host),
    )


def _tool_state(finding: tools.ToolFinding) -> ToolState:
    tool = finding.tool
    return ToolState(
        name=tool.name,
        state=finding.state,
        version=finding.version,
        minimum=tool.minimum,
        need=tool.need,
        purpose=tool.purpose,
        package=tool.package,
    )


def _host() -> HostState:
    cache = cache_dir()
    return HostState(
        system=_system(),
        machine=platform.machine(),
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cache=str(cache),
        cache_free=shutil.disk_usage(cache).free,
        kvm=kvm.why_no_kvm() or "usable",
        nested_kvm=kvm.why_no_nested_kvm() or "usable",
    )


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform()


def _warnings(host: HostState) -> list[str]:
    warnings: list[str] = []
    if host.cache_free < CACHE_GIB * GIB:
        warnings.append(
            f"{host.cache} has {size(host.cache_free)} left, a run with two kernels needs about "
            f"{CACHE_GIB} GiB: S2EVAL_CACHE moves the cache"
        )
    if host.memory < MEMORY_GIB * GIB:
        warnings.append(f"{size(host.memory)} of memory: nested machines want {MEMORY_GIB} GiB")
    return warnings


def _cache_sizes() -> dict[str, int]:
    """Bytes on disk of each folder in the cache; what other processes remove meanwhile is 0."""
    folders = sorted(path for path in cache_dir().iterdir() if path.is_dir())
    sizes = disk_usage(folders)
    return {path.name: sizes.get(path, 0) for path in folders}


def _qemu() -> tuple[QemuBinary | None, QemuState]:
    try:
        qemu = find_qemu()
    except S2EvalError as error:
        return None, QemuState(problem=str(error))
    return qemu, QemuState(path=str(qemu.path), args=list(qemu.args), version=qemu.version)


def _machine(name: str, qemu: QemuBinary | None, progress: Callable[[str], None]) -> MachineState:
    progress(f"machine {name}")
    try:
        spec = machine.load_machine(name)
        if reason := unusable(spec, qemu):
            return MachineState(name=name, skipped=reason)
        if qemu is None:
            return MachineState(name=name, skipped="there is no QEMU to run it")
        if words := why_no_start(spec, qemu, Deadline(START_SECONDS)):
            return MachineState(name=name, problem=f"QEMU does not start: {words}")
    except S2EvalError as error:
        return MachineState(name=name, problem=str(error))
    return _calibrated(spec, qemu)


def _calibrated(spec: machine.Machine, qemu: QemuBinary) -> MachineState:
    """What the calibration guest shows of a machine that starts."""
    try:
        found = calibrate_machine(spec, qemu, Deadline(CALIBRATION_SECONDS))
    except S2EvalError as error:
        return MachineState(name=spec.name, problem=f"calibration failed: {error}")
    limits = fidelity.limits(found)
    shows = [need for need in fidelity.NEEDS if need not in limits]
    return MachineState(name=spec.name, label=found.label, shows=shows, limits=limits)


def render(report: DoctorReport) -> list[str]:
    """Return the report as plain lines."""
    lines = ["Tools"]
    width = max((len(tool.name) for tool in report.tools), default=0)
    for tool in report.tools:
        state = tool.state if tool.need == "required" or tool.state == "ok" else "not there"
        version = f"{tool.version} (< {tool.minimum})" if tool.state == "too old" else tool.version
        need = NEEDED_FOR[tool.need]
        lines.append(f"  {tool.name:{width}}  {state:9}  {version:14}  {tool.purpose}{need}")
    lines += ["", *_host_lines(report), "", *_machines_lines(report.machines), ""]
    lines += [f"warning: {warning}" for warning in report.warnings]
    if report.qemu.problem:
        lines.append(f"QEMU: {report.qemu.problem}")
    if report.install:
        lines.append(f"Missing; install with: {report.install}")
    if optional := [t.package for t in report.tools if t.state != "ok" and t.need != "required"]:
        lines.append(f"Optional: {tools.install_command(optional)}")
    lines.append("All that is needed is there." if report.ok else "Not ready: see above.")
    return lines


def _host_lines(report: DoctorReport) -> list[str]:
    host = report.host
    qemu = report.qemu
    lines = [
        "Host",
        f"  {host.system}, {host.machine}, {host.cpus} CPUs, {size(host.memory)} of memory",
        f"  KVM: {host.kvm}",
    ]
    if host.nested_kvm != host.kvm:
        lines.append(f"  nested KVM: {host.nested_kvm}")
    lines.append(f"  QEMU {qemu.version}: {qemu.path}" if qemu.path else "  QEMU: none")
    sizes = ", ".join(f"{name} {size(count)}" for name, count in report.caches.items())
    lines.append(f"  cache {host.cache}: {size(host.cache_free)} free; {sizes or 'empty'}")
    return lines


def _machines_lines(machines: list[MachineState]) -> list[str]:
    """What is the same on each machine that was calibrated is said once, at the end."""
    reasons = {state.name: _reasons(state) for state in machines if state.label}
    everywhere = set.intersection(*reasons.values()) if len(reasons) > 1 else set()
    lines = ["Machines: what can be seen on them"]
    for state in machines:
        if state.problem:
            lines.append(f"  {state.name}: {state.problem}")
        elif state.skipped:
            lines.append(f"  {state.name}: SKIP, {state.skipped}")
        else:
            lines.append(f"  {state.name} ({state.label})")
            lines.append(f"    shows {', '.join(state.shows) or 'nothing'}")
            lines += _not_shown(reasons[state.name] - everywhere)
    return lines + (["  all of them", *_not_shown(everywhere)] if everywhere else [])


def _reasons(state: MachineState) -> set[tuple[str, str]]:
    """(need, why not), without the machine's label and the need's name, which stand before it."""
    return {
        (need, reason.removeprefix(state.label).lstrip(": ").removeprefix(f"{need} is "))
        for need, reason in state.limits.items()
    }


def _not_shown(reasons: set[tuple[str, str]]) -> list[str]:
    needs_of: dict[str, list[str]] = {}
    for need, why in sorted(reasons):
        needs_of.setdefault(why, []).append(need)
    return [f"    not {', '.join(needs)}: {why}" for why, needs in needs_of.items()]
