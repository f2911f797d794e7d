# SPDX-License-Identifier: GPL-2.0-only
"""From a kernel to the store and back, with the small kernel: real git, make and compiler."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import BuildError, MachineError, UsageError
from harness.base.paths import cache_dir
from harness.kernel import store
from harness.kernel.build import Build, build, build_modules, is_built
from harness.kernel.source import find, prepare, tree_of
from harness.kernel.spec import KernelSource, KernelSpec
from harness.kernel.toolchain import Toolchain

Git = Callable[..., str]
MakeSeries = Callable[[dict[str, str]], Path]


def quiet(_: str) -> None:
    """Nobody watches."""


def made(spec: KernelSpec) -> list[str]:
    """What make has compiled (and configured) in the tree of `spec`, in order, since last asked."""
    path = tree_of(spec.source).out(llvm=False) / "made"
    names = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return sorted(names)


def with_series(spec: KernelSpec, *folders: Path) -> KernelSpec:
    return spec.model_copy(update={"series": tuple(map(str, folders))})


def test_a_build_is_made_once_and_then_found(spec: KernelSpec) -> None:
    assert not is_built(spec)
    first = build(spec, progress=quiet)
    assert made(spec) == ["allnoconfig", "core.c", "kvm.c"]
    assert is_built(spec)
    assert first.image.read_bytes().startswith(b"\x7fELF")
    assert first.config.read_text() == "CONFIG_KEPT=y\n"
    assert "CC      core.c" in first.log.read_text()
    record = first.record
    assert (record.name, record.version, record.cached) == ("small", "6.1.0", False)
    assert record.source == f"{spec.source.tree}@HEAD"
    assert set(first.seconds) == {"series", "config", "make", "headers"}
    again = build(spec.model_copy(update={"name": "other"}), progress=quiet)
    assert made(spec) == []
    assert again.folder == first.folder
    assert again.record == record.model_copy(update={"name": "other", "cached": True})


def test_a_patch_costs_the_objects_it_touches_and_going_back_gives_the_same_image(
    spec: KernelSpec, tree: Path, make_series: MakeSeries
) -> None:
    plain = build(spec, progress=quiet)
    made(spec)
    text = (tree / "kvm.c").read_text().replace("return 0", "return 1")
    patched = build(with_series(spec, make_series({"kvm.c": text})), progress=quiet)
    assert made(spec) == ["kvm.c"]
    assert patched.record.image_hash != plain.record.image_hash
    assert patched.record.commit == plain.record.commit
    assert len(patched.record.series_hash) == 64
    (plain.folder / "build.json").unlink()
    assert not is_built(spec)
    again = build(spec, progress=quiet)
    assert made(spec) == ["kvm.c"]
    assert again.record.image_hash == plain.record.image_hash


def test_options_in_every_object_have_objects_of_their_own(
    spec: KernelSpec, make_series: MakeSeries
) -> None:
    """Back from a kernel with KASAN only what a patch touches is compiled."""
    build(spec, progress=quiet)
    made(spec)
    plain = Path(spec.fragments[0]).read_text()
    Path(spec.fragments[0]).write_text(f"{plain}CONFIG_KASAN=y\n")
    with_kasan = build(spec, progress=quiet)
    assert made(spec) == []
    out = tree_of(spec.source).out(llvm=False, config=with_kasan.inputs["config"])
    assert out.name == "out-gcc-kasan" and (out / "made").read_text()
    Path(spec.fragments[0]).write_text(plain)
    build(with_series(spec, make_series({"kvm.c": "int a;\n"})), progress=quiet)
    assert made(spec) == ["kvm.c"]


def test_the_image_does_not_depend_on_where_the_cache_is(
    spec: KernelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = build(spec, progress=quiet)
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "another"))
    there = build(spec, progress=quiet)
    assert there.folder != here.folder
    assert there.record == here.record


def test_all_that_shapes_a_build_is_in_its_key(
    spec: KernelSpec, tree: Path, git: Git, make_series: MakeSeries
) -> None:
    tools = Toolchain(llvm=False, identity="gcc 12")

    def key(spec: KernelSpec, tools: Toolchain = tools) -> str:
        return store.key_of(store.inputs(spec, prepare(spec.source, quiet), tools))

    keys = {key(spec)}
    assert key(spec.model_copy(update={"name": "x", "description": "y"})) in keys
    Path(spec.fragments[0]).write_text("# a comment\nCONFIG_KEPT=y\nCONFIG_NEW=y # since 6.2\n")
    assert key(spec) in keys
    series = make_series({"kvm.c": "int a;\n"})
    keys.add(key(with_series(spec, series)))
    keys.add(key(with_series(spec, series, make_series({"kvm.c": "int b;\n"}))))
    keys.add(key(spec, Toolchain(llvm=False, identity="gcc 13")))
    keys.add(key(spec.model_copy(update={"llvm": True})))
    keys.add(key(spec.model_copy(update={"fragments": ("base",)})))
    Path(spec.fragments[0]).write_text("CONFIG_KEPT=y\nCONFIG_MORE=y\n")
    keys.add(key(spec))
    git(tree, "commit", "-q", "--allow-empty", "-m", "next")
    keys.add(key(spec))
    assert len(keys) == 8


def test_the_users_tree_is_read_only_to_us(
    spec: KernelSpec, tree: Path, git: Git, make_series: MakeSeries
) -> None:
    series = make_series({"kvm.c": "int a;\n"})
    (tree / "core.c").write_text("int edited;\n")
    (tree / "untracked").touch()

    def state() -> list[object]:
        # Git renews the time of an object it would have written; no content changes by that.
        files = sorted(path for path in tree.rglob("*") if path.is_file())
        times = [path.stat().st_mtime_ns for path in files if "objects" not in path.parts]
        return [times, *((path, path.read_bytes()) for path in files)]

    before = state()
    told: list[str] = []
    build(with_series(spec, series), progress=told.append)
    assert state() == before
    assert any("uncommitted changes" in line for line in told)
    told.clear()
    build(with_series(spec, series), progress=told.append)
    assert any("uncommitted changes" in line for line in told), "a hit must warn as well"
    build(
        spec.model_copy(update={"source": KernelSource(tree=str(tree), ref="main")}), progress=quiet
    )
    assert state() == before


def test_a_worktree_of_the_user_and_a_ref_are_fine(
    spec: KernelSpec, tree: Path, git: Git, tmp_path: Path
) -> None:
    git(tree, "branch", "topic")
    git(tree, "worktree", "add", "-q", str(tmp_path / "wt"), "topic")
    source = KernelSource(tree=str(tmp_path / "wt"), ref="topic")
    done = build(spec.model_copy(update={"source": source}), progress=quiet)
    assert done.record.commit == git(tree, "rev-parse", "topic").strip()


def test_what_git_and_the_user_configure_changes_nothing(
    spec: KernelSpec, make_series: MakeSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As within `git bisect run` or a hook, for a user who signs and converts line ends."""
    wanted = with_series(spec, make_series({"kvm.c": "int a;\n"}))
    plain = build(wanted, progress=quiet)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text(
        "[commit]\ngpgSign = true\n[gpg]\nprogram = false\n[core]\nautocrlf = true\n"
        "[user]\nname = Somebody\nemail = s@localhost\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Somebody")
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "another"))
    again = build(wanted, progress=quiet)
    assert again.record == plain.record
    assert again.inputs["applied"] == plain.inputs["applied"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (KernelSource(tree="{tree}", ref="nope"), "no branch, tag or commit nope"),
        (KernelSource(tree="{tree}", ref="--help"), "no branch, tag or commit --help"),
        (KernelSource(tree="{tmp}"), "not a git tree"),
        (KernelSource(tree="{tmp}/other"), "not a Linux kernel"),
    ],
)
def test_a_tree_that_is_no_kernel_is_refused(
    source: KernelSource, says: str, spec: KernelSpec, tree: Path, tmp_path: Path, git: Git
) -> None:
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "-q")
    git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "empty")
    place = source.tree.format(tree=tree, tmp=tmp_path)
    with pytest.raises(UsageError) as error:
        build(
            spec.model_copy(update={"source": KernelSource(tree=place, ref=source.ref)}),
            progress=quiet,
        )
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_compile_error_names_file_and_line_and_the_next_build_goes_on(
    spec: KernelSpec, make_series: MakeSeries
) -> None:
    broken = with_series(spec, make_series({"kvm.c": "int kvm;\nint f(void) { return x; }\n"}))
    with pytest.raises(BuildError, match=r"small: kvm\.c:2:22: error: 'x' undeclared") as error:
        build(broken, progress=quiet)
    assert error.value.log
    assert "undeclared" in error.value.log.read_text()
    assert not is_built(broken)
    made(spec)
    build(spec, progress=quiet)
    assert made(spec) == ["kvm.c"]


