# SPDX-License-Identifier: GPL-2.0-only
"""The TCG plugin qemu-configs/plugins/coverage.c, compiled for this computer, and its options.

QEMU calls the plugin with each block of instructions that it translates. Nothing is added to the
translated code, and the Image is the one that runs without the plugin.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.paths import PROJECT, cache_dir
from harness.base.process import ToolTimeoutError, run_quiet
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.memory import RAM_BASE
from harness.kernel.addresses.symbols import TEXT, Symbols

SOURCE = PROJECT / "qemu-configs/plugins/coverage.c"
COMPILER = "gcc"
FLAGS = ("-O2", "-Wall", "-shared", "-fPIC", "-fvisibility=hidden")
SECONDS = 60.0  # for the compiler; it takes a tenth of one
NEEDED = b"qemu_plugin_insn_haddr"  # a QEMU that was built without plugins does not export it


@dataclass(frozen=True)
class Coverage:
    """The plugin and the kernel whose instructions it records.

    `size` is that of the Image in bytes, `text` the linked address of its first instruction,
    `entry` the physical address to which QEMU's loader puts that.
    """

    library: Path
    size: int
    text: int
    entry: int

    def options(self, record: Path, ram: int) -> list[str]:
        """Return QEMU's options that load the plugin, which writes to the file `record`.

        The machine has `ram` bytes of memory.
        """
        values = {
            "record": str(record).replace(",", ",,"),
            "size": f"{self.size:#x}",
            "entry": f"{self.entry:#x}",
            "virt": f"{self.text:#x}",
            "ram": f"{ram:#x}",
            "base": f"{RAM_BASE:#x}",
        }
        library = str(self.library).replace(",", ",,")
        return ["-plugin", ",".join([library, *(f"{k}={v}" for k, v in values.items())])]


def why_no_coverage(machine: Machine, qemu: Path, image: Path) -> str:
    """Return why the instructions that a machine executes cannot be recorded; "" when they can."""
    if machine.accel != "tcg":
        return f"{machine.name} runs on {machine.accel}: only TCG shows which instructions run"
    if Symbols.beside(image) is None:
        return f"{image}: no System.map beside it"
    with qemu.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
        if program.find(NEEDED) < 0:
            return f"{qemu} was built without TCG plugins"
    return ""


def coverage_of(image: Path) -> Coverage:
    """Return the plugin for the kernel `image`, for which why_no_coverage() has no reason.

    Raise MachineError when the plugin cannot be compiled.
    """
    symbols = Symbols.beside(image)
    entry = symbols.physical(TEXT, RAM_BASE) if symbols else None
    if symbols is None or entry is None:
        raise MachineError(f"{image}: no System.map beside it that names {TEXT}")
    return Coverage(_library(), image.stat().st_size, symbols.named[TEXT], entry)


def _library() -> Path:
    """Return the compiled plugin, which is kept in the cache by the hash of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    cache = cache_dir("programs")
    library = cache / f"coverage-{digest}.so"
    if library.is_file():
        return library
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        made = Path(folder, "coverage.so")
        command = [COMPILER, *FLAGS, "-o", str(made), str(SOURCE)]
        try:
            done = run_quiet(command, Deadline(SECONDS))
        except ToolTimeoutError:
            raise MachineError(f"{COMPILER} does not come to an end with {SOURCE}") from None
        if done.returncode:
            first = next(iter(done.stderr.splitlines()), f"exit status {done.returncode}")
            raise MachineError(f"QEMU's plugin does not compile: {first}")
        made.rename(library)
    return library
