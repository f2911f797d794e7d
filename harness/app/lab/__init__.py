# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval host`: lab hosts are written down, looked at, and used by hand."""
