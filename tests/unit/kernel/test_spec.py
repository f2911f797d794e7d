# SPDX-License-Identifier: GPL-2.0-only
"""Names of kernels: what a user may write and what is wrong about the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.base.paths import FRAGMENTS, KERNELS
from harness.kernel.series import readable
from harness.kernel.spec import find_fragment, find_series, list_series, load, resolve


def test_the_projects_kernels_are_there_with_their_fragments() -> None:
    kernels = {name: load(path) for name, path in KERNELS.files().items()}
    assert {"debian-6.1", "debian-6.12", "debian-7.2", "tree"} <= set(kernels)
    for name, spec in kernels.items():
        assert spec.name == name
        assert all(find_fragment(one).is_file() for one in spec.fragments)


def test_a_series_is_added_to_the_name() -> None:
    spec = resolve("debian-6.1+stage2-normal-nc")
    assert spec.name == "debian-6.1+stage2-normal-nc"
    assert spec.source.package == "linux-source-6.1"
    assert spec.series == ("stage2-normal-nc",)


def test_llvm_in_a_name_is_the_compiler_not_a_series() -> None:
    spec = resolve("debian-6.1+stage2-normal-nc+llvm")
    assert (spec.llvm, spec.series) == (True, ("stage2-normal-nc",))
    assert spec.name.endswith("+llvm") and not resolve("debian-6.1").llvm


def test_fragments_in_a_name_are_added_to_those_of_the_kernel(tmp_path: Path) -> None:
    mine = tmp_path / "mine.config"
    mine.write_text("CONFIG_KUNIT=y\n")
    spec = resolve(f"debian-6.1+debug+stage2-normal-nc+config={mine}+llvm")
    assert spec.fragments == (*resolve("debian-6.1").fragments, "debug", str(mine))
    assert (spec.series, spec.llvm) == (("stage2-normal-nc",), True)


def test_a_word_that_is_a_series_and_a_fragment_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    series = tmp_path / "kernels/patches/debug"
    series.mkdir(parents=True)
    (series / "1.patch").write_text("--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+x\n")
    with pytest.raises(UsageError, match=r"\+debug is both .*/debug.config and .*/patches/debug:"):
        resolve("debian-6.1+debug")
    assert resolve("debian-6.1+./kernels/patches/debug").series
    assert (
        resolve(f"debian-6.1+config={FRAGMENTS.find('debug')}")
        .fragments[-1]
        .endswith("debug.config")
    )


def test_every_series_of_the_project_can_be_named() -> None:
    assert list_series()
    for name in list_series():
        assert resolve(f"debian-6.1+{name}").series == (name,)


def test_series_may_be_files_and_repeat(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text("--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+x\n")
    spec = resolve(f"debian-6.1+stage2-normal-nc+{tmp_path}/a.patch")
    assert spec.series == ("stage2-normal-nc", f"{tmp_path}/a.patch")
    assert readable(spec) == spec
    (tmp_path / "a.patch").write_text("words\n")
    with pytest.raises(UsageError, match=r"a.patch: no patch in it"):
        readable(spec)


@pytest.mark.parametrize(
    ("text", "path", "ref", "series"),
    [
        ("tree:linux", "linux", "HEAD", ()),
        ("tree:linux@v6.1", "linux", "v6.1", ()),
        ("tree:linux+x@v6.1+stage2-normal-nc", "linux+x", "v6.1", ("stage2-normal-nc",)),
        ("tree:linux+x", "linux+x", "HEAD", ()),
        ("tree:at@home", "at@home", "HEAD", ()),
        ("tree:at@home@main", "at@home", "main", ()),
    ],
)
def test_local_trees(
    text: str,
    path: str,
    ref: str,
    series: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("linux", "linux+x", "at@home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    spec = resolve(text)
    assert (spec.source.tree, spec.source.ref) == (str(tmp_path / path), ref)
    assert spec.series == series


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("debian-6.2", "did you mean 'debian-6.1"),
        ("debain-7.2", "did you mean 'debian-7.2'"),
        ("debian-6.1+stage2-normal", "did you mean 'stage2-normal-nc'"),
        ("debian-6.1+debg", "unknown series or fragment 'debg': did you mean 'debug'"),
        ("debian-6.1+config=./none.config", "unknown config fragment './none.config'"),
        ("debian-6.1+./none.patch", "none.patch: no such file"),
        ("tree", "tree:PATH"),
        ("tree:", "not a folder"),
        ("tree:/nowhere", "/nowhere is not a folder"),
        ("none.toml", "none.toml: no such file"),
    ],
)
def test_a_bad_name_says_what_was_meant(name: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(name)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[source]\npackge = "x"\n', "did you mean 'package'"),
        ('[source]\npackage = "x"\n', "suites"),
        ('[source]\npackage = "x"\nsuites = ["a"]\ntree = "y"\n', "either package"),
        ("[source]\n", "either package"),
        ('llvm = "maybe"\n[source]\ntree = "y"\n', "llvm"),
        ("x = \n", "my.toml"),
    ],
)
def test_a_bad_kernel_file_names_file_and_key(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        load(path)
    assert says in str(error.value)
    assert "my.toml" in str(error.value)
    assert os.linesep not in str(error.value)


def test_a_kernel_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'fragments = ["base"]\nllvm = true\n[source]\ntree = "{tmp_path}"\n')
    spec = resolve(str(path))
    assert spec.llvm
    assert spec.fragments == ("base",)
    assert spec.source.tree == str(tmp_path)


def test_names_of_ones_own_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = '[source]\npackage = "linux-source-6.1"\nsuites = ["bookworm"]\n'
    texts = {
        "kernels/mine.toml": 'fragments = ["base", "mine"]\nseries = ["fix"]\n' + source,
        "kernels/fragments/mine.config": "CONFIG_A=y\n",
        "kernels/patches/fix/0001.patch": "",
        "kernels/patches/stage2-normal-nc/0001.patch": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    theirs = find_series("stage2-normal-nc")
    monkeypatch.chdir(tmp_path)
    spec = resolve("mine+stage2-vma-flag")
    assert (spec.fragments, spec.series) == (("base", "mine"), ("fix", "stage2-vma-flag"))
    assert find_fragment("mine") == tmp_path / "kernels/fragments/mine.config"
    assert find_fragment("base") == theirs.parents[1] / "fragments/base.config"
    assert find_series("stage2-normal-nc") == tmp_path / "kernels/patches/stage2-normal-nc"
    assert resolve("debian-6.1").source.package == "linux-source-6.1"
