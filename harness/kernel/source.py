# SPDX-License-Identifier: GPL-2.0-only
"""Kernel sources: every one is a git tree in the cache, with one worktree that is switched.

    sources/ID/tree/         worktree and repository
    sources/ID/out-gcc/      the O= folder of that worktree (out-llvm for LLVM=1; Tree.out())
    sources/ID/source.json   what was imported (Debian packages only)
    sources/ID/settled       while the worktree holds the files of its commit and no other
    sources/ID/lock          held by whoever switches the worktree or builds in it

A Debian package's tarball becomes one commit. A user's tree lends its objects (git alternates)
and is never written to.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.base import apt
from harness.base.deadline import Deadline
from harness.base.errors import UsageError
from harness.base.files import full_disk_raises, write_atomic
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.kernel import repository
from harness.kernel.debian import import_deb
from harness.kernel.git import git
from harness.kernel.spec import KernelSource

Progress = Callable[[str], None]
WAIT_SECONDS = 4 * 3600.0  # for other runs' builds in the same tree, a quarter of an hour each
# Options that change nearly every object, by the word in the name of their O= folder.
IN_EVERY_OBJECT = {
    "lockdep": "CONFIG_PROVE_LOCKING",
    "kasan": "CONFIG_KASAN",
    "kcsan": "CONFIG_KCSAN",
    "ubsan": "CONFIG_UBSAN",
    "cfi": "CONFIG_CFI_CLANG",
    "zone-device": "CONFIG_ZONE_DEVICE",  # struct page and how it is found
}


@dataclass(frozen=True)
class Base:
    """A source at a commit, before any series. `describe` is e.g. `linux-source-6.1 6.1.192-2`,
    `version` the kernel's VERSION and PATCHLEVEL."""

    tree: Tree
    commit: str
    describe: str
    version: tuple[int, int]


