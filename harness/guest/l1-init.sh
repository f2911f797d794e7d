#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The init of L1, the host under test. Commands come from the virtio port s2eval.agent, one a line:
# "ID BASE64(command)"; the answer is "ID STATUS .BASE64(stdout) .BASE64(stderr)".
# On the kernel command line, s2eval.shell asks for a shell on the console instead.
export PATH=/s2eval/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t debugfs debug /sys/kernel/debug 2>/dev/null

# Without a cache, 6.12 and 7.2 now and then never come back from a read of 8 MB.
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=mmap share /share 2>/dev/null

# A folder of the user's (s2eval boot --share).
[ -e /share/host ] && mount -t 9p -o trans=virtio,version=9p2000.L,cache=mmap host /host

read -r cmdline < /proc/cmdline
case " $cmdline " in
*" s2eval.shell "*)
	[ -r /share/motd ] && cat /share/motd
	setsid cttyhack sh
	poweroff -f
	;;
*" s2eval.autorun "*)
	sh /share/autorun
	poweroff -f
	;;
esac

# Ports appear one by one, in the order in which QEMU was told of them: the agent's is the last.
mkdir /run/ports
tries=100
until [ -c /run/ports/agent ] || [ $((tries -= 1)) -eq 0 ]; do
	for port in /sys/class/virtio-ports/*/name; do
		read -r name < "$port" || continue
		device=${port%/name}
		ln -sf "/dev/${device##*/}" "/run/ports/${name#s2eval.}"
	done
	[ -c /run/ports/agent ] || usleep 50000
done

[ -c /run/ports/agent ] || { echo "s2eval: no port s2eval.agent" > /dev/console; poweroff -f; }
exec <> /run/ports/agent >&0 2> /dev/console
echo ready
while read -r id code; do
	sh -c "$(echo "$code" | base64 -d)" > /run/out 2> /run/err < /dev/null
	echo "$id $? .$(base64 -w0 /run/out) .$(base64 -w0 /run/err)"
done
poweroff -f
