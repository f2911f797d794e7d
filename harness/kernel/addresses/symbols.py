# SPDX-License-Identifier: GPL-2.0-only
"""The functions of a kernel by their addresses, from the System.map beside its Image.

An address in System.map is where the linker put a function. A kernel that runs has the function
there, or moved (KASLR), or under another address altogether: before the MMU is on, in the identity
map, in the hypervisor of a host without VHE. All of these map the one Image in physical memory.
"""

from __future__ import annotations

import bisect
import functools
import re
from dataclasses import dataclass
from pathlib import Path

# Documentation/arm64/booting.rst: the header of an Image has text_offset at 8.
TEXT_OFFSET = slice(8, 16)
# QEMU hw/arm/boot.c, load_aarch64_image(): an Image that would lie over the loader is moved.
LOADER, MOVED = 0x1000, 2 << 20
TEXT, VECTORS, BANNER, FIRST_TASK = "_text", "vectors", "linux_banner", "init_task"
PAGE_ALIGNED = 0xFFFF  # KASLR moves a kernel by multiples of 64 KiB at least
_CODE = re.compile(r"^([0-9a-f]{16}) ([tTwW]) ([A-Za-z_][\w.]*)$", re.MULTILINE)
_DATA = re.compile(rf"^([0-9a-f]{{16}}) [A-Za-z] ({TEXT}|{BANNER}|{FIRST_TASK})$", re.MULTILINE)


@dataclass(frozen=True)
class Position:
    """A place in a function: `offset` bytes from its begin, of `size`. Prints as kallsyms does."""

    function: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.function}+{self.offset:#x}/{self.size:#x}"


class Symbols:
    """The functions of one kernel; `text` are the lines of System.map."""

    def __init__(self, text: str, text_offset: int = 0) -> None:
        names: dict[int, str] = {}
        self.named: dict[str, int] = {m[2]: int(m[1], 16) for m in _DATA.finditer(text)}
        for match in _CODE.finditer(text):
            address = int(match[1], 16)
            self.named.setdefault(match[3], address)
            names.setdefault(address, match[3])  # aliases: the first of them
        self._addresses = sorted(names)
        self._names = names
        self._load = text_offset + (MOVED if text_offset < LOADER else 0)

    @classmethod
    def beside(cls, image: Path) -> Symbols | None:
        """Return the symbols of a stored build's Image, None for an Image without System.map."""
        file = image.with_name("System.map")
        return _read(image, file) if file.is_file() else None

    def find(self, address: int) -> Position | None:
        """Return the position of a linked address; None outside of the kernel's functions."""
        at = bisect.bisect_right(self._addresses, address) - 1
        if at < 0 or at + 1 >= len(self._addresses):
            return None
        begin, end = self._addresses[at : at + 2]
        return Position(self._names[begin], address - begin, end - begin)

    def physical(self, name: str, ram: int) -> int | None:
        """Return where QEMU's loader put the symbol `name`; RAM begins at `ram`."""
        if name not in self.named or TEXT not in self.named:
            return None
        return self.named[name] - self.named[TEXT] + ram + self._load

    def at_physical(self, address: int, ram: int) -> Position | None:
        """Return the position of the physical `address`, in a machine that QEMU's loader filled."""
        begin = self.physical(TEXT, ram)
        return None if begin is None else self.find(address - begin + self.named[TEXT])

    def at_virtual(self, address: int, vbar: int) -> Position | None:
        """Return the position of a virtual address of a kernel whose vectors are at `vbar`.

        Vectors that are a copy of their own (mitigations) say nothing of where the kernel is.
        """
        moved = vbar - self.named.get(VECTORS, vbar)
        if moved & PAGE_ALIGNED or not self.find(address - moved):
            moved = 0
        return self.find(address - moved)


@functools.lru_cache(maxsize=4)
def _read(image: Path, file: Path) -> Symbols:
    with image.open("rb") as opened:
        header = opened.read(TEXT_OFFSET.stop)
    text = file.read_text(encoding="ascii", errors="replace")
    return Symbols(text, int.from_bytes(header[TEXT_OFFSET], "little"))