class Tree:
    """One source in the cache. Everything that changes `work` or `out` needs its lock: locked()."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "tree"
        self.pin = folder / "source.json"
        self._settled = folder / "settled"

    def locked(
        self,
        deadline: Deadline | None = None,
        waiting: Callable[[str], object] = lambda reason: None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> AbstractContextManager[None]:
        """Return the lock of this source, to be entered; errors and arguments as of base.locked().

        The deadline, WAIT_SECONDS unless given, is that of a wait for another run's builds.
        """
        purpose = f"the kernel source {self.folder.name}"
        deadline = deadline or Deadline(WAIT_SECONDS)
        return locked(self.folder / "lock", purpose, deadline, waiting=waiting, given_up=given_up)

    def out(self, *, llvm: bool, config: Collection[str] = (), machine: str = "") -> Path:
        """Return the O= folder of a compiler, and of options that change every object.

        Switching in one place would rebuild it all. `config` has the options as a build's inputs
        have them, e.g. `CONFIG_KASAN=y`, `machine` the digest of a machine's configuration.
        """
        words = ["llvm" if llvm else "gcc", *([machine[:8]] if machine else [])]
        words += [word for word, option in IN_EVERY_OBJECT.items() if f"{option}=y" in config]
        return self.folder / "-".join(["out", *words])

    def out_of(self, inputs: Mapping[str, Any]) -> Path:
        """Return the O= folder of a build with these inputs (harness/kernel/store.py)."""
        machine = inputs.get("machine", "")
        return self.out(llvm=inputs["llvm"], config=inputs["config"], machine=machine)

    def switch(self, commit: str) -> None:
        """Put the worktree at `commit`; files that are the same keep their times.

        Whatever an interrupted run left (lock files, a half applied series, edits) is undone.
        """
        settled = self._settled.exists()
        self.unsettle()
        settings = self.work / ".git"
        for left in ("index.lock", "HEAD.lock"):
            (settings / left).unlink(missing_ok=True)
        for left in ("rebase-apply", "sequencer"):
            shutil.rmtree(settings / left, ignore_errors=True)
        (settings / "CHERRY_PICK_HEAD").unlink(missing_ok=True)
        git(self.work, "read-tree", "--reset", "-u", commit)
        git(self.work, "update-ref", "--no-deref", "HEAD", commit)
        if not settled:
            git(self.work, "clean", "-qffdx")
        self.settle()

    def unsettle(self) -> None:
        """Note that the worktree may hold files from now on that its commit does not know."""
        self._settled.unlink(missing_ok=True)

    def settle(self) -> None:
        """Note that it holds none, so that the next switch() need not look at 80,000 files."""
        self._settled.touch()


def tree_of(source: KernelSource) -> Tree:
    """Return the place of a source in the cache; empty until `prepare`."""
    if source.package:
        return Tree(cache_dir("sources", source.package))
    place = hashlib.sha256(os.fsencode(Path(source.tree).resolve())).hexdigest()[:12]
    return Tree(cache_dir("sources", f"tree-{place}"))


def find(source: KernelSource) -> Base | None:
    """Return the source at its commit when that is known without fetching anything, else None.

    Raise UsageError when a local tree has no such ref or is not a kernel's.
    """
    tree = tree_of(source)
    if source.package:
        if not tree.pin.exists():
            return None
        pin = json.loads(tree.pin.read_text())
        major, minor = pin["kernel"]
        return Base(tree, pin["commit"], f"{pin['package']} {pin['version']}", (major, minor))
    commit = _rev_parse(source)
    version = kernel_version(Path(source.tree), commit)
    return Base(tree, commit, f"{source.tree}@{source.ref}", version)


def prepare(source: KernelSource, progress: Progress, *, update: bool = False) -> Base:
    """Return the source at its commit, with its objects in the cache. The caller holds the lock.

    A Debian package stays at the version first imported until `update`.
    Raise UsageError as `find` does, MachineError when nothing can be fetched.
    """
    base = find(source)
    if source.package and (base is None or update):
        return _import_package(source, progress, update=update)
    if base is None:
        raise AssertionError("a local tree always has a commit or raises")
    if not source.package:
        borrow(Path(source.tree), base.tree)
        require_files(Path(source.tree), base.tree, base.commit)
    return base


def at_hand(source: KernelSource, progress: Progress) -> Base:
    """Return the source at its commit, with its objects in the cache, as prepare() does.

    The lock is taken only where it has to be fetched or a repository made: who only reads and adds
    objects need not wait for another run's build.
    """
    base = find(source)
    if base is None or not _lendable(source, base.tree):
        tree = tree_of(source)
        with full_disk_raises(f"the cache {cache_dir()}"), tree.locked(waiting=progress):
            return prepare(source, progress)
    return base if source.package else prepare(source, progress)


def _lendable(source: KernelSource, tree: Tree) -> bool:
    """Whether the repository in the cache is there and fits that of a local tree."""
    if not (tree.work / ".git").exists():
        return False
    formats = repository.object_format
    return bool(source.package) or formats(tree.work) == formats(Path(source.tree))


def require_files(path: Path, tree: Tree, commit: str) -> None:
    """Raise UsageError when the user's tree `path`, a partial clone, lacks files of `commit`.

    `tree` borrows its objects.
    """
    if not repository.is_partial(path):
        return
    every = git(tree.work, "rev-list", "--objects", "--no-walk", "--missing=print", commit)
    if any(line.startswith("?") for line in every.splitlines()):
        raise repository.missing_objects(path, commit)


def is_kernel(tree: Path, commit: str) -> bool:
    """Return whether a commit is a Linux kernel with arch/arm64. No file is read."""
    found = repository.read(tree, "ls-tree", commit, "Makefile", "arch/arm64/Kconfig")
    return found.returncode == 0 and len(found.stdout.splitlines()) == 2


def kernel_version(tree: Path, commit: str) -> tuple[int, int]:
    """Return VERSION and PATCHLEVEL of the top Makefile.

    Raise UsageError when that is no kernel tree, or a partial clone without the file.
    """
    makefile = repository.read(tree, "cat-file", "blob", f"{commit}:Makefile")
    if makefile.returncode and repository.is_partial(tree):
        raise repository.missing_objects(tree, commit)
    lines = makefile.stdout.splitlines()[:12]
    values = dict(line.split(" = ", 1) for line in lines if " = " in line)
    try:
        if is_kernel(tree, commit):
            return int(values["VERSION"]), int(values["PATCHLEVEL"])
    except (KeyError, ValueError):
        pass
    raise UsageError(f"{tree}: {commit[:12]} is not a Linux kernel with arch/arm64")


def has_changes(source: KernelSource) -> bool:
    """Return whether a local tree has edits that its commit, and so the build, does not hold."""
    if source.package or source.ref != "HEAD":
        return False
    done = repository.read(
        Path(source.tree), "--no-optional-locks", "-c", "core.fsmonitor=false",
        "status", "--porcelain", "--untracked-files=no", "--no-renames",
        "--ignore-submodules=dirty",
    )  # fmt: skip
    return done.returncode == 0 and bool(done.stdout)


def _rev_parse(source: KernelSource) -> str:
    path = Path(source.tree)
    commit = repository.commit_of(path, source.ref)
    if commit:
        return commit
    if repository.top_of(path) is None:
        raise UsageError(f"{path} is not a git tree")
    hint = repository.shallow_hint(path)
    raise UsageError(f"{path}: no branch, tag or commit {source.ref}{hint}")


def borrow(path: Path, tree: Tree) -> None:
    """Let the repository in the cache read the objects of the user's one, at `path`."""
    wanted = repository.object_format(path)
    if not (tree.work / ".git").exists() or repository.object_format(tree.work) != wanted:
        _init(tree, wanted)
    lent = {
        "objects/info/alternates": f"{repository.git_path(path, 'objects')}\n",
        "shallow": repository.shallow_commits(path),
    }
    for name, text in lent.items():
        file = tree.work / ".git" / name
        known = file.read_text() if file.exists() else ""
        if text and text != known:
            write_atomic(file, text)
        elif known and not text:
            file.unlink()


