# SPDX-License-Identifier: GPL-2.0-only
"""Physical memory of a stopped VM: through the gdb stub, or from the file behind its RAM."""

from __future__ import annotations

import mmap
from pathlib import Path
from types import TracebackType
from typing import Protocol

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.qemu.gdbstub import GdbStub

RAM_BASE = 0x4000_0000  # of QEMU's virt machine: hw/arm/virt.c, base_memmap[VIRT_MEM]
PAGE = 4096


class Memory(Protocol):
    """Guest-physical memory; None where there is none."""

    def read(self, address: int, size: int) -> bytes | None: ...

    def read_u64(self, address: int) -> int | None: ...


class StubMemory:
    """Memory through the stub, a page at a time, kept for one stop: make a new one for the next.

    To be used inside `stub.physical()`. Raises MachineError like the stub.
    """

    def __init__(self, stub: GdbStub, deadline: Deadline) -> None:
        self._stub = stub
        self._deadline = deadline
        self._pages: dict[int, bytes | None] = {}

    def read(self, address: int, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            offset = (address + len(data)) % PAGE
            page = self._page(address + len(data) - offset)
            if page is None:
                return None
            data += page[offset : offset + size - len(data)]
        return data

    def read_u64(self, address: int) -> int | None:
        data = self.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")

    def _page(self, address: int) -> bytes | None:
        if address not in self._pages:
            page = self._stub.read_memory(address, PAGE, self._deadline)
            # In physical mode QEMU's stub gives zeros where there is no memory at all; its
            # monitor tells (QEMU monitor/hmp-cmds.c, memory_dump).
            if page is not None and not any(page):
                said = self._stub.monitor(f"xp /1xb {address:#x}", self._deadline)
                page = None if "Cannot access memory" in said else page
            self._pages[address] = page
        return self._pages[address]


def find_memfd(pid: int, size: int) -> Path | None:
    """The memfd of `size` bytes that a QEMU with `-object memory-backend-memfd` has its RAM in.

    None when the process has none, is gone, or belongs to somebody else.
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

    `base` is the physical address of the file's first byte. A context manager; raises
    MachineError when the file cannot be read.
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._map.close()

    def read(self, address: int, size: int) -> bytes | None:
        start = address - self.base
        if start < 0 or start + size > len(self._map):
            return None
        return self._map[start : start + size]

    def read_u64(self, address: int) -> int | None:
        data = self.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")
