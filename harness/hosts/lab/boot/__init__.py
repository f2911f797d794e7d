# SPDX-License-Identifier: GPL-2.0-only
"""Booting a lab machine into the kernel under test for one boot, and back to its own kernel."""