def _init(tree: Tree, objects: str = "sha1") -> None:
    tree.unsettle()
    shutil.rmtree(tree.work, ignore_errors=True)
    tree.work.mkdir(parents=True)
    git(tree.work, "init", "-q", "-b", "main", f"--object-format={objects}")
    # A kernel tree is an archive of its own: nothing to compress again, nothing to collect.
    for key in ("core.compression", "pack.compression", "gc.auto"):
        git(tree.work, "config", key, "0")


def _import_package(source: KernelSource, progress: Progress, *, update: bool) -> Base:
    """Fetch the newest version and make a commit of it, unless it is the one already there."""
    tree = tree_of(source)
    progress(f"look for {source.package}")
    newest = apt.candidate(source.package, list(source.suites), refresh=update)
    known = find(source)
    if known and known.describe == f"{newest.package} {newest.version}":
        return known
    if known is None:
        _init(tree)
    with tempfile.TemporaryDirectory(dir=tree.folder, prefix="fetch-") as scratch:
        progress(f"download {newest.package} {newest.version}")
        deb = apt.download([source.package], Path(scratch), list(source.suites))[0]
        progress(f"import {newest.package} {newest.version}")
        commit = import_deb(deb, tree.work, tree.folder, f"{newest.package} {newest.version}")
    version = kernel_version(tree.work, commit)
    pin = {
        "package": newest.package,
        "version": newest.version,
        "sha256": newest.sha256,
        "kernel": version,
        "commit": commit,
    }
    write_atomic(tree.pin, json.dumps(pin, indent=2) + "\n")
    return Base(tree, commit, f"{newest.package} {newest.version}", version)
