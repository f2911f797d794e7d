# SPDX-License-Identifier: GPL-2.0-only
"""What every layer uses: errors, files, processes, deadlines."""
