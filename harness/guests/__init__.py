# SPDX-License-Identifier: GPL-2.0-only
"""Guests of a host under test: VMMs, suites in guests, audits, calibration."""
