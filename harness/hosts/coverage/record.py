# SPDX-License-Identifier: GPL-2.0-only
"""The record of the plugin coverage.c: a byte for each instruction of an Image, twice.

The first half is of the host under test, the second of a guest on it that runs the same Image.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.base.files import write_atomic

NAME = "coverage"  # how the names of kept records begin, in the folder of a cell
INSTRUCTION = 4  # bytes


@dataclass(frozen=True)
class Executed:
    """The instructions that were executed, by their offset in the Image divided by INSTRUCTION."""

    host: bytes
    guest: bytes

    @classmethod
    def of(cls, record: bytes) -> Executed:
        """Return the content of a record."""
        half = len(record) // 2
        return cls(record[:half], record[half : 2 * half])

    def on_host(self, offsets: Iterable[int]) -> bool:
        """Tell whether the host executed one of the instructions at `offsets` (bytes, Image)."""
        return _any(self.host, offsets)

    def in_guest(self, offsets: Iterable[int]) -> bool:
        """Tell whether the guest executed one of the instructions at `offsets` (bytes, Image)."""
        return _any(self.guest, offsets)


def keep(record: Path, folder: Path) -> None:
    """Put a copy of the plugin's file `record` into the folder of a cell, packed.

    A cell has a record of each host that it ran on. Nothing is kept of a QEMU that never started.
    Raise OSError without room.
    """
    if record.is_file():
        number = 1 + len(list(folder.glob(f"{NAME}-*.gz")))
        name = f"{NAME}-{number}.gz"
        write_atomic(folder / name, gzip.compress(record.read_bytes(), 1, mtime=0))


def is_record(path: Path) -> bool:
    """Tell whether a file in the folder of a cell is a kept record."""
    return path.name.startswith(f"{NAME}-") and path.suffix == ".gz"


def kept(folder: Path) -> list[Executed]:
    """Return the records of all boots of a cell, whose folder is `folder`; none where none is."""
    return [found for path in sorted(folder.rglob(f"{NAME}-*.gz")) if (found := _read(path))]


def _read(path: Path) -> Executed | None:
    try:
        return Executed.of(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error):  # cut off by a full disk
        return None


def _any(executed: bytes, offsets: Iterable[int]) -> bool:
    size = len(executed)
    return any(executed[at] for offset in offsets if (at := offset // INSTRUCTION) < size)
