# SPDX-License-Identifier: GPL-2.0-only
"""Plans: which cells, what is expected of them, what is compared."""
