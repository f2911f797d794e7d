# SPDX-License-Identifier: GPL-2.0-only
"""Records shown to people and to other tools."""
