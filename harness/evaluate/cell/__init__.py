# SPDX-License-Identifier: GPL-2.0-only
"""One cell, from its kernel to its record."""
