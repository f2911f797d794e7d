# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval bisect`: the first commit that fails a check."""
