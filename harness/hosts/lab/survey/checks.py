# SPDX-License-Identifier: GPL-2.0-only
"""What a run needs of a lab host: each thing, whether it is there, and what brings it. Pure."""

from __future__ import annotations

import shlex
import time
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from harness.base.paths import host_config
from harness.hosts.lab.hostfile import HostFile
from harness.hosts.lab.survey.survey import Survey

PACKAGES = Path(__file__).with_name("packages.toml")
ROOM_KIB = 1 << 20  # in s2eval's folder on the machine: kernels, suites, logs
SKEW = 300  # seconds of a clock that is worth a note
MIB = 1 << 20

State = Literal["ok", "note", "missing"]


class Check(BaseModel):
    """One thing that was looked at: `detail` is how it is, `way` what brings it where it lacks.

    "missing" keeps runs from the machine, "note" is what they do without.
    """

    name: str
    state: State
    detail: str
    way: str = ""


def checks(host: HostFile, survey: Survey) -> list[Check]:
    """Return what there is to say about the machine, in the order of a run's steps."""
    return [
        *_system(host, survey),
        *_kvm(survey),
        *_device(host, survey),
        *_boot(host, survey),
        *_tables(survey),
        *_tuning(host, survey),
    ]


def _ok(name: str, detail: str) -> Check:
    return Check(name=name, state="ok", detail=detail)


def _missing(name: str, detail: str, way: str = "") -> Check:
    return Check(name=name, state="missing", detail=detail, way=way)


def _note(name: str, detail: str, way: str = "") -> Check:
    return Check(name=name, state="note", detail=detail, way=way)


@cache
def _families() -> dict[str, dict[str, Any]]:
    families: dict[str, dict[str, Any]] = tomllib.loads(PACKAGES.read_text(encoding="utf-8"))
    return families["family"]


def on_host(host: HostFile, command: str) -> str:
    """Return the line that runs a shell command on the machine, for a user to copy."""
    return f"s2eval host shell {host.name} -- {shlex.quote(command)}"


def _install(host: HostFile, survey: Survey, tool: str) -> str:
    """Return the command that installs `tool` on the machine's distribution."""
    for name in survey["distribution"].split():
        family = _families().get(name)
        if family and tool in family:
            return on_host(host, f"{family['install']} {family[tool]}")
    return f"install {tool} on the machine"


def _system(host: HostFile, survey: Survey) -> Iterator[Check]:
    system = " ".join(word for word in (survey["model"], survey["system"]) if word)
    sized = f"{survey['cpus']} CPUs, {survey.number('memory_kib') // (1 << 20)} GiB"
    yield _ok("system", f"{system or 'unknown'}: Linux {survey['release']}, {sized}")
    if survey["arch"] != "aarch64":
        yield _missing("arm64", f"the machine is {survey['arch']}, KVM/arm64 needs aarch64")
    if survey["uid"] == "0":
        yield _ok("root", "commands run as root")
    else:
        way = 'address = "root@…", or sudo = true with NOPASSWD, in its file'
        yield _missing("root", f"commands run with the user id {survey['uid']}", way)
    skew = survey.number("clock") - int(time.time())
    if abs(skew) > SKEW:
        yield _note(
            "clock", f"{abs(skew) // 60} min {'ahead' if skew > 0 else 'behind'}: no matter"
        )
    free = survey.number("free_kib")
    if not survey["free_kib"]:
        yield _note("disk", f"how much is free for {host.folder} cannot be told")
    elif free >= ROOM_KIB:
        yield _ok("disk", f"{free // (1 << 20)} GiB free for {host.folder}")
    else:
        way = f"room for {ROOM_KIB >> 10} MiB, or another `folder` in its file"
        yield _missing("disk", f"{free >> 10} MiB free for {host.folder}", way)
    if "flock" not in survey.tools:
        yield _missing("flock", "the lease needs it", _install(host, survey, "flock"))


def _kvm(survey: Survey) -> Iterator[Check]:
    if survey["kvm"]:
        yield _ok("KVM", f"/dev/kvm, {survey['kvm_mode'] or 'mode not in dmesg any more'}")
    else:
        way = "the firmware must start Linux at EL2, the kernel have CONFIG_KVM"
        yield _missing("KVM", "no /dev/kvm on the machine's own kernel", way)


def _device(host: HostFile, survey: Survey) -> Iterator[Check]:
    if host.device is None:
        ways = f"[device] with bdf in its file: s2eval host add {host.name} --force"
        yield _missing("device", "its file names none", ways)
        return
    bdf = host.device.bdf
    device = survey.devices.get(bdf)
    if device is None:
        way = on_host(host, "lspci -D") + "; it may have been lost in a reset: a power cycle"
        yield _missing("device", f"no PCI device {bdf}", way)
        return
    driver = device.driver or "no driver"
    yield _ok("device", f"{bdf} is {device.ident}, {driver}")
    if host.device.driver and driver not in (host.device.driver, "vfio-pci"):
        detail = f"{driver} has the device, its file gives it back to {host.device.driver}"
        yield _note("driver", detail, "driver in [device] of its file")
    yield from _bar(host.device.bar, survey)
    yield from _group(host, bdf, survey)


