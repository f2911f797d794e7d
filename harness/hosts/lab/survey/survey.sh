# SPDX-License-Identifier: GPL-2.0-only
# What this machine is and has, for survey.py: FOLDER BDF (empty without a device). Changes nothing.
# Prints lines `KEY WORDS…`; what is not there has no line. Any shell and busybox do.
folder=$1 bdf=$2
say() { [ -z "$2" ] || printf '%s %s\n' "$1" "$2"; }
first() { head -n 1 "$1" 2>/dev/null; }

say uid "$(id -u)"
say arch "$(uname -m)"
say release "$(uname -r)"
say version "$(uname -v)"
say distribution "$(. /etc/os-release 2>/dev/null && echo "$ID" $ID_LIKE)"
say system "$(. /etc/os-release 2>/dev/null && echo "$PRETTY_NAME")"
say cpus "$(grep -c '^processor' /proc/cpuinfo)"
say memory_kib "$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
say clock "$(date +%s)"
say model "$(cat /sys/class/dmi/id/product_name /proc/device-tree/model 2>/dev/null | tr -d '\0' | head -n 1)"

[ ! -c /dev/kvm ] || say kvm /dev/kvm
say kvm_mode "$(dmesg 2>/dev/null | sed -n 's/.*kvm \[[0-9]*\]: \(.*\) mode initialized.*/\1/p' | tail -n 1)"
say iommu "$(ls /sys/class/iommu 2>/dev/null | head -n 1)"
say lockdown "$(sed -n 's/.*\[\(.*\)\].*/\1/p' /sys/kernel/security/lockdown 2>/dev/null)"
say kexec_disabled "$(first /proc/sys/kernel/kexec_load_disabled)"
[ ! -d /sys/firmware/efi ] || say efi yes
[ ! -d /boot/grub ] && [ ! -d /boot/grub2 ] || say grub yes
[ ! -e "/lib/modules/$(uname -r)/build/Makefile" ] || say headers "/lib/modules/$(uname -r)/build"

if [ -r /proc/config.gz ]; then
	say config /proc/config.gz
	options="zcat /proc/config.gz"
elif [ -r "/boot/config-$(uname -r)" ]; then
	say config "/boot/config-$(uname -r)"
	options="cat /boot/config-$(uname -r)"
else
	options=true
fi
$options | sed -n 's/^CONFIG_\(KEXEC_FILE\|HOTPLUG_CPU\|KVM\|VFIO_PCI\|ARM_SMMU_V3\|KEXEC_SIG_FORCE\|MODULE_SIG_FORCE\)=\(.\)$/option \1=\2/p'
if [ -d /sys/bus/pci/drivers/vfio-pci ] || modinfo vfio-pci >/dev/null 2>&1; then say vfio_pci yes; fi

for tool in flock kexec grub-reboot grub2-reboot efibootmgr qemu-system-aarch64 taskset; do
	say tool "$(command -v $tool >/dev/null && echo $tool)"
done

there=$folder
while [ ! -d "$there" ] && [ -n "$there" ]; do there=${there%/*}; done
say free_kib "$(df -Pk "${there:-/}" | sed -n '2s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\).*/\1/p')"
say governors "$(first /sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors)"
say governor "$(first /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)"
say hugepage_kib "$(sed -n 's/^Hugepagesize: *\([0-9]*\).*/\1/p' /proc/meminfo)"

# Which PCI devices carry the root disk, and the way to the network.
on_pci() { readlink -f "$1" | grep -o '[0-9a-f]\{4\}:[0-9a-f]\{2\}:[0-9a-f]\{2\}\.[0-7]' | tail -n 1; }
for block in /sys/block/*; do
	at=$(on_pci "$block")
	# Mounted, or under something that may be: LVM, RAID, encryption.
	uses=$(grep -c "^/dev/${block##*/}" /proc/mounts)
	[ -z "$(ls "$block"/holders "$block"/*/holders 2>/dev/null | grep -v ':$')" ] || uses=1
	[ -z "$at" ] || say disk "$at ${block##*/} $uses"
done
for net in /sys/class/net/*; do
	at=$(on_pci "$net")
	[ -z "$at" ] || say network "$at ${net##*/} $(cat "$net/operstate" 2>/dev/null)"
done

for device in /sys/bus/pci/devices/*; do
	[ -e "$device/class" ] || continue
	driver=$(readlink "$device/driver") group=$(readlink "$device/iommu_group")
	printf 'pci %s %s:%s %s %s %s\n' "${device##*/}" \
		"$(sed s/0x// "$device/vendor")" "$(sed s/0x// "$device/device")" "$(sed s/0x// "$device/class")" \
		"$(basename "${driver:--}")" "$(basename "${group:--}")"
done
if [ -n "$bdf" ] && [ -e "/sys/bus/pci/devices/$bdf/resource" ]; then
	number=0
	while [ $number -lt 6 ] && read -r from to flags; do
		[ "$to" = 0x0000000000000000 ] || say bar "$number $from $to $flags"
		number=$((number + 1))
	done <"/sys/bus/pci/devices/$bdf/resource"
fi
exit 0
