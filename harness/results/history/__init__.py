# SPDX-License-Identifier: GPL-2.0-only
"""The history of all runs, in a database."""