def _bar(number: int, survey: Survey) -> Iterator[Check]:
    bars = {bar.number: bar for bar in survey.bars}
    bar = bars.get(number)
    if bar is None or not bar.memory:
        there = ", ".join(f"{n} ({b.size} bytes)" for n, b in bars.items() if b.memory) or "none"
        way = "bar in [device] of its file"
        yield _missing("BAR", f"BAR {number} is no memory; there are: {there}", way)
        return
    kind = "prefetchable" if bar.prefetchable else "not prefetchable"
    size = f"{bar.size // MIB} MiB" if bar.size >= MIB else f"{bar.size // 1024} KiB"
    yield _ok("BAR", f"BAR {number}: {size}, {kind}")


def _group(host: HostFile, bdf: str, survey: Survey) -> Iterator[Check]:
    """Look at what else would go to the guest with the device."""
    device = survey.devices[bdf]
    if not device.group:
        way = "IOMMU (SMMU) on in the firmware; a kernel with CONFIG_ARM_SMMU_V3"
        yield _missing("IOMMU", f"{bdf} is in no IOMMU group", way)
        return
    if bdf in survey.uses:
        yield _missing("IOMMU", f"{bdf} has {survey.uses[bdf]}: never taken", "another device")
        return
    others = survey.in_group(bdf)
    taken = [
        f"{other.bdf} with {survey.uses[other.bdf]}" for other in others if other.bdf in survey.uses
    ]
    if taken:
        detail = f"{bdf} is in group {device.group} together with {'; '.join(taken)}"
        yield _missing("IOMMU", detail, "another slot, or another device")
        return
    words = "alone" if not others else "with " + ", ".join(other.bdf for other in others)
    yield _ok("IOMMU", f"group {device.group}, {words}")


def _boot(host: HostFile, survey: Survey) -> Iterator[Check]:
    method = host.boot.method
    if host.boot.safe and survey["release"] != host.boot.safe:
        detail = f"{survey['release']} runs, its own kernel is {host.boot.safe}"
        yield _missing("safe kernel", detail, f"s2eval host power {host.name} cycle")
    elif host.boot.safe:
        yield _ok("safe kernel", f"{host.boot.safe} runs")
    else:
        yield _note(
            "safe kernel", "not named", f'safe = "{survey["release"]}" in [boot] of its file'
        )
    problem = boot_problem(host, survey)
    yield _missing("boot", *problem) if problem else _ok("boot", f"by {method}")
    if survey["config"]:
        kept = host_config(host.name).is_file()
        way = "" if kept else f", to be kept by s2eval host config {host.name}"
        yield _ok("configuration", f"{survey['config']}{way}")
    else:
        detail = f"neither /proc/config.gz nor /boot/config-…: no kernel +host={host.name}"
        yield _note("configuration", detail, on_host(host, "modprobe configs"))


def boot_problem(host: HostFile, survey: Survey) -> tuple[str, str] | None:
    """Return what the boot method lacks, and what brings it; None when nothing."""
    method = host.boot.method
    if method.startswith("kexec"):
        return _kexec_problem(survey)
    if method == "grub-reboot" and not {"grub-reboot", "grub2-reboot"} & survey.tools:
        return "no grub-reboot", _install(host, survey, "grub-reboot")
    if method == "efibootmgr" and "efibootmgr" not in survey.tools:
        return "no efibootmgr", _install(host, survey, "efibootmgr")
    if method == "efibootmgr" and not survey["efi"]:
        return "not booted by EFI", "another method in [boot] of its file"
    return None


def _kexec_problem(survey: Survey) -> tuple[str, str] | None:
    other = "grub-reboot or efibootmgr as method in [boot] of its file"
    lacking = [
        n for n in ("KEXEC_FILE", "HOTPLUG_CPU") if survey["config"] and n not in survey.options
    ]
    if lacking:
        options = " and ".join(f"CONFIG_{name}" for name in lacking)
        return f"its kernel has no {options}", f"a kernel with it, or {other}"
    if survey["kexec_disabled"] == "1":
        return "kernel.kexec_load_disabled is 1", f"boot without it, or {other}"
    if survey["lockdown"] not in ("", "none") or "KEXEC_SIG_FORCE" in survey.options:
        return f"kexec takes signed kernels only (lockdown={survey['lockdown']})", other
    return None


def _tables(survey: Survey) -> Iterator[Check]:
    """Say whether stage 2 can be read on the machine's own kernel; on ours it always can."""
    if (
        survey["lockdown"] in ("confidentiality", "integrity")
        or "MODULE_SIG_FORCE" in survey.options
    ):
        yield _note("audit", "its kernel takes signed modules only: SKIP with the method none")
    elif not survey["headers"]:
        yield _note("audit", "no headers of its kernel: SKIP with the method none")


def _tuning(host: HostFile, survey: Survey) -> Iterator[Check]:
    governor = host.tuning.governor
    if governor and governor not in survey["governors"].split():
        there = survey["governors"] or "none"
        yield _note("governor", f"no governor {governor}, there are: {there}")
    elif not governor and survey["governor"] not in ("", "performance"):
        way = 'governor = "performance" in [tuning] of its file'
        yield _note("governor", f"{survey['governor']}: figures will vary", way)
    if host.tuning.cpus and "taskset" not in survey.tools:
        yield _note("pinning", "no taskset on the machine")
