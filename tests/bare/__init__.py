# SPDX-License-Identifier: GPL-2.0-only
"""The README's two commands on a bare Debian, made for the occasion."""