def test_a_lost_option_is_an_error_with_its_unmet_dependency(spec: KernelSpec) -> None:
    fragment = Path(spec.fragments[0])
    fragment.write_text("CONFIG_KEPT=y\nCONFIG_LOST=y\n")
    for _ in range(2):  # nothing of the first failure may make the second run believe it is fine
        with pytest.raises(BuildError) as error:
            build(spec, progress=quiet)
        assert f"CONFIG_LOST=y (fragment {fragment}, line 2) did not survive" in str(error.value)
        assert "depends on MISSING (n)" in str(error.value)


def test_a_cache_that_make_cannot_handle_is_refused(
    spec: KernelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "a b"))
    with pytest.raises(UsageError, match="S2EVAL_CACHE"):
        build(spec, progress=quiet)


def test_a_full_disk_is_told_as_such(spec: KernelSpec, tree: Path, make_series: MakeSeries) -> None:
    text = (tree / "Makefile").read_text().replace("@cp $(O)/vmlinux $@", "@cp Makefile /dev/full")
    with pytest.raises(MachineError, match="no space left"):
        build(with_series(spec, make_series({"Makefile": text})), progress=quiet)


def test_a_patch_that_does_not_apply_builds_nothing(
    spec: KernelSpec, tree: Path, git: Git, make_series: MakeSeries
) -> None:
    series = make_series({"kvm.c": "int a;\n"})
    (tree / "kvm.c").write_text("int b;\n")
    git(tree, "commit", "-qam", "different")
    with pytest.raises(UsageError, match=r"0001-kvm-change\.patch does not apply"):
        build(with_series(spec, series), progress=quiet)
    assert made(spec) == []


