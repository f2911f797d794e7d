# SPDX-License-Identifier: GPL-2.0-only
# Hugepages and governor of this machine, run by tuning.py: ACTION FILE HUGEPAGES GOVERNOR [ROOT]
#
#   set      set them (0 and "" leave them), and keep in FILE what was there before
#   restore  set what FILE has, if it was written in this boot; remove FILE
#
# Prints a line for each setting that did not take: PATH WANTED FOUND. FILE begins with boot_id, then
# has a line for each setting: PATH VALUE. ROOT is where /proc and /sys are, for tests.
action=$1 file=$2 pages=$3 governor=$4 root=$5
hugepages=$root/proc/sys/vm/nr_hugepages
boot=$(cat /proc/sys/kernel/random/boot_id) || exit 1

# A sysctl's file has all in the first read(2), and the shell's own `read` asks for one byte.
value_of() { # PATH
	cat "$1" 2>/dev/null
}

change() { # PATH WANTED: write it; say when it does not take
	echo "$2" 2>/dev/null >"$1"
	found=$(value_of "$1")
	[ "$found" = "$2" ] || echo "$1 $2 $found"
}

restore() {
	[ -s "$file" ] || return 0
	{
		read -r of
		[ "$of" = "$boot" ] && while read -r path value; do
			change "$path" "$value"
		done
	} <"$file"
	rm -f "$file"
}

keep() { # PATH WANTED: keep what is there, on disk before it is changed
	before=$(value_of "$1")
	[ -n "$before" ] || return 0
	[ "$before" = "$2" ] || echo "$1 $before" >>"$file"
}

restore
[ "$action" = set ] || exit 0
mkdir -p "${file%/*}" && echo "$boot" >"$file" || exit 1
[ "$pages" -eq 0 ] || keep "$hugepages" "$pages"
for path in "$root"/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do
	[ -z "$governor" ] || [ ! -e "$path" ] || keep "$path" "$governor"
done
sync
[ "$pages" -eq 0 ] || change "$hugepages" "$pages"
for path in "$root"/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do
	[ -z "$governor" ] || [ ! -e "$path" ] || change "$path" "$governor"
done
