# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval patch`: from a series to a verdict."""
