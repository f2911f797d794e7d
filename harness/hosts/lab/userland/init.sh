#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# init of s2eval's own user land on a lab machine: the network as the machine had it, SSH with the
# machine's own keys, and nothing else. The machine's disks are not mounted.
#
# /s2eval/network has a line for each address and route, as network.sh has found them:
#
#   address MAC MTU VLAN ADDRESS/PREFIX     VLAN is 0 for none
#   route MAC VLAN GATEWAY
export PATH=/s2eval/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
busybox=/bin/busybox
$busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
exec >/dev/console 2>&1 </dev/null
mkdir -p /run/sshd
ip link set lo up

# Prints the name of the interface with a MAC, once its driver has made it.
interface() {
	tries=0
	while [ "$tries" -lt 300 ]; do
		for device in /sys/class/net/*; do
			[ -e "$device/device" ] || continue
			[ "$(cat "$device/address")" != "$1" ] || { echo "${device##*/}" && return; }
		done
		tries=$((tries + 1))
		usleep 100000
	done
	echo "s2eval: no network interface $1" >/dev/console
	return 1
}

while read -r kind mac rest; do
	set -- $rest
	name=$(interface "$mac") || continue
	case $kind in
	address)
		ip link set "$name" mtu "$1"
		ip link set "$name" up
		if [ "$2" != 0 ]; then
			[ -e "/sys/class/net/$name.$2" ] || ip link add link "$name" name "$name.$2" type vlan id "$2"
			name=$name.$2
			ip link set "$name" up
		fi
		ip addr add "$3" dev "$name" || echo "s2eval: no address $3 on $name"
		;;
	route)
		[ "$1" = 0 ] || name=$name.$1
		ip route add default via "$2" dev "$name"
		;;
	esac
done </s2eval/network

/usr/sbin/sshd -f /s2eval/sshd_config || echo "s2eval: sshd did not start"
echo "s2eval: user land is up"
# The shell takes the orphans' exit statuses meanwhile.
while :; do
	sleep 3600 &
	wait $!
done
