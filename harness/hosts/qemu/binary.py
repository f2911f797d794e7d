# SPDX-License-Identifier: GPL-2.0-only
"""The QEMU that runs the machines: the system's when it is new enough, else Debian's backport.

The backport is unpacked in the cache, beside the system's QEMU, whose shared libraries it uses.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base import apt
from harness.base.deadline import Deadline
from harness.base.errors import MachineError, S2EvalError, UsageError
from harness.base.files import write_atomic
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.base.process import ToolTimeoutError, run_quiet
from harness.base.tools import as_tuple, install_command, version_in

PROGRAM = "qemu-system-aarch64"
PACKAGE = "qemu-system-arm"
# The programs, their modules, and the firmware and ROMs that -L names.
BACKPORT_PACKAGES = ["qemu-system-arm", "qemu-system-common", "qemu-system-data"]
VERSION_SECONDS = 20.0
NO_LIBRARY = "error while loading shared libraries: "  # ld.so's message


@dataclass(frozen=True)
class QemuBinary:
    """A QEMU whose version is known; `args` come first in each of its command lines.

    `version` is QEMU's own text, e.g. `10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)`.
    """

    path: Path
    args: tuple[str, ...]
    version: str
    version_info: tuple[int, ...]

    @property
    def number(self) -> str:
        """Return the bare version, e.g. `10.0.2`."""
        return ".".join(str(part) for part in self.version_info)


def find_qemu(minimum: tuple[int, ...] = (10, 0)) -> QemuBinary:
    """Return the QEMU to run: `$S2EVAL_QEMU`, else the system's, else Debian's backport.

    The backport is fetched once. Raise UsageError when S2EVAL_QEMU names no QEMU or one older than
    `minimum`, MachineError when no other QEMU of at least `minimum` can be had.
    """
    wanted = ".".join(str(part) for part in minimum)
    if forced := os.environ.get("S2EVAL_QEMU"):
        return _forced(forced, minimum, wanted)
    program = shutil.which(PROGRAM)
    if not program:
        raise MachineError(
            f"{PROGRAM} is missing: {install_command([PACKAGE])}, or set S2EVAL_QEMU to a QEMU "
            f"of at least {wanted}"
        )
    system = identify(Path(program))
    if system.version_info >= minimum:
        return system
    backport = identify(_backport(system, wanted))
    if backport.version_info < minimum:
        raise MachineError(
            f"QEMU {backport.number} is too old: {wanted} is needed; set S2EVAL_QEMU to such a QEMU"
        )
    return backport


def _forced(forced: str, minimum: tuple[int, ...], wanted: str) -> QemuBinary:
    way_out = f"name a {PROGRAM} of at least {wanted} or unset it"
    program = shutil.which(Path(forced).expanduser())
    if not program:
        raise UsageError(f"S2EVAL_QEMU={forced}: no such program; {way_out}")
    try:
        qemu = identify(Path(program).absolute())
    except MachineError as error:
        raise UsageError(f"S2EVAL_QEMU={forced}: {error}; {way_out}") from None
    if qemu.version_info < minimum:
        raise UsageError(f"S2EVAL_QEMU={forced}: QEMU {qemu.number} is too old; {way_out}")
    return qemu


def identify(path: Path) -> QemuBinary:
    """Return the QEMU at `path`, which is run with `--version` once for each (mtime, size).

    Raise MachineError when it is no QEMU for arm64 or does not start.
    """
    stat = path.stat()
    stamp = [stat.st_mtime_ns, stat.st_size]
    known = cache_dir("qemu") / "versions.json"
    versions = _read_versions(known)
    entry = versions.get(str(path))
    if not isinstance(entry, dict) or entry.get("stamp") != stamp or not entry.get("version"):
        entry = {"stamp": stamp, "version": _ask_version(path)}
        _write_versions(known, str(path), entry)
    version = str(entry["version"])
    return QemuBinary(path, _data_args(path), version, as_tuple(version_in(version)))


def _data_args(path: Path) -> tuple[str, ...]:
    """Return `-L` for a QEMU that is not the system's and has its data files beside it, else ()."""
    data = path.parent.parent / "share" / "qemu"
    return ("-L", str(data)) if path.parent != Path("/usr/bin") and data.is_dir() else ()


def _read_versions(known: Path) -> dict[str, object]:
    try:
        versions = json.loads(known.read_bytes())
    except (OSError, ValueError):
        return {}
    return versions if isinstance(versions, dict) else {}


def _write_versions(known: Path, path: str, entry: Mapping[str, object]) -> None:
    with locked(known.with_suffix(".lock"), str(known), Deadline(VERSION_SECONDS)):
        versions = {**_read_versions(known), path: entry}
        write_atomic(known, json.dumps(versions, indent=1))


def _ask_version(path: Path) -> str:
    """Return the text after "version" in the first line of `--version`.

    Raise MachineError, with the reason, when `path` is no QEMU that works.
    """
    command = [str(path), *_data_args(path), "--version"]
    try:
        done = run_quiet(command, Deadline(VERSION_SECONDS), writes=False)
    except ToolTimeoutError:
        raise MachineError(f"{path} does not answer --version") from None
    except MachineError as error:
        why = str(error).removeprefix(f"{path}: ")
        raise MachineError(f"{path} cannot be run: {why}") from None
    if NO_LIBRARY in done.stderr:
        library = done.stderr.split(NO_LIBRARY)[1].split(":")[0]
        raise MachineError(
            f"{path} needs {library}, which comes with the system's QEMU: "
            f"{install_command([PACKAGE])}"
        )
    first, _, _ = done.stdout.partition("\n")
    start, _, version = first.partition("version ")
    if done.returncode or not start.startswith("QEMU emulator") or not version_in(version):
        raise MachineError(f"{path} is no {PROGRAM} that works")
    return version.strip()


def _backport(system: QemuBinary, wanted: str) -> Path:
    """Return the program of the unpacked backport, fetched when it is not in the cache.

    Raise MachineError when it cannot be had.
    """
    try:
        suite = f"{_release()}-backports"
        folder = cache_dir("qemu") / f"{suite}-{platform.machine()}"
        program = folder / "usr/bin" / PROGRAM
        if not program.exists():
            lock = folder.with_name(f"{folder.name}.lock")
            with locked(lock, "QEMU's backport", Deadline(apt.APT_SECONDS)):
                if not program.exists():
                    _fetch(suite, folder)
        return program
    except (S2EvalError, OSError) as error:
        raise MachineError(
            f"QEMU {system.number} of this system is too old ({wanted} is needed) and a newer one "
            f"cannot be had: {error}; set S2EVAL_QEMU to such a QEMU"
        ) from None


def _fetch(suite: str, folder: Path) -> None:
    """Unpack QEMU of `suite` into `folder`, which appears when the program has run."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    try:
        for deb in apt.download(BACKPORT_PACKAGES, partial / "debs", [suite]):
            apt.unpack(deb, partial)
        shutil.rmtree(partial / "debs")
        _ask_version(partial / "usr/bin" / PROGRAM)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _release() -> str:
    """Return this release's code name, e.g. `bookworm`. Raise MachineError if not Debian."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    if system.get("ID") != "debian" or "VERSION_CODENAME" not in system:
        name = system.get("PRETTY_NAME", "this system")
        raise MachineError(f"{name} has no Debian backports")
    return system["VERSION_CODENAME"]
