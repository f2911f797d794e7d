# SPDX-License-Identifier: GPL-2.0-only
"""The stand-in of a lab machine: a VM under TCG with SSH, console, power switch and device."""
