# SPDX-License-Identifier: GPL-2.0-only
"""A dry run: the trees that git would make, and no compiler, worktree or lock."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import cli
from harness.evaluate.engine import timings
from harness.evaluate.engine.timings import Took
from harness.evaluate.patch.dry_run import StoredBuilds
from harness.evaluate.patch.request import Options, job_of
from harness.kernel import source
from harness.kernel.build import build
from harness.kernel.spec import KernelSource

Git = Callable[..., str]


@pytest.fixture
def topic(tree: Path, git: Git) -> Path:
    """A tree with a branch of three commits."""
    git(tree, "checkout", "-q", "-b", "topic")
    for number in range(3):
        (tree / "kvm.c").write_text(f"int kvm_{number};\n")
        git(tree, "commit", "-qam", f"kvm: Number {number}")
    git(tree, "checkout", "-q", "main")
    return tree


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with git and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(folder))


def dry(*words: str) -> Result:
    return CliRunner().invoke(cli, ["patch", "--dry-run", *words])


def told(*words: str) -> dict[str, Any]:
    done = dry("--json", *words)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def trees(tree: Path, git: Git, span: str) -> list[str]:
    return git(tree, "log", "--reverse", "--format=%T", span).split()


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("form", ["range", "mailbox"])
def test_trees_in_order_without_a_compiler(
    form: str, topic: Path, git: Git, tmp_path: Path
) -> None:
    given = "main..topic"
    if form == "mailbox":
        given = str(tmp_path / "topic.mbox")
        Path(given).write_text(git(topic, "format-patch", "--stdout", "main..topic"))
    found = told(given, "--tree", str(topic), "-m", "flat-tcg")
    assert found["series"]["subjects"] == [f"kvm: Number {number}" for number in range(3)]
    assert found["series"]["trees"] == trees(topic, git, "main..topic")
    assert found["series"]["base_commit"] == git(topic, "rev-parse", "main").strip()
    assert len(list(Path(found["series"]["folder"]).glob("*.patch"))) == 3
    assert [(c["machine"], c["suite"], c["stored"], c["seconds"]) for c in found["cells"]] == [
        ("flat-tcg", "wcprobe", None, None), ("flat-tcg", "wcprobe", None, None),
    ]  # fmt: skip
    assert [kernel["stored"] for kernel in found["kernels"]] == [None, None]
    # Nothing was checked out.
    work = source.tree_of(KernelSource(tree=str(topic))).work
    assert [path.name for path in work.iterdir()] == [".git"]


def test_each_kernel_what_is_in_the_store_and_what_it_took(
    topic: Path, git: Git, tmp_path: Path
) -> None:
    fragment = tmp_path / "kept.config"
    fragment.write_text("CONFIG_KEPT=y\n")
    words = ("main..topic", "--tree", str(topic), "-m", "flat-tcg", "--each", "--repeat", "3")
    first = told(*words)
    assert [kernel["stored"] for kernel in first["kernels"]] == [False] * 4
    assert [k["tree"] for k in first["kernels"]] == trees(topic, git, "topic")
    assert first["boots"] == 12
    timings.file().write_text(json.dumps({first["cells"][1]["name"]: vars(Took(4.5, 1.0, 1.0))}))
    again = told(*words)
    assert [(c["seconds"], c["exact"]) for c in again["cells"]] == [
        (4.5, False), (4.5, True), (4.5, False), (4.5, False),
    ]  # fmt: skip
    said = dry(*words).stdout
    assert "4 cells, 12 boots, 4 builds, about 54 s of boots: it applies, nothing was" in said
    assert "4.5 s (with other kernels)" in said and f"tree {trees(topic, git, 'topic')[1]}" in said


def test_a_kernel_that_was_built_is_known(topic: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.config").write_text("CONFIG_KEPT=y\n")
    job = job_of("main..topic", Options(tree=str(topic), machines=("flat-tcg",)), each=False)
    (kernel,) = job.steps[1].kernels
    kept = kernel.model_copy(update={"fragments": (str(tmp_path / "kept.config"),)})
    build(kept, progress=print)
    base = source.at_hand(kept.source, print)
    stored = StoredBuilds(base)
    assert (stored(kept), stored(job.steps[0].kernel)) == (True, False)


def test_a_lock_that_another_run_holds_is_not_waited_for(topic: Path) -> None:
    words = ("main..topic", "--tree", str(topic), "-m", "flat-tcg")
    told(*words)
    with source.tree_of(KernelSource(tree=str(topic))).locked():
        assert told(*words)["boots"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope..topic",), "no branch, tag or commit nope"),
        ((), "nothing to look at: name a series"),
        (("main..topic", "--markdown"), "--dry-run goes with neither --resume nor --markdown"),
        (("main..topic", "--resume"), "--dry-run goes with neither"),
        (("main..topic", "-m", "nope"), "unknown machine 'nope'"),
        (("main..topic", "--base", "other"), "conflict in kvm.c"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: tuple[str, ...], said: str, topic: Path, git: Git
) -> None:
    git(topic, "checkout", "-q", "-b", "other")
    (topic / "kvm.c").write_text("int other;\n")
    git(topic, "commit", "-qam", "other")
    done = dry(*words, "--tree", str(topic))
    assert done.exit_code == 2
    assert said in done.output and len(done.output.strip().splitlines()) == 1
