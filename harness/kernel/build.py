# SPDX-License-Identifier: GPL-2.0-only
"""From a kernel to a finished build: source, series, config, make, store.

spec = resolve("debian-6.1+stage2-normal-nc")
done = build(spec, progress=print)
done.image, done.record.version
modules = build_modules(done, Path("guest-tests/wcprobe"))
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from harness.base.errors import UsageError
from harness.base.files import full_disk_raises, write_atomic
from harness.base.paths import cache_dir
from harness.kernel import headers, series, source, store
from harness.kernel.config import fragments, machine
from harness.kernel.config.kconfig import KconfigFiles
from harness.kernel.git import git
from harness.kernel.make import Maker
from harness.kernel.modules import build_modules
from harness.kernel.source import Base, Progress
from harness.kernel.spec import KernelSpec, resolve
from harness.kernel.store import Build
from harness.kernel.toolchain import Toolchain, toolchain
from harness.results.records import KernelRecord

__all__ = ["Build", "applies", "build", "build_modules", "is_built", "resolve"]


def is_built(spec: KernelSpec) -> bool:
    """Return whether `build` would return at once. Nothing is fetched."""
    return _stored(spec, toolchain(llvm=spec.llvm)) is not None


def build(
    spec: KernelSpec,
    *,
    progress: Progress,
    update: bool = False,
    making: Callable[[], object] = lambda: None,
    given_up: Callable[[], bool] = lambda: False,
) -> Build:
    """Return the finished build of a kernel, from the store when it is there.

    `update` looks for a newer version of a Debian package first. `making` is called when the
    series is applied and make begins. Of two runs that want the same tree, or the same build
    from two trees, one waits, unless `given_up` says that nobody wants this build any more.

    Raise UsageError (ref, patch), BuildError (config, compiler), MachineError (no network, no
    space, a tool missing).
    """
    tools = toolchain(llvm=spec.llvm)
    if source.has_changes(spec.source):
        progress(f"{spec.source.tree} has uncommitted changes: not part of {spec.source.ref}")
    for note in series.notes(spec.series):
        progress(note)
    done = None if update else _stored(spec, tools)
    if done:
        return done
    tree = source.tree_of(spec.source)
    if set(str(tree.folder)) & set(" \t:"):
        raise UsageError(f"{tree.folder}: make cannot build there; set S2EVAL_CACHE to a path "
                         "without spaces and colons")  # fmt: skip
    with (
        full_disk_raises(f"the cache {cache_dir()}"),
        tree.locked(waiting=progress, given_up=given_up),
    ):
        base = source.prepare(spec.source, progress, update=update)
        values = store.inputs(spec, base, tools)
        key = store.key_of(values)
        # Another tree may have the same commit: two builds would share a log and a folder.
        with store.locked_key(key, spec.name, waiting=progress, given_up=given_up):
            return store.find(key, spec.name) or _build(spec, base, tools, values, progress, making)


def _stored(spec: KernelSpec, tools: Toolchain) -> Build | None:
    base = source.find(spec.source)
    if base is None:
        return None
    return store.find(store.key_of(store.inputs(spec, base, tools)), spec.name)


def applies(spec: KernelSpec, *, progress: Progress) -> None:
    """Raise UsageError when the series of a kernel does not apply. Nothing is built."""
    tree = source.tree_of(spec.source)
    with full_disk_raises(f"the cache {cache_dir()}"), tree.locked(waiting=progress):
        base = source.prepare(spec.source, progress)
        series.commit_of(base, series.patches(spec.series), nullcontext)


def _build(
    spec: KernelSpec,
    base: Base,
    tools: Toolchain,
    values: dict[str, Any],
    progress: Progress,
    making: Callable[[], object],
) -> Build:
    """Build `spec` and put it into the store. The locks of the tree and of the key are held."""
    key = store.key_of(values)
    out = base.tree.out_of(values)
    out.mkdir(exist_ok=True)
    log = cache_dir("logs") / f"build-{key}.log"
    log.write_text("")
    phases = _Phases()
    with phases("series"):
        progress(f"{spec.name}: apply {len(spec.series)} series")
        commit = series.apply(base, series.patches(spec.series))
    maker = Maker(spec.name, base.tree.work, out, tools, log, progress)
    with phases("config"):
        resolved = _configure(spec, base, commit, maker)
    making()
    with phases("make"):
        maker.make("Image", "modules")
    with phases("headers"):
        headers.tree(base.tree, commit)
    record = KernelRecord(
        name=spec.name,
        source=base.describe,
        version=(out / "include/config/kernel.release").read_text().strip(),
        commit=base.commit,
        series=list(spec.series),
        series_hash=values["series"],
        config_hash=hashlib.sha256(resolved.encode()).hexdigest(),
        compiler=tools.identity,
        image_hash=_sha256(out / "arch/arm64/boot/Image"),
        build_key=key,
    )
    source_of = {"tree": base.tree.folder.name, "applied": commit}
    return store.put(key, out, log, record, {**values, **source_of}, phases.seconds)


def _configure(spec: KernelSpec, base: Base, commit: str, maker: Maker) -> str:
    """Leave the resolved configuration in the O= folder; returns it.

    What kconfig makes of the fragments depends on the Kconfig files, the scripts they call and
    the compiler: with the same ones, kconfig is not run again.
    """
    options = fragments.read(spec.fragments, base.version)
    rules = [
        line
        for line in git(base.tree.work, "ls-tree", "-r", commit).splitlines()
        if "Kconfig" in line or "\tscripts/" in line or line.endswith("\tMakefile")
    ]
    own = machine.read(Path(spec.machine)) if spec.machine else None
    parts = [*map(str, options.values()), maker.tools.identity, *rules]
    parts += [own.digest] if own else []
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
    kept = base.tree.folder / "configs" / digest
    target = maker.out / ".config"
    if kept.exists():
        text = kept.read_text()
        # An untouched .config keeps its time: make has nothing to compare.
        if not target.exists() or target.read_text() != text:
            target.write_text(text)
        return text
    files = KconfigFiles(base.tree.work)
    options = fragments.settled(options, files)
    if own:
        lost = machine.configure(own, options, maker)
        if lost:
            maker.progress(f"{spec.name}: {len(lost)} options of the machine's are not in this "
                           f"kernel: {' '.join(lost)}")  # fmt: skip
    else:
        wanted = maker.out / "fragments.config"
        wanted.write_text("".join(f"{option}\n" for option in options.values()))
        maker.make(f"KCONFIG_ALLCONFIG={wanted}", "allnoconfig")
    text = target.read_text()
    fragments.check(options, fragments.parse(text), files, spec.name)
    kept.parent.mkdir(exist_ok=True)
    write_atomic(kept, text)
    return text


class _Phases:
    """What each phase took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 3)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
