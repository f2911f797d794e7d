# SPDX-License-Identifier: GPL-2.0-only
"""Machines: the files of qemu-configs/."""
