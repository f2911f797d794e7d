# SPDX-License-Identifier: GPL-2.0-only
"""Commands that build and boot kernels."""
