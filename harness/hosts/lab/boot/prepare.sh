# SPDX-License-Identifier: GPL-2.0-only
# Makes the initramfs with which this machine boots the kernel under test, run by kexec.py:
#
#	FOLDER ROOT IMAGE ARCHIVE USER
#
# FOLDER is s2eval's own here, with busybox and kexec; ROOT is the archive of the user land, IMAGE
# the kernel, ARCHIVE the initramfs of the suite. What belongs to this machine is added: its host
# keys, which never leave it, the keys that USER logs in with, its network and its firmware.
folder=$1 root=$2 image=$3 archive=$4 user=$5
busybox=$folder/busybox
umask 077

fail() {
	echo "$*" >&2
	exit 1
}

boot=$folder/boot
rm -rf "$boot" || exit 1
extra=$boot/extra
trap '[ "$done" ] || rm -rf "$boot"' EXIT
done=
mkdir -p "$extra/etc/ssh" "$extra/s2eval" "$extra/share" || exit 1

cp /etc/ssh/ssh_host_*_key "$extra/etc/ssh/" || fail "no host keys in /etc/ssh"
eval "home=~$user"
cat "$home"/.ssh/authorized_keys >"$extra/s2eval/authorized_keys" ||
	fail "$home/.ssh/authorized_keys: s2eval's user land takes the keys from there"
[ "$user" = root ] || {
	echo "root:*:0:0:root:/root:/bin/sh"
	echo "sshd:*:99:99::/var/empty:/bin/false"
	echo "$user:*:0:0::/root:/bin/sh"
} >"$extra/etc/passwd"

# Prints the MAC of the physical interface behind $1, and the VLAN on it, 0 for none.
physical() {
	device=/sys/class/net/$1 vlan=0
	if [ -e "/proc/net/vlan/$1" ]; then
		vlan=$($busybox awk '/VID:/ { print $3 }' "/proc/net/vlan/$1")
	fi
	while [ ! -e "$device/device" ]; do
		lower=
		for one in "$device"/lower_*; do
			if [ -e "$one" ]; then
				lower=${one##*/lower_}
				break
			fi
		done
		[ "$lower" ] || return 1
		device=/sys/class/net/$lower
	done
	echo "$(cat "$device/address") $vlan"
}

# What the machine has now, however it came to it: DHCP leases outlast a run.
$busybox ip -o addr show | while read -r _ name family address rest; do
	name=${name%%@*}
	case $family:$address in
	inet:127.* | inet6:fe80:* | inet6:::1/*) continue ;;
	inet:* | inet6:*) ;;
	*) continue ;;
	esac
	at=$(physical "$name") || continue
	set -- $at
	echo "address $1 $(cat "/sys/class/net/$name/mtu") $2 $address"
done >"$extra/s2eval/network"
for family in -4 -6; do
	$busybox ip $family route show | while read -r to via gateway dev name rest; do
		[ "$to $via $dev" = "default via dev" ] || continue
		at=$(physical "$name") || continue
		echo "route $at $gateway"
	done
done | $busybox awk '!seen[$0]++' >>"$extra/s2eval/network"
grep -q '^address' "$extra/s2eval/network" || fail "no address of a physical interface found"

# The firmware that the network's drivers may ask for.
for device in /sys/class/net/*/device/driver/module; do
	[ -e "$device" ] || continue
	module=$(basename "$(readlink -f "$device")")
	for name in $(modinfo -F firmware "$module" 2>/dev/null); do
		for file in /lib/firmware/$name /lib/firmware/$name.xz /lib/firmware/$name.zst; do
			[ -e "$file" ] || continue
			mkdir -p "$extra/$(dirname "${file#/}")"
			cp -L "$file" "$extra/${file#/}"
		done
	done
done

ln "$image" "$extra/share/Image" 2>/dev/null || cp "$image" "$extra/share/Image" || exit 1
ln "$archive" "$extra/share/initrd" 2>/dev/null || cp "$archive" "$extra/share/initrd" || exit 1
cp "$root" "$boot/initrd" || exit 1
(cd "$extra" && $busybox find . | $busybox cpio -o -H newc 2>/dev/null) >>"$boot/initrd" || exit 1
rm -rf "$extra"
done=1
