# SPDX-License-Identifier: GPL-2.0-only
# Memory decode and bus mastering.
printf '\006\000' | dd of=/sys/bus/pci/devices/$BDF/config bs=2 seek=2 count=1 conv=notrunc 2>&1
