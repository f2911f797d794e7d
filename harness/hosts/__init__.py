# SPDX-License-Identifier: GPL-2.0-only
"""Hosts, which run the kernel under test: machines, QEMU, L1."""
