# SPDX-License-Identifier: GPL-2.0-only
"""Bit fields, written the way the Arm ARM writes them: `bits(value, high, low)`."""

from __future__ import annotations

MASK64 = (1 << 64) - 1


def mask(width: int) -> int:
    """Return a number with its `width` lowest bits set; 0 for a width of 0 or less."""
    return (1 << width) - 1 if width > 0 else 0


def bits(value: int, high: int, low: int) -> int:
    """Return the field value[high:low], both ends included."""
    return (value >> low) & mask(high - low + 1)


def bit(value: int, number: int) -> bool:
    """Return whether value[number] is 1."""
    return bool((value >> number) & 1)


def swap64(value: int) -> int:
    """Return the 64-bit value with its bytes reversed (a table walk with SCTLR_ELx.EE set)."""
    return int.from_bytes((value & MASK64).to_bytes(8, "little"), "big")
