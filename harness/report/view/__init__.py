# SPDX-License-Identifier: GPL-2.0-only
"""Rows, findings and sentences as values, for every kind of output to lay out."""
