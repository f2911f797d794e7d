# SPDX-License-Identifier: GPL-2.0-only
"""Records as tables, documents and pages."""
