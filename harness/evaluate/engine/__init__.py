# SPDX-License-Identifier: GPL-2.0-only
"""The loop that runs cells: which is next, who runs it, what is kept."""
