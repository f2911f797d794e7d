# SPDX-License-Identifier: GPL-2.0-only
"""Commands about this machine and its caches."""
