# SPDX-License-Identifier: GPL-2.0-only
"""A suite in guests: its results as they come, how each guest ended, and the guests of a cell."""
