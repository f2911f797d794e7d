# SPDX-License-Identifier: GPL-2.0-only
"""One module a command: its attribute `command`. Each imports what it needs when it is called."""
