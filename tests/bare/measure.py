# SPDX-License-Identifier: GPL-2.0-only
"""What a command did to a root, seen from outside: packages, disk, and files nobody owns."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

# Where packages' own scripts write, while dpkg sets them up: caches of icons, links, accounts.
OF_PACKAGES = re.compile(r"/(etc|usr|var|run|root)(?!/tmp)(?=/|$)")
# What apt notes after dpkg has ended, and what a program in Python keeps where root may write.
CACHES = re.compile(r"/var/(lib/(apt|dpkg)|cache|log)(/|$)|/usr/.*/__pycache__(/|$)")
MERGED = re.compile(r"^/(bin|sbin|lib|lib32|lib64|libx32)(?=/|$)")


def installed(root: Path) -> dict[str, int]:
    """The packages that dpkg has installed in `root`, each with its size in KiB."""
    found = {}
    for entry in (root / "var/lib/dpkg/status").read_text(errors="replace").split("\n\n"):
        fields = dict(
            re.findall(r"^(Package|Architecture|Status|Installed-Size): (.*)$", entry, re.M)
        )
        if fields.get("Status", "").endswith(" installed"):
            name = f"{fields['Package']}:{fields.get('Architecture', '')}"
            found[name] = int(fields.get("Installed-Size", 0))
    return found


def disk(*folders: Path, without: tuple[Path, ...] = ()) -> int:
    """The bytes on disk of `folders`, but for those in `without`; each file once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    left = [folder for folder in folders if folder.is_dir()]
    while left:
        for entry in os.scandir(left.pop()):
            at = entry.stat(follow_symlinks=False)
            if (at.st_dev, at.st_ino) in seen or Path(entry.path) in without:
                continue
            seen.add((at.st_dev, at.st_ino))
            total += at.st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                left.append(Path(entry.path))
    return total


def files(root: Path, without: tuple[Path, ...] = ()) -> set[str]:
    """All files and folders of `root` by the names they have in it, but for those in `without`."""
    found: set[str] = set()
    left = [root]
    while left:
        for entry in os.scandir(left.pop()):
            if Path(entry.path) in without:
                continue
            found.add(entry.path.removeprefix(str(root)))
            if entry.is_dir(follow_symlinks=False):
                left.append(Path(entry.path))
    return found


def owned(root: Path) -> set[str]:
    """All names that packages in `root` have files and folders by."""
    found = set()
    for names in (root / "var/lib/dpkg/info").glob("*.list"):
        found |= {MERGED.sub(r"/usr/\1", line) for line in names.read_text().splitlines()}
    diversions = root / "var/lib/dpkg/diversions"
    if diversions.exists():
        found |= {MERGED.sub(r"/usr/\1", line) for line in diversions.read_text().splitlines()}
    return found


def strays(root: Path, before: set[str], without: tuple[Path, ...]) -> list[str]:
    """What came since `before` and no package owns, a folder with all below it as one line."""
    log = root / "var/log/dpkg.log"
    installed_at = log.stat().st_mtime if log.exists() else 0.0
    names = {
        name
        for name in files(root, without) - before - owned(root)
        if not _of_package(root, name, installed_at)
    }
    tops = {name for name in names if str(Path(name).parent) not in names}
    below = Counter(
        next(top for top in tops if name == top or name.startswith(f"{top}/")) for name in names
    )
    return [f"{top} ({below[top] - 1} below)" if below[top] > 1 else top for top in sorted(tops)]


def _of_package(root: Path, name: str, installed_at: float) -> bool:
    """Whether apt, Python or, before dpkg had `installed_at`, a script of a package wrote this."""
    if CACHES.match(name):
        return True
    changed = (root / name[1:]).lstat().st_ctime
    return bool(OF_PACKAGES.match(name)) and changed <= installed_at
