# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel is: a source, a patch series (maybe empty) and config fragments.

Names a user may give:

    debian-6.1                            a file kernels/NAME.toml
    debian-6.1+stage2-normal-nc           with a series of kernels/patches/, repeatable
    debian-6.1+./fix.patch                with a patch, a mailbox or a folder, as `s2eval patch` has
                                          it (docs/patch.md)
    tree:~/linux                          a local git tree at HEAD
    tree:~/linux@v6.12+stage2-normal-nc   at a branch, tag or commit
    debian-6.1+llvm                       built with clang and lld (LLVM=1)
    debian-6.1+debug                      with a fragment of kernels/fragments/, repeatable
    debian-6.1+config=./my.config         with a fragment of one's own
    debian-6.1+host=grace                 for a machine, from its own configuration, which `s2eval
                                          host config` has written
    ./my-kernel.toml                      a kernel file that is not in kernels/
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.base.errors import UsageError
from harness.base.paths import FRAGMENTS, KERNELS, SERIES, cache_dir, file_and_mail, host_config
from harness.base.toml import parse, read_toml, unknown

# In a name, beside series and fragments: the compiler, a file of options, and a lab host.
LLVM, CONFIG, HOST = "llvm", "config=", "host="


class KernelSource(BaseModel):
    """Where the kernel comes from: a Debian source package or a git tree, never both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    package: str = ""  # e.g. linux-source-6.1; the newest version of all `suites` is taken
    suites: tuple[str, ...] = ()
    tree: str = ""  # path of a git tree; the kernel `tree` gets it from the command line
    ref: str = "HEAD"

    @model_validator(mode="after")
    def _one_of_two(self) -> KernelSource:
        if bool(self.package) == ("tree" in self.model_fields_set):
            raise ValueError("give either package and suites, or tree and ref")
        if self.package and not self.suites:
            raise ValueError("package needs suites, e.g. ['bookworm']")
        return self


class KernelSpec(BaseModel):
    """One kernel. `series` and `fragments` are names or paths, in the order they are applied.

    `machine` is the file of a machine's configuration that the kernel's starts from, "" for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    source: KernelSource
    series: tuple[str, ...] = ()
    fragments: tuple[str, ...] = Field(
        default=("base", "host-under-test", "shared-folder", "guest")
    )
    arch: Literal["arm64"] = "arm64"
    llvm: bool = False
    machine: str = ""


def list_series() -> dict[str, Path]:
    """Return the folder of each series below kernels/patches/, by name: `NAME` or `SET/NAME`."""
    found: dict[str, Path] = {}
    for folder in SERIES.folders():
        for path in folder.rglob("*.patch"):
            found.setdefault(str(path.parent.relative_to(folder)), path.parent)
    return dict(sorted(found.items()))


def resolve(name: str) -> KernelSpec:
    """Return the kernel a user named; nothing is fetched or built.

    Raise UsageError for bad files, and for unknown names, with the nearest one.
    """
    base, more = _split(name)
    fragments = [one.removeprefix(CONFIG) for one in more if _is_fragment(one)]
    hosts = [one.removeprefix(HOST) for one in more if one.startswith(HOST)]
    if len(hosts) > 1:
        raise UsageError(f"{name}: a kernel is for one machine, +{HOST}{hosts[0]} or {hosts[1]}")
    others = (one for one in more if one != LLVM and not one.startswith(HOST))
    series = [one for one in others if not _is_fragment(one)]
    if base.startswith("tree:"):
        spec = _local_tree(base.removeprefix("tree:"))
    elif base.endswith(".toml"):
        spec = load(Path(base).expanduser())
    elif file := KERNELS.find(base):
        spec = load(file)
    else:
        raise unknown("kernel", base, [*KERNELS.files(), "tree:PATH"])
    if spec.source.tree == "" and not spec.source.package:
        raise UsageError(f"kernel {base} needs a git tree: {base}:PATH or {base}:PATH@REF")
    for one in spec.series:
        find_series(one)
    for one in series:
        find_series(one, FRAGMENTS.files())
    fragments = [*spec.fragments, *fragments]
    for one in fragments:
        find_fragment(one)
    update = {
        "name": name,
        "series": (*spec.series, *series),
        "fragments": tuple(fragments),
        "llvm": spec.llvm or LLVM in more,
        "machine": str(find_machine(hosts[0])) if hosts else spec.machine,
    }
    return spec.model_copy(update=update)


