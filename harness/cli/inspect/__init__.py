# SPDX-License-Identifier: GPL-2.0-only
"""Commands that show what exists: runs, page tables, descriptors."""
