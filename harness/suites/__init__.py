# SPDX-License-Identifier: GPL-2.0-only
"""Suites, and their results: KTAP, facts, observations."""
