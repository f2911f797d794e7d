# SPDX-License-Identifier: GPL-2.0-only
"""Debian's 6.1 for real: kconfig, compiler, reproducibility, modules.

The kernel comes from the cache when it was built before; otherwise it is built here. The tests
share one worktree, so what one of them rebuilds is objects, not a kernel.
"""

from __future__ import annotations

import difflib
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.base.errors import BuildError
from harness.base.paths import PROJECT
from harness.kernel import series, source
from harness.kernel.build import Build, _configure, build, build_modules, is_built
from harness.kernel.config.fragments import parse
from harness.kernel.git import git
from harness.kernel.make import Maker
from harness.kernel.spec import find_fragment, resolve
from harness.kernel.toolchain import environment, toolchain

PLAIN = "debian-6.1"
PATCHED = "debian-6.1+stage2-normal-nc"


@pytest.fixture(scope="module")
def plain() -> Build:
    return build(resolve(PLAIN), progress=print)


@pytest.fixture(scope="module")
def patched(plain: Build) -> Build:
    return build(resolve(PATCHED), progress=print)


@pytest.fixture
def base(plain: Build) -> Iterator[source.Base]:
    """The source, with the worktree at plain 6.1 for as long as the test runs."""
    found = source.find(resolve(PLAIN).source)
    assert found
    with found.tree.locked():
        series.apply(found, [])
        yield found


def test_the_build_is_an_arm64_linux_with_every_option_of_the_fragments(plain: Build) -> None:
    # Documentation/arm64/booting.rst: the magic number at byte 56 of the Image.
    assert plain.image.read_bytes()[56:60] == b"ARM\x64"
    assert plain.record.version.startswith("6.1.")
    assert plain.record.source.startswith("linux-source-6.1 6.1.")
    config = plain.config.read_text().splitlines()
    for name in resolve(PLAIN).fragments:
        for line in find_fragment(name).read_text().splitlines():
            option, _, mark = line.partition(" # since ")
            if option.startswith("CONFIG_") and not mark:
                assert option.partition(" # until ")[0] in config


def test_a_patch_changes_the_image_and_what_is_said_of_it(plain: Build, patched: Build) -> None:
    assert patched.record.image_hash != plain.record.image_hash
    assert patched.record.commit == plain.record.commit
    assert patched.record.config_hash == plain.record.config_hash
    assert patched.record.series_hash


