# SPDX-License-Identifier: GPL-2.0-only
"""Whatever runs the kernel under test: machines, QEMU, L1."""
