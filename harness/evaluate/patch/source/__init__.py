# SPDX-License-Identifier: GPL-2.0-only
"""What a patch says by itself: style, warnings, the objects that it changes."""
