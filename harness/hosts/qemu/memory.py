# SPDX-License-Identifier: GPL-2.0-only
"""Physical memory of a stopped VM: through the gdb stub, or from the file behind its RAM."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Protocol

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.qemu.gdbstub import GdbStub

RAM_BASE = 0x4000_0000  # of QEMU's virt machine: hw/arm/virt.c, base_memmap[VIRT_MEM]
PAGE = 4096


class Memory(Protocol):
    """Guest-physical memory."""

    def read(self, address: int, size: int) -> bytes | None:
        """Return `size` bytes at a physical address; None where there is no memory."""

    def read_u64(self, address: int) -> int | None:
        """Return the little-endian 64-bit value at a physical address; None without memory."""


class StubMemory:
    """Memory through the gdb stub, a page at a time; pages are cached, so make one for each stop.

    To be used inside `stub.physical()`. Every method raises MachineError like the stub.
    """

    def __init__(self, stub: GdbStub, deadline: Deadline) -> None:
        self._stub = stub
        self._deadline = deadline
        self._pages: dict[int, bytes | None] = {}

    def read(self, address: int, size: int) -> bytes | None:
        """Return `size` bytes at a physical address; None where there is no memory."""
        data = b""
        while len(data) < size:
            offset = (address + len(data)) % PAGE
            page = self._page(address + len(data) - offset)
            if page is None:
                return None
            data += page[offset : offset + size - len(data)]
        return data

    def read_u64(self, address: int) -> int | None:
        """Return the little-endian 64-bit value at a physical address; None without memory."""
        data = self.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")

    def _page(self, address: int) -> bytes | None:
        if address not in self._pages:
            page = self._stub.read_memory(address, PAGE, self._deadline)
            # In physical mode QEMU's stub gives zeros where there is no memory at all; the
            # monitor's xp tells the two apart (QEMU monitor/hmp-cmds.c, memory_dump).
            if page is not None and not any(page):
                output = self._stub.monitor(f"xp /1xb {address:#x}", self._deadline)
                page = None if "Cannot access memory" in output else page
            self._pages[address] = page
        return self._pages[address]


def find_memfd(pid: int, size: int) -> Path | None:
    """Return the memfd of `size` bytes in which a QEMU with a memory-backend-memfd has its RAM.

    Return None when the process has no such file, is gone, or belongs to another user.
    """
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if str(link.readlink()).startswith("/memfd:") and link.stat().st_size == size:
                return link
    except OSError:
        pass
    return None


class SharedMemory:
    """The file of `-object memory-backend-file,share=on` that holds the machine's RAM.

    `base` is the physical address of the file's first byte. A context manager. Raise MachineError
    when the file cannot be read.
    """

    def __init__(self, path: Path, base: int = RAM_BASE) -> None:
        self.base = base
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise MachineError(f"{path}: cannot read the machine's memory: {error}") from None

    def __enter__(self) -> SharedMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()

    def read(self, address: int, size: int) -> bytes | None:
        """Return `size` bytes at a physical address; None outside of the file."""
        start = address - self.base
        if start < 0 or start + size > len(self._map):
            return None
        return self._map[start : start + size]

    def read_u64(self, address: int) -> int | None:
        """Return the little-endian 64-bit value at a physical address; None without memory."""
        data = self.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")