def _is_fragment(word: str) -> bool:
    """Whether a word of a kernel's name is a fragment. Raise UsageError for one that is both."""
    if word.startswith(CONFIG):
        return True
    fragment = None if "/" in word else FRAGMENTS.find(word)
    if fragment and (series := list_series().get(word)):
        raise UsageError(f"+{word} is both {fragment} and {series}: +{CONFIG}FILE, or +FOLDER")
    return fragment is not None


def load(path: Path) -> KernelSpec:
    """Return the kernel of a file, whose name it has. Raise UsageError that names file and key."""
    return parse(KernelSpec, path, {"name": path.stem, **read_toml(path)})


def find_series(series: str, fragments: Iterable[str] = ()) -> Path:
    """Return the folder or file of a series: a path, or a name in kernels/patches or the cache.

    The path of one mail of a mailbox ends in #N. Raise UsageError when there is none; `fragments`
    are names that could have been meant instead.
    """
    named = list_series()
    if series in named:
        return named[series]
    kept = cache_dir("series") / series
    if "/" not in series and kept.is_dir():  # put there by `s2eval patch`
        return kept
    found = file_and_mail(series)
    if found:
        path, number = found[0].resolve(), found[1]
        return path.with_name(f"{path.name}#{number}") if number else path
    if series.startswith((".", "/", "~")):
        raise UsageError(f"series {series}: no such file or folder")
    kind = "series or fragment" if fragments else "series"
    raise unknown(kind, series, [*named, *fragments])


def is_ready(series: Path) -> bool:
    """Return whether a series is a folder of kernels/patches or the cache, not a user's file."""
    folders = [*SERIES.folders(), cache_dir("series")]
    return series.is_dir() and any(series.is_relative_to(one.resolve()) for one in folders)


def find_fragment(fragment: str) -> Path:
    """Return the file of a fragment: a path, or a name in kernels/fragments.

    Raise UsageError when there is none.
    """
    if "/" not in fragment and (named := FRAGMENTS.find(fragment)):
        return named
    path = Path(fragment).expanduser()
    if path.is_file():
        return path.resolve()
    raise unknown("config fragment", fragment, FRAGMENTS.files())


def find_machine(host: str) -> Path:
    """Return the file of a lab host's configuration: a path, or the name of the host.

    Raise UsageError when there is none.
    """
    path = Path(host).expanduser() if "/" in host else host_config(host)
    if path.is_file():
        return path.resolve()
    way = f"s2eval host config {host}" if "/" not in host else "s2eval host config NAME"
    raise UsageError(f"+{HOST}{host}: no {path}: {way} writes it")


def _split(name: str) -> tuple[str, list[str]]:
    """Kernel and series. A tree's path may hold a `+` too: the longest path that exists wins."""
    parts = name.split("+")
    cuts = range(1, len(parts) + 1) if name.startswith("tree:") else ()
    places = {end: _tree_and_ref("+".join(parts[:end])[len("tree:") :])[0] for end in cuts}
    real = [end for end, path in places.items() if path.is_dir()]
    end = max(real, key=lambda end: len(str(places[end])), default=1)
    return "+".join(parts[:end]), parts[end:]


def _tree_and_ref(text: str) -> tuple[Path, str]:
    whole = Path(text).expanduser()
    if whole.is_dir() or "@" not in text:
        return whole, "HEAD"
    path, _, ref = text.rpartition("@")
    return Path(path).expanduser(), ref


def _local_tree(text: str) -> KernelSpec:
    path, ref = _tree_and_ref(text)
    if not text or not path.is_dir():
        raise UsageError(f"tree:{text}: {path if text else 'PATH'} is not a folder")
    if not ref:
        raise UsageError(f"tree:{text}: no ref after @")
    source = KernelSource(tree=str(path.resolve()), ref=ref)
    template = KERNELS.find("tree")
    if template is None:
        raise AssertionError("check_installation() has looked for the project's kernels")
    return load(template).model_copy(update={"source": source})
