# SPDX-License-Identifier: GPL-2.0-only
"""Calibration: which effects of memory types a machine can show at all."""
