# SPDX-License-Identifier: GPL-2.0-only
"""Page tables: descriptors, permissions and walks."""
