# SPDX-License-Identifier: GPL-2.0-only
# Runs a program of s2eval's own user land on the machine's own system:
#
#	FOLDER ROOT PROGRAM ARGUMENT…
#
# FOLDER, which is s2eval's own, is /mnt for the program; ROOT is the archive of the user land, which
# is unpacked in FOLDER/tree unless that has been done. The mounts are in a namespace that ends with
# the program.
folder=$1 root=$2
shift 2
busybox=$folder/busybox
tree=$folder/tree
if [ "$(cat "$tree/of" 2>/dev/null)" != "$root" ]; then
	rm -rf "$tree"
	mkdir -p "$tree" || exit 1
	(cd "$tree" && $busybox cpio -id <"$root" 2>&1) || exit 1
	echo "$root" >"$tree/of"
fi
exec $busybox unshare -m $busybox sh -c '
	tree=$1 folder=$2
	shift 2
	for name in proc sys dev; do
		mount --rbind /$name "$tree/$name" || exit 1
	done
	mount --bind "$folder" "$tree/mnt" || exit 1
	exec chroot "$tree" "$@"
' in-place "$tree" "$folder" "$@"
