# SPDX-License-Identifier: GPL-2.0-only
"""External modules for a stored build, wherever the worktree is by now.

They are built from the headers of the build's commit (headers.py) and the part of the O= folder
that the store keeps, so that an edit of a suite costs a second, never a kernel build. Builds that
agree in both, as most patched kernels do with their base, share their modules. Headers that suites
share are in the folder `include` beside theirs, named in Kbuild as `$(src)/../include`.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import BuildError
from harness.base.files import full_disk_raises
from harness.base.locks import locked
from harness.base.paths import cache_dir, shared_headers
from harness.kernel import headers
from harness.kernel.make import Maker
from harness.kernel.source import Tree
from harness.kernel.store import Build
from harness.kernel.toolchain import toolchain

# What a build by hand leaves in a source folder.
_MADE = {".o", ".ko", ".mod", ".cmd", ".d", ".symvers", ".order"}
_SHARED = "../include"
WAIT_SECONDS = 1800.0  # for another process that makes modules for the same kernel


def build_modules(build: Build, source_dir: Path) -> Path:
    """Return the folder with the .ko files of `source_dir` (with a Kbuild file) for `build`.

    Kept by the hash of the sources. The source folder is not written to.
    Raise BuildError with the compiler's first error, MachineError as Maker.make() does.
    """
    tree = Tree(cache_dir("sources") / build.inputs["tree"])
    kernel = headers.tree(tree, build.inputs["applied"])
    files = sources(source_dir)
    folder = cache_dir("modules", _kbuild_hash(build, kernel))
    done = folder / f"{source_dir.name}-{sources_hash(files)}"
    if not done.is_dir():
        with (
            full_disk_raises(f"the cache {cache_dir()}"),
            locked(folder / "lock", f"the modules of {source_dir.name}", Deadline(WAIT_SECONDS)),
        ):
            if not done.is_dir():
                _make(build, kernel, source_dir, files, done)
    return done


def _kbuild_hash(build: Build, kernel: Path) -> str:
    """20 hex digits over all that a module is made with, beside its own sources."""
    whole = hashlib.sha256(f"{kernel} {build.inputs['tools']}".encode())
    for path in sorted(path for path in build.kbuild.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(build.kbuild)} {content}\n".encode())
    return whole.hexdigest()[:20]


def sources(folder: Path) -> dict[str, Path]:
    """Return the files a module is made of, by their names from `folder`: all but hidden and made.

    With them the headers that suites share, as `../include/…`, when the Kbuild file names that
    folder. Raise BuildError for a folder without a Kbuild file.
    """
    kbuild = folder / "Kbuild"
    if not kbuild.is_file():
        raise BuildError(f"{folder} has no Kbuild file: not the sources of a module")
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    own = sorted(
        path
        for path in found
        if path.suffix not in _MADE
        and not path.name.endswith(".mod.c")
        and not any(part.startswith(".") for part in path.parts)
    )
    files = {str(path): folder / path for path in own}
    if _SHARED in kbuild.read_text(errors="replace"):
        files |= {f"{_SHARED}/{name}": path for name, path in shared_headers(folder).items()}
    return files


def sources_hash(files: Mapping[str, Path]) -> str:
    """Return 20 hex digits of the SHA-256 over names and contents."""
    whole = hashlib.sha256()
    for name, path in files.items():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{name} {content}\n".encode())
    return whole.hexdigest()[:20]


def _make(
    build: Build, kernel: Path, source_dir: Path, files: Mapping[str, Path], done: Path
) -> None:
    tools = toolchain(llvm=build.inputs["llvm"])
    log = cache_dir("logs") / f"modules-{source_dir.name}-{build.record.build_key}.log"
    log.write_text("")
    with tempfile.TemporaryDirectory(dir=done.parent, prefix=".tmp-") as scratch:
        work = Path(scratch) / source_dir.name
        for name, path in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, work / name)
        name = f"{source_dir.name} for {build.record.name}"
        maker = Maker(name, kernel, build.kbuild, tools, log, lambda _: None)
        maker.make(f"M={work}", "modules", hidden=(work, Path(scratch)))
        staged = Path(scratch) / "made"
        staged.mkdir()
        for module in work.rglob("*.ko"):
            shutil.copyfile(module, staged / module.name)
        log.rename(staged / "build.log")
        staged.rename(done)
