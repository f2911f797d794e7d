# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks of the harness on this machine."""
