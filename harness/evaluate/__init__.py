# SPDX-License-Identifier: GPL-2.0-only
"""From a plan to judged records."""
