# SPDX-License-Identifier: GPL-2.0-only
"""From the records of two kernels to a verdict."""
