# SPDX-License-Identifier: GPL-2.0-only
"""What runs on a host under test: guests, their suites, their audit."""
