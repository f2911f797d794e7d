# SPDX-License-Identifier: GPL-2.0-only
"""s2eval's own user land for lab machines: an initramfs with SSH, QEMU and busybox."""
