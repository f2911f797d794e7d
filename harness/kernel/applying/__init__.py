# SPDX-License-Identifier: GPL-2.0-only
"""Patches and commits put on top of a kernel, with git, in the cache."""
