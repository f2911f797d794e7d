# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages as sources: a real .deb with a real tarball, only the archive is not asked."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base import apt
from harness.base.errors import MachineError
from harness.kernel import source
from harness.kernel.spec import KernelSource

Git = Callable[..., str]
SOURCE = KernelSource(package="linux-source-6.1", suites=("bookworm",))


def quiet(_: str) -> None:
    """Nobody watches."""


class Archive:
    """Offers the package that `publish` made last, as apt would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = ""
        self.downloads = 0

    def publish(self, tree: Path, version: str) -> None:
        """Make a linux-source package of `tree`, as Debian's is: one tar.xz in /usr/src."""
        root = self.folder / version
        (root / "usr/src").mkdir(parents=True)
        with tarfile.open(root / "usr/src/linux-source-6.1.tar.xz", "w:xz") as tar:
            tar.add(tree, "linux-source-6.1", filter=lambda m: None if ".git" in m.name else m)
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text(
            f"Package: linux-source-6.1\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: s2eval <s2eval@localhost>\nDescription: kernel\n"
        )
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", str(root), str(self.folder)],
            check=True,
            capture_output=True,
        )
        self.version = version

    def candidate(
        self, package: str, suites: list[str], arch: str | None = None, *, refresh: bool = False
    ) -> apt.Candidate:
        return apt.Candidate(package, self.version, f"{package}_{self.version}_all.deb", "0" * 64)

    def download(self, packages: list[str], dest: Path, suites: list[str]) -> list[Path]:
        self.downloads += 1
        return [self.folder / f"{packages[0]}_{self.version}_all.deb"]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    folder = tmp_path / "archive"
    folder.mkdir()
    made = Archive(folder)
    monkeypatch.setattr(apt, "candidate", made.candidate)
    monkeypatch.setattr(apt, "download", made.download)
    return made


def test_a_package_becomes_the_same_tree_as_its_files(
    tree: Path, archive: Archive, git: Git
) -> None:
    (tree / "scripts/run").write_text("#!/bin/sh\n")
    (tree / "scripts/run").chmod(0o755)
    (tree / "link").symlink_to("core.c")
    (tree / "name with spaces äö.c").write_bytes(b"\x00\xff")
    git(tree, "add", "-A")
    archive.publish(tree, "6.1.1-1")
    base = source.prepare(SOURCE, quiet)
    assert base.describe == "linux-source-6.1 6.1.1-1"
    assert git(base.tree.work, "rev-parse", f"{base.commit}^{{tree}}") == git(tree, "write-tree")
    assert base.version == (6, 1)


def test_the_version_stays_until_an_update_and_unchanged_files_keep_their_times(
    tree: Path, archive: Archive, git: Git
) -> None:
    archive.publish(tree, "6.1.1-1")
    first = source.prepare(SOURCE, quiet)
    first.tree.switch(first.commit)
    before = (first.tree.work / "core.c").stat().st_mtime_ns
    (tree / "kvm.c").write_text("int newer;\n")
    (tree / "dropped").unlink()
    archive.publish(tree, "6.1.2-1")
    assert source.prepare(SOURCE, quiet).commit == first.commit
    assert archive.downloads == 1
    second = source.prepare(SOURCE, quiet, update=True)
    assert second.describe == "linux-source-6.1 6.1.2-1"
    found = source.find(SOURCE)
    assert found
    assert found.commit == second.commit != first.commit
    second.tree.switch(second.commit)
    assert (second.tree.work / "kvm.c").read_text() == "int newer;\n"
    assert not (second.tree.work / "dropped").exists()
    # No history: the commit is the same in a cache that never held the first version.
    assert git(second.tree.work, "rev-list", "--count", second.commit).strip() == "1"
    assert (second.tree.work / "core.c").stat().st_mtime_ns == before
    source.prepare(SOURCE, quiet, update=True)
    assert archive.downloads == 2, "an update to the same version fetches nothing"


def test_the_same_package_gives_the_same_commit(
    tree: Path, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.publish(tree, "6.1.1-1")
    here = source.prepare(SOURCE, quiet).commit
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "another"))
    assert source.prepare(SOURCE, quiet).commit == here


@pytest.mark.parametrize("broken", ["not a package", "cut off"])
def test_a_broken_package_is_told_and_leaves_nothing(
    broken: str, tree: Path, archive: Archive, cache: Path
) -> None:
    archive.publish(tree, "6.1.1-1")
    deb = archive.folder / "linux-source-6.1_6.1.1-1_all.deb"
    whole = deb.read_bytes()
    deb.write_bytes(b"x" if broken == "not a package" else whole[: len(whole) // 2])
    with pytest.raises(MachineError, match=r"_6\.1\.1-1_all\.deb cannot be imported"):
        source.prepare(SOURCE, quiet)
    assert source.find(SOURCE) is None
    assert not list((cache / "sources").rglob("fetch-*"))
    deb.write_bytes(whole)
    assert source.prepare(SOURCE, quiet).describe == "linux-source-6.1 6.1.1-1"
