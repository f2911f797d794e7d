# SPDX-License-Identifier: GPL-2.0-only
"""Which of the lines that a series adds were executed: from DWARF and QEMU's record to states."""
