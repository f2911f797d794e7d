# SPDX-License-Identifier: GPL-2.0-only
"""The device under test on a lab host: what else is in its IOMMU group, looked at before vfio."""

from __future__ import annotations

from harness.base.deadline import Deadline
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile
from harness.hosts.lab.link import Link

# Prints a line for each other device of the group that a driver has: address, driver, and what
# of the machine hangs on it. Bridges stay with their driver (drivers/vfio/vfio.c, vfio_dev_viable).
_GROUP = """
device=/sys/bus/pci/devices/$1
[ -e "$device" ] || { echo "no PCI device $1" >&2; exit 1; }
read -r id < "$device/vendor"; read -r part < "$device/device"; echo "pci ${id#0x}:${part#0x}"
[ -e "$device/iommu_group" ] || { echo "$1 is in no IOMMU group: is the IOMMU on?" >&2; exit 1; }
for other in "$device"/iommu_group/devices/*; do
	name=${other##*/}
	[ "$name" != "$1" ] && [ -e "$other/driver" ] || continue
	driver=$(basename "$(readlink "$other/driver")")
	[ "$driver" != pcieport ] && [ "$driver" != vfio-pci ] || continue
	what=
	real=$(readlink -f "$other")
	for net in /sys/class/net/*; do
		case $(readlink -f "$net") in "$real"/*) what="network ${net##*/}" ;; esac
	done
	for disk in /sys/block/*; do
		case $(readlink -f "$disk") in "$real"/*) what="disk ${disk##*/}" ;; esac
	done
	echo "other $name $driver $what"
done
real=$(readlink -f "$device")
for net in /sys/class/net/*; do
	case $(readlink -f "$net") in "$real"/*) echo "own network ${net##*/}" ;; esac
done
for disk in /sys/block/*; do
	case $(readlink -f "$disk") in "$real"/*)
		grep -q "^/dev/${disk##*/}" /proc/mounts && echo "own mounted disk ${disk##*/}" ;;
	esac
done
exit 0
"""


def device_ids(link: Link, bdf: str, deadline: Deadline) -> str:
    """Return vendor and device of a PCI device (1af4:1110). Raise LabError when there is none."""
    folder = f"/sys/bus/pci/devices/{bdf}"
    script = f"cat {folder}/vendor {folder}/device"
    done = link.shell(script, deadline, repeat=True)
    ids = [line.removeprefix("0x") for line in done.out.split()]
    if done.status or len(ids) != 2:
        raise LabError(link.host.name, Step.DEVICE, f"no PCI device {bdf}")
    return ":".join(ids)


def check_device(link: Link, host: HostFile, deadline: Deadline) -> None:
    """Raise LabError when the device is not there, or vfio would take what the machine needs."""
    device = host.device
    if device is None:
        raise LabError(host.name, Step.DEVICE, "its file has no [device]")
    done = link.run(["sh", "-c", _GROUP, "group", device.bdf], deadline, repeat=True)
    if done.status:
        lines = done.err.strip().splitlines() or ["it cannot be looked at"]
        raise LabError(host.name, Step.DEVICE, lines[-1])
    for line in done.out.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "pci" and device.pci and rest != device.pci:
            raise LabError(host.name, Step.DEVICE, f"{device.bdf} is {rest}, not {device.pci}")
        if kind == "own":
            cause = f"{device.bdf} has the machine's {rest}: vfio would take it away"
            raise LabError(host.name, Step.DEVICE, cause)
        if kind == "other":
            address, driver, *what = rest.split(" ", 2)
            hangs = f", the machine's {what[0]}," if what and what[0] else ""
            cause = (
                f"{address} ({driver}){hangs} is in the IOMMU group of {device.bdf}: "
                "vfio needs the whole group"
            )
            raise LabError(host.name, Step.DEVICE, cause)
