# SPDX-License-Identifier: GPL-2.0-only
"""Records of runs, their store, statistics and comparison."""
