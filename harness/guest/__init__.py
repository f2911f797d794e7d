# SPDX-License-Identifier: GPL-2.0-only
"""Guests: user land, QEMU, console, host under test, L2 and the classes of failure."""
