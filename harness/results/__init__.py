# SPDX-License-Identifier: GPL-2.0-only
"""Records of a run: their schema, how they are written and read."""
