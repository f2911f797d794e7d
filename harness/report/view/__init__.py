# SPDX-License-Identifier: GPL-2.0-only
"""What every kind of output shows: rows, findings, sentences, as values."""
