# SPDX-License-Identifier: GPL-2.0-only
"""Calibration: what an emulator can show at all."""
