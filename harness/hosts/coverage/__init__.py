# SPDX-License-Identifier: GPL-2.0-only
"""Which instructions of a kernel QEMU executed: recorded by a TCG plugin, read from its record."""
