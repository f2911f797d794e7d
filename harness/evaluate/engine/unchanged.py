# SPDX-License-Identifier: GPL-2.0-only
"""Cells whose inputs are those of an earlier run: their records are taken over from there."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import harness
from harness.base import paths
from harness.base.errors import S2EvalError
from harness.base.json_text import json_text
from harness.evaluate.plan.plan import CellRequest
from harness.hosts.qemu.binary import QemuBinary
from harness.kernel import source, store
from harness.kernel.spec import KernelSpec
from harness.kernel.toolchain import toolchain
from harness.results.records import Cell, Status
from harness.results.store import cell_path, load_run, run_names

LOOKED_AT = 20  # runs, newest first
DECIDED = (Status.PASS, Status.FAIL, Status.DONE)


def harness_hash() -> str:
    """Return a hash over what makes a guest or judges it: this package, templates, inits."""
    digest = hashlib.sha256(_own_hash(paths.PROJECT).encode())
    for name, path in paths.TEMPLATES.files().items():  # of whichever folder they are found in
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _own_hash(project: Path) -> str:
    """sha256 over this package and its programs for guests, the same in a checkout and a wheel."""
    digest = hashlib.sha256(version("s2eval").encode())
    package = Path(harness.__file__).parent
    carried = package / "data"
    programs = (project / "guest-tests" / name for name in ("init", "calibrate", "include"))
    for base in (package, *programs):
        for path in sorted(path for path in base.rglob("*") if path.is_file()):
            if path.suffix == ".pyc" or (base == package and path.is_relative_to(carried)):
                continue
            name = f"{base.name}/{path.relative_to(base)}"
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def inputs_hash(request: CellRequest, build_key: str, qemu: QemuBinary, repeat: int) -> str:
    """Return a hash over all that shapes a cell's record: kernel, machine, suite, QEMU, harness."""
    parts = [
        build_key,
        # When a silent guest is looked at follows from what the base took; it shapes no result.
        json_text(request.machine, exclude={"limits": {"look", "look_boot"}}),
        json_text(request.suite, exclude={"folder"}),
        request.suite.source_hash,
        f"{qemu.path} {' '.join(qemu.args)} {qemu.version}",
        str(repeat),
        harness_hash(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def build_key(spec: KernelSpec) -> str:
    """Return the key of a kernel's build, made or not; "" before its source was fetched."""
    base = source.find(spec.source)
    if base is None:
        return ""
    return store.key_of(store.inputs(spec, base, toolchain(llvm=spec.llvm)))


def carry_over(
    requests: Sequence[CellRequest], qemu: QemuBinary, repeat: int, base: Path, into: Path
) -> Iterator[Cell]:
    """Yield the records of cells that an earlier run in the folder `base` has with the same inputs.

    Their logs come along into the run's folder `into`.
    """
    for folder, cell in _same(requests, qemu, repeat, _earlier(base, into.name)):
        logs = cell_path(into, cell.name)
        try:
            _logs(cell_path(folder, cell.name), logs)
        except OSError:  # no room: then there is none for a record either, which is told
            shutil.rmtree(logs, ignore_errors=True)
            continue
        yield cell.model_copy(update={"carried": cell.carried or folder.name})


def known(
    requests: Sequence[CellRequest], qemu: QemuBinary, repeat: int, base: Path
) -> dict[str, str]:
    """Return the names of cells that carry_over() would give, and the run each was run in."""
    same = _same(requests, qemu, repeat, _earlier(base, ""))
    return {cell.name: cell.carried or folder.name for folder, cell in same}


def _same(
    requests: Sequence[CellRequest], qemu: QemuBinary, repeat: int, folders: Sequence[Path]
) -> Iterator[tuple[Path, Cell]]:
    """The newest record of each cell whose inputs are the same, and its run's folder."""
    keys: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for one in requests:
        kernel = json_text(one.kernel)
        if kernel not in keys:
            keys[kernel] = build_key(one.kernel)
        if keys[kernel]:
            wanted[one.name] = inputs_hash(one, keys[kernel], qemu, repeat)
    for folder in folders:
        if not wanted:
            return
        for cell in _cells(folder):
            if cell.status in DECIDED and wanted.get(cell.name) == cell.inputs:
                del wanted[cell.name]
                yield folder, cell


def _earlier(base: Path, but: str) -> list[Path]:
    names = [name for name in reversed(run_names(base)) if name != but]
    return [base / name for name in names[:LOOKED_AT]]


def _cells(folder: Path) -> list[Cell]:
    try:
        return load_run(folder).cells
    except S2EvalError:  # a record that cannot be read is no reason not to run
        return []


def _logs(old: Path, new: Path) -> None:
    """The same files once more; hard links where that is possible."""
    shutil.rmtree(new, ignore_errors=True)  # of a run that was killed just here
    if old.is_dir():
        shutil.copytree(old, new, copy_function=_link)


def _link(old: str, new: str) -> None:
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)
