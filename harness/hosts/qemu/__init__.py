# SPDX-License-Identifier: GPL-2.0-only
"""QEMU: the program, its process, channels, monitor and gdb stub."""
