# SPDX-License-Identifier: GPL-2.0-only
"""Kernels: sources, series, configurations, builds and their store."""
