# SPDX-License-Identifier: GPL-2.0-only
"""From a series, in whatever form it comes, to a verdict on it."""
