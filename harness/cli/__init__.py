# SPDX-License-Identifier: GPL-2.0-only
"""Options in, words out: the commands of `s2eval`."""
