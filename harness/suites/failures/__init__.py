# SPDX-License-Identifier: GPL-2.0-only
"""Failure classes: how a guest, a VMM or a host ended, and whose fault it is."""
