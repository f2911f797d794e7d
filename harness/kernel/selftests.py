# SPDX-License-Identifier: GPL-2.0-only
"""A collection of the kernel's own selftests, built for arm64 from the sources of a stored build.

They are static programs, made of a part of the commit's tree: commits that agree in that part
share them. A test that does not build is told, and the others run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import BuildError
from harness.base.files import full_disk_raises
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.base.process import run_logged
from harness.kernel.git import git
from harness.kernel.headers import unpack
from harness.kernel.make import failure
from harness.kernel.source import Tree
from harness.kernel.store import Build
from harness.kernel.toolchain import cross_prefix, environment, jobs, toolchain

# What the makefiles of selftests and of `make headers` read.
PATHS = ("Makefile", "Kbuild", "arch/arm64", "include", "scripts", "tools", "usr")
TESTS = "tools/testing/selftests"
WAIT_SECONDS = 1800.0  # for another process that builds the same collection
LIST = "tests.json"
NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Selftests:
    """The tests of a collection, in make's order.

    `programs` has the static program of each test that was built, `failed` the compiler's first
    error for each of the others.
    """

    programs: dict[str, Path]
    failed: dict[str, str]


def build_selftests(build: Build, collection: str) -> Selftests:
    """Return the selftests of `collection`, a folder of tools/testing/selftests, for `build`.

    Raise BuildError when there is no such collection, or its headers or its list cannot be made,
    and MachineError as Maker.make() does.
    """
    tree = Tree(cache_dir("sources") / build.inputs["tree"])
    commit = build.inputs["applied"]
    listing = git(tree.work, "ls-tree", commit, *PATHS)
    paths = [line.split("\t", 1)[1] for line in listing.splitlines()]
    tools = toolchain(llvm=False)
    parts = [listing, tools.identity, collection, Path(__file__).read_text(encoding="utf-8")]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
    done = cache_dir("selftests") / f"{collection}-{key}"
    if not done.is_dir():
        with (
            full_disk_raises(f"the cache {cache_dir()}"),
            locked(done.with_suffix(".lock"), f"selftests {collection}", Deadline(WAIT_SECONDS)),
        ):
            if not done.is_dir():
                _make(tree, commit, paths, collection, done)
    return _read(done)


def sources_of(build: Build) -> str:
    """Return what git says of the folder with all selftests of a build: another text for others."""
    tree = Tree(cache_dir("sources") / build.inputs["tree"])
    return git(tree.work, "ls-tree", build.inputs["applied"], "tools")


def _read(folder: Path) -> Selftests:
    told = json.loads((folder / LIST).read_text(encoding="utf-8"))
    return Selftests({name: folder / name for name in told["built"]}, told["failed"])


def _make(tree: Tree, commit: str, paths: Sequence[str], collection: str, done: Path) -> None:
    log = cache_dir("logs") / f"selftests-{done.name}.log"
    log.write_text("")
    with tempfile.TemporaryDirectory(dir=done.parent, prefix=".tmp-") as scratch:
        source, out, staged = (Path(scratch) / name for name in ("tree", "out", "made"))
        unpack(tree.work, commit, paths, source)
        tests = source / TESTS / collection
        if not (tests / "Makefile").is_file():
            raise BuildError(
                f"{commit[:12]} has no selftests {collection}: no {TESTS}/{collection}"
            )
        common = ["make", jobs(), "ARCH=arm64", f"CROSS_COMPILE={cross_prefix()}"]
        # Appended to by the makefile: on make's command line that would be lost.
        env = {**environment(), "LDFLAGS": "-static"}
        if run_logged([*common, "-C", str(source), "headers"], log, env, lambda _: None):
            raise _failure(f"headers for selftests {collection}", log, source)
        ours = ["-C", str(tests), f"OUTPUT={out}", f"COLLECTION={collection}"]
        ours += [f"KHDR_INCLUDES=-isystem {source}/usr/include"]
        out.mkdir()
        lines: list[str] = []
        if run_logged([*common, "-s", *ours, "emit_tests"], log, env, lines.append):
            raise _failure(f"the list of selftests {collection}", log, source)
        names = list(_names(lines, collection))
        said: list[str] = []
        run_logged([*common, "-k", *ours], log, env, said.append)
        made = {path.name: path for path in out.rglob("*") if os.access(path, os.X_OK)}
        staged.mkdir()
        built = [name for name in names if name in made and made[name].is_file()]
        for name in built:
            shutil.copyfile(made[name], staged / name)
            (staged / name).chmod(0o755)
        failed = {name: _error_of(name, said, source) for name in names if name not in built}
        document = json.dumps({"built": built, "failed": failed}, indent=1)
        (staged / LIST).write_text(document, encoding="utf-8")
        shutil.copyfile(log, staged / "build.log")
        staged.rename(done)


def _failure(name: str, log: Path, source: Path) -> Exception:
    with log.open(errors="replace") as output:
        return failure(name, output, (source,), log)


def _names(lines: Iterable[str], collection: str) -> Iterable[str]:
    """The tests that make lists, as `COLLECTION:NAME`, each once."""
    named = (line.strip().removeprefix(f"{collection}:") for line in lines if ":" in line)
    return dict.fromkeys(name for name in named if NAME.fullmatch(name))


def _error_of(name: str, said: Iterable[str], source: Path) -> str:
    """The first error of a test's source or program; of the collection where it has none."""
    errors = [line for line in said if re.search(r"error:|undefined reference|\*\*\* ", line)]
    own = [line for line in errors if re.search(rf"\b{re.escape(name)}\b", line)]
    first = next(iter(own or errors), "make does not say why")
    return first.replace(f"{source}/", "").strip()
