# SPDX-License-Identifier: GPL-2.0-only
"""The record of a lab host: what a figure of it depends on beside the kernel."""

from __future__ import annotations

from harness.base.deadline import Deadline
from harness.base.text import clean
from harness.hosts.lab.host import LabHost
from harness.results.records import HostRecord

_LIMIT = 200  # characters of a value: the machine runs a kernel under test
_ASK = """
one() { printf '%s ' "$1"; shift; cat "$@" 2>/dev/null | tr '\\0\\n' '  '; echo; }
cpu=/sys/devices/system/cpu/cpu0
device=/sys/bus/pci/devices/@bdf
one midr $cpu/regs/identification/midr_el1
printf 'features '; sed -n '/^Features/{s/.*: //;p;q}' /proc/cpuinfo; echo
printf 'cpus '; grep -c ^processor /proc/cpuinfo
one firmware /sys/class/dmi/id/bios_version /sys/class/dmi/id/product_name /proc/device-tree/model
printf 'smmu '; ls /sys/class/iommu 2>/dev/null | tr '\\n' ' '; echo
one device $device/vendor $device/device $device/revision
printf 'link '
[ ! -e $device/current_link_speed ] ||
	echo "$(cat $device/current_link_speed) x$(cat $device/current_link_width)" 2>/dev/null
echo
one governor $cpu/cpufreq/scaling_governor
one load /proc/loadavg
printf 'vmm '; qemu-system-aarch64 --version 2>/dev/null | head -n 1; echo
"""


def host_record(host: LabHost) -> HostRecord:
    """Return the record of the host, which runs the kernel under test.

    Raise HostLost when it dies, LabError when it does not answer.
    """
    script = _ASK.replace("@bdf", host.bdf)
    done = host.run(script, Deadline(host.host.limits.command))
    said: dict[str, str] = {}
    for line in done.out.splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key, clean(value.strip(), _LIMIT * 10 if key == "features" else _LIMIT))
    state = host.state
    return HostRecord(
        name=host.host.name,
        cpu=said.get("midr", ""),
        features=said.get("features", ""),
        cpus=int(said["cpus"]) if said.get("cpus", "").isdigit() else 0,
        firmware=said.get("firmware", ""),
        smmu=said.get("smmu", ""),
        device=said.get("device", ""),
        link=said.get("link", ""),
        governor=said.get("governor", ""),
        load=said.get("load", ""),
        vmm=said.get("vmm", ""),
        kvm=clean(state.kvm, _LIMIT) if state else "",
        safe=host.safe.release if host.safe else "",
        method=host.host.boot.method,
        virtual=host.host.virtual,
    )
