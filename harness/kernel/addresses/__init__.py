# SPDX-License-Identifier: GPL-2.0-only
"""From addresses in a kernel that runs to its functions, files and lines."""
