# SPDX-License-Identifier: GPL-2.0-only
"""Where the CPUs of a silent machine are, and what that says: stuck, idle or on their way."""
