# SPDX-License-Identifier: GPL-2.0-only
"""Commands that look at what is there: runs, tables, descriptors."""
