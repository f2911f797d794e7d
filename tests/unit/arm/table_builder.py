# SPDX-License-Identifier: GPL-2.0-only
"""Builds translation tables for tests, with nothing of the code under test.

Addresses are cut as strings of binary digits and descriptors are packed field by field from
the Arm ARM's bit numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.unit.arm.arm_tables import PAGE_BITS


def pack(**values: int) -> int:
    """A word from fields named by their bits: `pack(b1_0=3, b10=1)` sets [1:0] and [10]."""
    word = 0
    for name, value in values.items():
        parts = [int(part) for part in name.removeprefix("b").split("_")]
        high, low = parts[0], parts[-1]
        assert 0 <= value < 2 ** (high - low + 1), (name, value)
        word += value * 2**low
    return word


class Space:
    """An address space from which ranges are taken at random places."""

    def __init__(self, rng: random.Random, bits: int) -> None:
        self.rng = rng
        self.bits = bits
        self.ranges: list[tuple[int, int]] = []

    def free(self, start: int, size: int) -> bool:
        return all(start + size <= low or start >= high for low, high in self.ranges)

    def reserve(self, size: int, align: int) -> int:
        for _ in range(1000):
            start = self.rng.randrange(0, 2**self.bits // align) * align
            if start + size <= 2**self.bits and self.free(start, size):
                self.ranges.append((start, start + size))
                return start
        raise AssertionError("no room")


class Memory(Space):
    """Sparse physical memory: what was reserved reads as zero until written."""

    def __init__(self, rng: random.Random, bits: int) -> None:
        super().__init__(rng, bits)
        self.words: dict[int, int] = {}
        self.dropped: list[tuple[int, int]] = []

    def drop(self, address: int) -> tuple[int, int]:
        """Make the range that holds an address unreadable; returns it."""
        low, high = next(r for r in self.ranges if r[0] <= address < r[1])
        self.dropped.append((low, high))
        return low, high

    def read(self, address: int) -> int | None:
        assert address % 8 == 0
        if any(low <= address < high for low, high in self.dropped):
            return None
        if not any(low <= address < high for low, high in self.ranges):
            return None
        return self.words.get(address, 0)


@dataclass(frozen=True)
class Entry:
    """One descriptor of a walk: `table` is in the stage's own address space."""

    level: int
    table: int
    index: int
    physical: int


@dataclass
class Stage:
    """One stage's tables. `reserve(size, align)` gives a table's address in the stage's own
    space and `locate` the physical address behind one: the same at stage 2, and for stage 1
    below a stage 2 what that maps it to.
    """

    memory: Memory
    granule: str
    input_bits: int
    start_level: int
    wide: bool
    reserve: Callable[[int, int], int]
    locate: Callable[[int], int]
    root: int = 0
    tables: dict[tuple[int, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        page = PAGE_BITS[self.granule]
        resolved = self.input_bits - page - (3 - self.start_level) * (page - 3)
        size = 2**resolved * 8
        self.root = self.reserve(size, max(size, 64))

    @property
    def lpa2(self) -> bool:
        return self.wide and self.granule != "64k"

    def indexes(self, address: int) -> list[int]:
        """The index at each level from the start level to 3."""
        page = PAGE_BITS[self.granule]
        digits = format(address, f"0{self.input_bits}b")
        assert len(digits) == self.input_bits
        digits = digits[: len(digits) - page]
        out: list[int] = []
        for _ in range(3 - self.start_level):
            digits, last = digits[: -(page - 3)], digits[-(page - 3) :]
            out.insert(0, int(last, 2))
        return [int(digits, 2), *out]

    def address_bits(self, address: int) -> int:
        """An output address as it stands in a descriptor."""
        if not self.wide:
            assert address < 2**48
            return address
        if self.granule == "64k":
            return address % 2**48 + pack(b15_12=address // 2**48)
        return address % 2**50 + pack(b9_8=address // 2**50)

    def register(self) -> int:
        """The root as it stands in a TTBR."""
        assert self.wide or self.root < 2**48
        return self.root % 2**48 + pack(b5_2=self.root // 2**48)

    def map(
        self, address: int, level: int, leaf: int, table_bits: dict[int, int] | None = None
    ) -> list[Entry]:
        """Enter a leaf descriptor for an address at a level; returns the path to it.

        `leaf` is the whole descriptor, `table_bits` more bits for the table descriptor at a level.
        """
        table = self.root
        path: list[Entry] = []
        walked: tuple[int, ...] = ()
        for at, index in enumerate(self.indexes(address), self.start_level):
            physical = self.locate(table + 8 * index)
            path.append(Entry(at, table, index, physical))
            if at == level:
                assert physical not in self.memory.words
                self.memory.words[physical] = leaf
                return path
            walked += (index,)
            if walked not in self.tables:
                size = 2 ** PAGE_BITS[self.granule]
                self.tables[walked] = self.reserve(size, size)
            table = self.tables[walked]
            more = (table_bits or {}).get(at, 0)
            self.memory.words[physical] = self.address_bits(table) + more + 0b11
        raise AssertionError("level below 3")
