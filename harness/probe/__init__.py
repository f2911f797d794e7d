# SPDX-License-Identifier: GPL-2.0-only
"""Suites, their build, and the KTAP they write."""