def test_an_interrupted_build_is_gone_on_with(
    spec: KernelSpec, tree: Path, git: Git, cache: Path
) -> None:
    def interrupt(line: str) -> None:
        if "make, " in line and "kvm.c" in line:
            raise KeyboardInterrupt

    text = (tree / "Makefile").read_text()
    # One at a time, so that core.c is done when the interrupt comes.
    (tree / "Makefile").write_text(text + "$(O)/kvm.o: $(O)/core.o\n")
    (tree / "slow").write_text("0.3\n")
    git(tree, "commit", "-qam", "slow")
    with pytest.raises(KeyboardInterrupt):
        build(spec, progress=interrupt)
    assert "core.c" in made(spec)
    build(spec, progress=quiet)
    assert made(spec) == ["kvm.c"]
    assert not list((cache / "builds").glob(".*"))


def test_a_folder_without_record_is_no_build(spec: KernelSpec) -> None:
    base = prepare(spec.source, quiet)
    key = store.key_of(store.inputs(spec, base, Toolchain(llvm=False, identity="x")))
    cache_dir("builds", key)
    assert store.find(key, "x") is None


BUILD = """\
import sys
from harness.kernel.build import build
from harness.kernel.spec import KernelSpec
record = build(KernelSpec.model_validate_json(sys.argv[1]), progress=lambda _: None).record
print(record.image_hash, record.cached)
"""


