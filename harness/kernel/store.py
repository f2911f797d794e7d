# SPDX-License-Identifier: GPL-2.0-only
"""Finished builds, in a folder named after all that shaped them.

builds/KEY/Image, vmlinux, System.map, config, build.log
builds/KEY/build.json     record, timings and inputs: the folder counts when this is there
builds/KEY/kbuild/        the part of the O= folder that external modules are built with
modules/HASH/SUITE-HASH/  modules, by what they are built against and the hash of their sources
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.base.deadline import Deadline
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.kernel import series
from harness.kernel.config import fragments, machine
from harness.kernel.source import Base
from harness.kernel.spec import KernelSpec
from harness.kernel.toolchain import FIXED, Toolchain
from harness.results.records import KernelRecord

WAIT_SECONDS = 4 * 3600.0  # for another run that builds the same; see also source.py
# Part of every key: raise it when the way kernels are built changes.
SCHEMA = 1
KEPT = {
    "arch/arm64/boot/Image": "Image",
    "vmlinux": "vmlinux",
    "System.map": "System.map",
    ".config": "config",
}


@dataclass(frozen=True)
class Build:
    """A finished kernel. `seconds` is what each phase took when it was built."""

    folder: Path
    record: KernelRecord
    inputs: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def image(self) -> Path:
        """The uncompressed arm64 Image."""
        return self.folder / "Image"

    @property
    def vmlinux(self) -> Path:
        """The ELF file with the symbols, for a debugger; without debug information."""
        return self.folder / "vmlinux"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.folder / "config"

    @property
    def log(self) -> Path:
        """All that make printed."""
        return self.folder / "build.log"

    @property
    def kbuild(self) -> Path:
        """What external modules are built with."""
        return self.folder / "kbuild"


def inputs(spec: KernelSpec, base: Base, tools: Toolchain) -> dict[str, Any]:
    """Return all that shapes the build of `spec`; names, places and comments do not."""
    options = fragments.read(spec.fragments, base.version)
    patches = series.patches(spec.series)
    whole, does = series.patchset_hash(patches), series.identity(patches)
    return {
        "schema": SCHEMA,
        "commit": base.commit,
        "series": whole,
        **({"commits": does} if does != whole else {}),
        "config": [str(option) for option in options.values()],
        **({"machine": machine.read(Path(spec.machine)).digest} if spec.machine else {}),
        "arch": spec.arch,
        "llvm": spec.llvm,
        "tools": tools.identity,
        "fixed": FIXED,
    }


def key_of(values: dict[str, Any]) -> str:
    """Return the name of a build's folder: 20 hex digits of the inputs' SHA-256."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@contextmanager
def locked_key(
    key: str, name: str, *, waiting: Callable[[str], object], given_up: Callable[[], bool]
) -> Iterator[None]:
    """Hold the build `key` of the kernel `name` against other processes, as locked() does."""
    file = cache_dir("builds") / f".{key}.lock"
    deadline = Deadline(WAIT_SECONDS)
    with locked(file, f"the build of {name}", deadline, waiting=waiting, given_up=given_up):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def find(key: str, name: str) -> Build | None:
    """Return the finished build `key`, its record under the kernel's `name` of today; or None."""
    folder = cache_dir("builds") / key
    try:
        data = json.loads((folder / "build.json").read_text())
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):
        os.utime(folder / "build.json")  # when it was used last: `s2eval clean` goes by it
    record = KernelRecord.model_validate(data["record"])
    record = record.model_copy(update={"name": name, "cached": True})
    return Build(folder, record, data["inputs"], data["seconds"])


def put(key: str, out: Path, log: Path, record: KernelRecord, values: dict[str, Any],
        seconds: dict[str, float]) -> Build:  # fmt: skip
    """Copy what is kept of the O= folder `out` and return the build.

    Its folder appears when it is complete. The lock of the key is held. Raise OSError without room.
    """
    builds = cache_dir("builds")
    staged = builds / f".{key}.tmp"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    try:
        for made, kept in KEPT.items():
            shutil.copyfile(out / made, staged / kept)
        _copy_kbuild(out, staged / "kbuild")
        shutil.copyfile(log, staged / "build.log")
        data = {"record": record.model_dump(), "inputs": values, "seconds": seconds}
        (staged / "build.json").write_text(json.dumps(data, indent=2) + "\n")
        shutil.rmtree(builds / key, ignore_errors=True)
        staged.rename(builds / key)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    log.unlink()
    return Build(builds / key, record, values, seconds)


def _copy_kbuild(out: Path, dest: Path) -> None:
    """What `make M=` reads of an O= folder (Documentation/kbuild/modules.rst, linux-headers)."""
    dest.mkdir()
    for name in (".config", "Module.symvers"):
        shutil.copy2(out / name, dest / name)
    for name in ("include/generated", "arch/arm64/include/generated", "scripts"):
        shutil.copytree(out / name, dest / name, symlinks=True, ignore=_unneeded)
    (dest / "include/config").mkdir()
    for name in ("auto.conf", "kernel.release"):
        shutil.copy2(out / "include/config" / name, dest / "include/config" / name)


def _unneeded(folder: str, names: list[str]) -> set[str]:
    """Objects and the tools that external modules have no use for."""
    skipped = (
        {"kconfig", "dtc", "kallsyms", "sorttable"} if Path(folder).name == "scripts" else set()
    )
    return {n for n in names if n in skipped or n.endswith((".o", ".cmd", ".a")) or os.sep in n}
