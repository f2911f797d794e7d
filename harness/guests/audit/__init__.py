# SPDX-License-Identifier: GPL-2.0-only
"""The audit: page tables of a guest, read from outside."""