def test_two_runs_at_once_build_it_once(spec: KernelSpec, tree: Path, git: Git) -> None:
    (tree / "slow").write_text("0.3\n")
    git(tree, "commit", "-qam", "slow")
    command = [sys.executable, "-c", BUILD, spec.model_dump_json()]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate()[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert made(spec) == ["allnoconfig", "core.c", "kvm.c"]
    assert sorted(cached for _, cached in said) == ["False", "True"]
    assert len({image_hash for image_hash, _ in said}) == 1


def test_two_worktrees_of_one_commit_at_once_build_it_once(
    spec: KernelSpec, tree: Path, git: Git, tmp_path: Path
) -> None:
    """Each has a tree of its own in the cache, but they share the store's folder and the log."""
    (tree / "slow").write_text("0.3\n")
    git(tree, "commit", "-qam", "slow")
    runs = []
    for name in ("one", "two"):
        git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / name))
        mine = spec.model_copy(update={"source": KernelSource(tree=str(tmp_path / name))})
        command = [sys.executable, "-c", BUILD, mine.model_dump_json()]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    answers = [run.communicate()[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(cached for _, cached in answers) == ["False", "True"]
    assert len({image_hash for image_hash, _ in answers}) == 1
    builds = [path.name for path in cache_dir("builds").iterdir()]
    assert len(builds) == 1 and not builds[0].startswith(".")
    assert list(cache_dir("logs").iterdir()) == []


def module(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Kbuild").write_text("obj-m := probe.o\n")
    (folder / "probe.c").write_text(
        '#include "common.h"\nint probe = ATTRIBUTE;\nconst char *f = __FILE__;\n'
    )
    return folder


def test_modules_fit_their_build_wherever_the_worktree_is(
    spec: KernelSpec, tree: Path, tmp_path: Path, make_series: MakeSeries
) -> None:
    plain = build(spec, progress=quiet)
    edits = {"include/common.h": "#define ATTRIBUTE 2\n"}
    patched = build(with_series(spec, make_series(edits)), progress=quiet)
    probe = module(tmp_path / "probe")
    before = sorted(probe.iterdir())
    first = build_modules(plain, probe)
    other = build_modules(patched, probe)
    assert (first / "probe.ko").read_bytes() != (other / "probe.ko").read_bytes()
    assert str(tmp_path).encode() not in (first / "probe.ko").read_bytes()
    assert build_modules(plain, probe) == first
    assert sorted(probe.iterdir()) == before
    (probe / "probe.c").write_text("int probe = 3;\n")
    assert build_modules(plain, probe) != first


def test_a_patch_that_changes_nothing_for_modules_takes_the_bases(
    spec: KernelSpec, tmp_path: Path, make_series: MakeSeries
) -> None:
    plain = build(spec, progress=quiet)
    series = make_series({"kvm.c": "int kvm(void)\n{\n\treturn 1;\n}\n"})
    patched = build(with_series(spec, series), progress=quiet)
    probe = module(tmp_path / "probe")
    assert patched.record.image_hash != plain.record.image_hash
    assert build_modules(plain, probe) == build_modules(patched, probe)


def test_what_is_not_a_source_does_not_count(spec: KernelSpec, tmp_path: Path) -> None:
    done = build(spec, progress=quiet)
    probe = module(tmp_path / "probe")
    first = build_modules(done, probe)
    for name in ("probe.o", "probe.mod.c", ".probe.ko.cmd", "Module.symvers"):
        (probe / name).touch()
    assert build_modules(done, probe) == first


def test_a_module_that_does_not_build(spec: KernelSpec, tmp_path: Path) -> None:
    done: Build = build(spec, progress=quiet)
    probe = module(tmp_path / "probe")
    (probe / "probe.c").write_text("int probe = x;\n")
    with pytest.raises(BuildError, match=r"probe for small: probe\.c:1:13: error: 'x'"):
        build_modules(done, probe)
    (probe / "Kbuild").unlink()
    with pytest.raises(BuildError, match="no Kbuild"):
        build_modules(done, probe)


def test_finding_a_local_tree_copies_nothing(spec: KernelSpec, cache: Path) -> None:
    assert find(spec.source)
    assert not list(cache.rglob("*.json"))
    assert not (tree_of(spec.source).work).exists()
