# SPDX-License-Identifier: GPL-2.0-only
"""Where and in which order cells run: this process, or workers of it side by side."""
