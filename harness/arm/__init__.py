# SPDX-License-Identifier: GPL-2.0-only
"""What the architecture says: memory types, combining, registers, syndromes."""
