# SPDX-License-Identifier: GPL-2.0-only
"""The configuration: fragments of options, and what the kernel's Kconfig files make of them."""