def test_the_same_inputs_give_the_same_image_after_the_worktree_was_elsewhere(
    plain: Build, patched: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make the objects that matter stale and build the kernel again: bit for bit.

    One more line of configuration, which kconfig would decide alike, is what makes it another
    build: whoever wants the first one meanwhile still finds it.
    """
    monkeypatch.setenv("CCACHE_RECACHE", "1")  # an object from ccache would prove nothing
    fragment = tmp_path / "known.config"
    fragment.write_text("CONFIG_ARM64=y\n")
    spec = resolve(PLAIN)
    spec = spec.model_copy(update={"fragments": (*spec.fragments, str(fragment))})
    found = source.find(spec.source)
    assert found
    out = found.tree.out(llvm=False)
    with found.tree.locked():
        series.apply(found, series.patches(resolve(PATCHED).series))
    for folder in ("init", "arch/arm64/kvm/hyp", "drivers/vfio"):
        for made in (out / folder).rglob("*.o"):
            made.unlink()
    assert not is_built(spec)
    again = build(spec, progress=print)
    shutil.rmtree(again.folder)
    assert not again.record.cached
    mine = {"cached": False, "build_key": again.record.build_key}
    assert again.record == plain.record.model_copy(update=mine)


@pytest.mark.extended
def test_objects_do_not_depend_on_where_the_cache_is(base: source.Base, tmp_path: Path) -> None:
    """A second worktree and O= folder elsewhere: the same objects, __FILE__ and all."""
    parts = ["init/", "kernel/panic.o", "mm/page_alloc.o", "arch/arm64/kvm/mmu.o"]
    tools = toolchain(llvm=False)
    env = {**environment(), "CCACHE_DISABLE": "1"}
    work, out = tmp_path / "tree", tmp_path / "out"
    clone = ["git", "clone", "-q", "--shared", "--no-checkout", str(base.tree.work), str(work)]
    subprocess.run(clone, check=True)
    subprocess.run(["git", "-C", str(work), "checkout", "-q", base.commit], check=True)
    here = base.tree.out(llvm=False)
    out.mkdir()
    (out / ".config").write_bytes((here / ".config").read_bytes())
    for tree, folder in ((base.tree.work, here), (work, out)):
        command = tools.make(tree, folder, *parts)
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
    objects = [path.relative_to(out) for part in ("init", "kernel", "mm", "arch/arm64/kvm")
               for path in sorted((out / part).glob("*.o"))]  # fmt: skip
    assert len(objects) >= 8
    for path in objects:
        assert _sha256(out / path) == _sha256(here / path), path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("CONFIG_E1000E=y", "depends on ETHERNET (n) and NET_VENDOR_INTEL (n)"),
        ("CONFIG_VFIO_PLATFORM_AMDXGBE_RESET=y", "depends on VFIO_PLATFORM (n)"),
        ("CONFIG_NO_SUCH_OPTION=y", "this kernel has no such symbol"),
    ],
)
def test_an_option_that_kconfig_drops_is_an_error(line: str, reason: str, tmp_path: Path) -> None:
    fragment = tmp_path / "extra.config"
    fragment.write_text(f"# what this machine wants\n{line}\n")
    spec = resolve(PLAIN)
    wanted = spec.model_copy(update={"fragments": (*spec.fragments, str(fragment))})
    with pytest.raises(BuildError) as error:
        build(wanted, progress=print)
    assert f"{line} (fragment {fragment}, line 2) did not survive: {reason}" in str(error.value)


def configured(base: source.Base, folder: Path, *texts: str) -> dict[str, str]:
    """What kconfig makes of the project's fragments and these, in an O= folder of its own."""
    fragments = []
    for number, text in enumerate(texts):
        path = folder / f"{len(list(folder.glob('*.config')))}-{number}.config"
        path.write_text(text)
        fragments.append(str(path))
    spec = resolve(PLAIN)
    spec = spec.model_copy(update={"fragments": (*spec.fragments, *fragments)})
    out = folder / "out"
    out.mkdir(exist_ok=True)
    tools = toolchain(llvm=False)
    maker = Maker(PLAIN, base.tree.work, out, tools, folder / "build.log", print)
    return parse(_configure(spec, base, base.commit, maker))


def test_of_a_choice_the_last_line_is_what_kconfig_makes_of_it(
    base: source.Base, tmp_path: Path
) -> None:
    for line, rival in {
        "CONFIG_HZ_1000=y": "HZ_100",
        "CONFIG_PREEMPT=y": "PREEMPT_VOLUNTARY",
        "CONFIG_ARM64_64K_PAGES=y": "ARM64_4K_PAGES",
        "CONFIG_ARM64_16K_PAGES=y # larger": "ARM64_4K_PAGES",
    }.items():
        found = configured(base, tmp_path, f"{line}\n")
        assert found.get(line.removeprefix("CONFIG_").partition("=")[0]) == "y", line
        assert rival not in found
    back = configured(base, tmp_path, "CONFIG_HZ_1000=y\n", "CONFIG_HZ_100=y\n")
    assert back.get("HZ_100") == "y" and "HZ_1000" not in back


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("CONFIG_CFI_CLANG=y", r"needs \$\(cc-option,-fsanitize=kcfi\), which .*gcc.* lacks; .*c"),
        ("CONFIG_DEBUG_INFO_BTF=y", r"depends on DEBUG_INFO \(n\) and BPF_SYSCALL \(n\)"),
        ("CONFIG_LTO_CLANG_FULL=y", r"depends on HAS_LTO_CLANG \(n\), HAS_LTO_CLANG needs .*clang"),
        ("# CONFIG_NET is not set", r"it is y: CONFIG_\w+=y \(fragment .*, line \d+\) selects it|"
         r"depends on NET \(n\)"),
        ("CONFIG_NR_CPUS=99999", r"it is 4096: its range is 2 to 4096"),
        ("CONFIG_KVM=m", r"it is no module: it takes y or n"),
    ],
)  # fmt: skip
def test_the_reason_for_a_lost_option_of_the_real_kconfig(
    lines: str, said: str, base: source.Base, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match=said):
        configured(base, tmp_path, f"{lines}\n")


def test_a_compile_error_is_the_compilers_own(plain: Build, tmp_path: Path) -> None:
    name = "arch/arm64/kvm/hyp/pgtable.c"
    base = source.find(resolve(PLAIN).source)
    assert base
    text = git(base.tree.work, "show", f"{base.commit}:{name}").splitlines(keepends=True)
    broken = [*text[:20], "static int broken(void) { return nothing; }\n", *text[20:]]
    diff = "".join(difflib.unified_diff(text, broken, f"a/{name}", f"b/{name}"))
    header = "From 0 Mon Sep 17 00:00:00 2001\nFrom: D <d@localhost>\nSubject: [PATCH] x\n\n---\n"
    patch = tmp_path / "0001-broken.patch"
    patch.write_text(f"{header}\ndiff --git a/{name} b/{name}\n{diff}")
    with pytest.raises(BuildError, match=rf"{name}:21:\d+: error: .*nothing.* undeclared") as error:
        build(resolve(f"{PLAIN}+{patch}"), progress=print)
    assert error.value.log
    assert "In function" in error.value.log.read_text()


@pytest.mark.parametrize("suite", ["wcprobe", "provoke"])
def test_modules_fit_the_build_they_are_made_for(suite: str, plain: Build, patched: Build) -> None:
    for built in (plain, patched):
        module = build_modules(built, PROJECT / "guest-tests" / suite) / f"{suite}.ko"
        assert f"vermagic={built.record.version} SMP".encode() in module.read_bytes()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
