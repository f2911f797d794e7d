#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# sudo of s2eval's own user land, where the machine's user is root: runs its arguments.
while [ "${1#-}" != "$1" ]; do
	option=$1
	shift
	[ "$option" != -- ] || break
done
exec "$@"
