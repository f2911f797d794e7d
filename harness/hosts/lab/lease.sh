# SPDX-License-Identifier: GPL-2.0-only
# The lease of this machine, run by lease.py: ACTION FILE TOKEN OWNER SECONDS AFTER
#
#   show     say who has it
#   take     take or renew it, when nobody else has it
#   give     remove it, when it is TOKEN's
#   force    remove it, and say who had it
#
# Prints `free [ENDED]` when nobody else has it, with the token of a lease that has run out or was
# removed by force, `held SECONDS OWNER`, or `revoked 0 WHO` when TOKEN's lease was removed by force.
# A lease of the token AFTER counts as none. The file has four lines: boot_id, until when (s since
# that boot), for how long (s), token and owner. Beside it are `.lock`, which is only held in here
# (flock(2): not after the process has ended), and `.revoked`, the token that was removed last and
# by whom.
action=$1 file=$2 token=$3 owner=$4 seconds=$5 after=$6
set -f

boot=$(cat /proc/sys/kernel/random/boot_id) || exit 1
read -r now _ </proc/uptime
now=${now%.*}

if [ "$action" = take ]; then
	mkdir -p "${file%/*}" || exit 1
elif [ ! -d "${file%/*}" ]; then
	echo free && exit # nobody was here; to look leaves nothing
fi
if command -v flock >/dev/null; then
	exec 9>"$file.lock" || exit 1
	flock 9 || exit 1
else # busybox's shell alone: a folder, which a killed one leaves
	tries=0
	until mkdir "$file.locked" 2>/dev/null || [ "$tries" -ge 50 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	trap 'rmdir "$file.locked"' EXIT
fi

left=0 has= who= ended= gone= by=
[ ! -s "$file.revoked" ] || read -r gone by <"$file.revoked"
if [ -s "$file" ]; then
	{ read -r of_boot; read -r until; read -r length; read -r has who; } <"$file"
	# Of an earlier boot: it may have been new when that one ended.
	[ "$of_boot" = "$boot" ] || until=$length
	left=$((until - now))
	[ "$has" != "$after" ] || left=0
fi
[ "$left" -gt 0 ] || left=0 ended=${has:-$gone} has= who=

say() {
	if [ -z "$has" ] || [ "$has" = "$token" ]; then echo free $ended; else echo "held $left $who"; fi
}

case $action in
show) say ;;
force)
	say
	[ -z "$has" ] || printf '%s\n' "$has $owner" >"$file.revoked"
	rm -f "$file"
	;;
give)
	say
	[ "$has" != "$token" ] || rm -f "$file"
	;;
take)
	[ "$gone" != "$token" ] || { echo "revoked 0 $by" && exit; }
	say
	if [ -z "$has" ] || [ "$has" = "$token" ]; then
		# Whole or not at all, and still there after a crash of the kernel under test.
		# cat says "No space left on device", where a shell's printf says "I/O error".
		printf '%s\n%s\n%s\n%s\n' "$boot" $((now + seconds)) "$seconds" "$token $owner" |
			cat >"$file.new" || exit 1
		sync "$file.new" 2>/dev/null
		mv -f "$file.new" "$file" || exit 1
	fi
	;;
esac
