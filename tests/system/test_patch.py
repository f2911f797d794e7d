# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval patch` and `compare`: real series, real builds, real guests. The base is debian-6.1."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.base.paths import PROJECT
from harness.kernel import source
from harness.kernel.git import git
from harness.kernel.spec import resolve
from tests.system.commands import KERNEL, S2Eval

NC = PROJECT / "kernels/patches/stage2-normal-nc"
MMU = "arch/arm64/kvm/mmu.c"
PGTABLE = "arch/arm64/kvm/hyp/pgtable.c"
HEAD = """\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: D <d@localhost>
Date: Thu, 1 Jan 1970 00:00:00 +0000
Subject: [PATCH{number}] KVM: arm64: {subject}

Why.

Signed-off-by: D <d@localhost>
---
{diff}"""


@pytest.fixture(scope="module")
def tree() -> Path:
    """The worktree of debian-6.1 in the cache; what is looked at is its commit, not its files."""
    found = source.find(resolve(KERNEL).source)
    assert found
    return found.tree.work


def edit(tree: Path, folder: Path, subject: str, *changes: tuple[str, str, str], number: str = "",
         name: str = "x.patch") -> Path:  # fmt: skip
    """A patch that puts the second of each (path, old, new) in the place of the first."""
    found = source.find(resolve(KERNEL).source)
    assert found
    repository = folder / f"{name}.git"
    git(folder, "init", "-q", str(repository))
    for path, old, new in changes:
        text = git(tree, "show", f"{found.commit}:{path}")
        assert text.count(old) == 1, (path, old)
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
        git(repository, "add", path)
        (repository / path).write_text(text.replace(old, new))
    diff = git(repository, "diff")
    shutil.rmtree(repository)
    file = folder / name
    file.write_text(HEAD.format(number=number, subject=subject, diff=diff))
    return file


def patched(s2eval: S2Eval, *args: str) -> tuple[int, dict[str, Any], str]:
    ran = s2eval("patch", "--kernel", KERNEL, "--json", *args)
    assert ran.out, ran.err
    return ran.code, json.loads(ran.out), ran.err


def test_the_four_line_patch_is_an_improvement(s2eval: S2Eval) -> None:
    code, told, _ = patched(s2eval, str(NC))
    assert (code, told["verdict"], told["status"]) == (0, "improved", "PASS")
    changes = {change["path"]: change for change in told["changes"]}
    stage2 = changes["audit.ioremap_wc.stage2"]
    assert (stage2["base"], stage2["patched"]) == ("Device-nGnRE", "Normal-NC")
    assert changes["audit.ioremap_wc"]["kind"] == "improved"
    load = changes["wcprobe.ioremap_wc.unaligned_load"]
    assert (load["base"], load["patched"], load["kind"]) == ("vm-killed", "works", "improved")
    assert not [c for c in told["changes"] if c["kind"] == "regressed"]
    assert told["base"]["cells"][0]["kernel"]["name"] == KERNEL
    assert told["size"]["Image"][0] > 5_000_000 and told["run"] == s2eval.run().run.id
    shown = s2eval("show")
    assert "VM killed -> works" in shown.out
    # The other way round it is a regression, told by a comparison of what was recorded.
    names = [side["cells"][0]["kernel"]["name"] for side in (told["patched"], told["base"])]
    back = s2eval("compare", *(f"latest:{name}" for name in names))
    assert back.code == 1 and back.out.startswith("REGRESSED: "), back.out
    assert "worse\n  ioremap_wc.unaligned load: works -> VM killed" in back.out
    again = s2eval("compare", f"latest:{names[0]}", f"latest:{names[0]}", "--markdown")
    assert again.code == 0 and again.out.startswith("**UNCHANGED**: ")


def test_a_b4_prep_branch_gives_a_verdict_in_one_command(tree: Path, tmp_path: Path) -> None:
    """From within the tree, on a named kernel: the commits are picked, the cover letter is not."""
    found = source.find(resolve(KERNEL).source)
    assert found
    linux = tmp_path / "linux"
    command = ["git", "clone", "-q", "--shared", "--no-checkout", str(tree), str(linux)]
    subprocess.run(command, check=True)
    git(linux, "read-tree", found.commit)
    cover = "EDITME: A title\n\n--- b4-submit-tracking ---\nmark\n"
    tip = git(linux, "commit-tree", f"{found.commit}^{{tree}}", "-p", found.commit, "-m", cover)
    for number in (1, 2):
        text = git(linux, "show", f"{tip.strip()}:{PGTABLE}")
        mark = f"static const char mark_{number}[] __attribute__((used)) = 'b4 {number}';"
        (tmp_path / "file").write_text(f"{text}{mark}\n".replace("'", '"'))
        blob = git(linux, "hash-object", "-w", str(tmp_path / "file")).strip()
        git(linux, "update-index", "--cacheinfo", f"100644,{blob},{PGTABLE}")
        made = git(linux, "write-tree").strip()
        tip = git(linux, "commit-tree", made, "-p", tip.strip(), "-m", f"KVM: arm64: Mark {number}")
    git(linux, "update-ref", "refs/heads/b4/topic", tip.strip())
    before = {path: path.read_bytes() for path in linux.rglob("*") if path.is_file()}
    inside = S2Eval(linux, scratch=tmp_path)
    inside.results = tmp_path / "results"
    ran = inside("patch", "b4/topic", "--kernel", KERNEL, "-m", "flat-tcg", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["verdict"], told["same_image"]) == (0, "unchanged", False), ran.err
    assert told["series"]["subjects"] == ["KVM: arm64: Mark 1", "KVM: arm64: Mark 2"]
    assert any(note.endswith("it is the cover letter") for note in told["notes"])
    assert len(told["patched"]["kernel"]["series_hash"]) == 64
    assert {path: path.read_bytes() for path in linux.rglob("*") if path.is_file()} == before


def test_a_warning_is_a_regression_with_file_and_line(s2eval: S2Eval, tree: Path) -> None:
    """In KVM's initialisation, by a function that warns; checkpatch has a word to say, too."""
    body = "int __init warns(void)\n{\n        WARN_ON(1);\n\treturn 0;\n}\n"
    body += "late_initcall(warns);"
    reset = "arch/arm64/kvm/reset.c"
    changes = [
        (reset, "\n/* Maximum phys_shift supported", f"\n{body}\n\n/* Maximum phys_shift supported")
    ]
    patch = edit(tree, s2eval.home, "Warn", *changes)
    code, told, _ = patched(s2eval, str(patch), "-m", "flat-tcg")
    assert (code, told["verdict"]) == (1, "regressed")
    (warning,) = [c for c in told["changes"] if c["kind"] == "regressed"]
    assert warning["path"] == "log.L1.warn" and warning["about"] == "log"
    line = patch.read_text().splitlines()
    hunk = next(text for text in line if text.startswith("@@"))
    start = int(hunk.split("+")[1].split(",")[0])
    offset = [t for t in line[line.index(hunk) + 1 :] if not t.startswith("-")].index(
        "+        WARN_ON(1);"
    )
    place = f"{reset}:{start + offset}"
    assert any(f"({place})" in text for text in warning["detail"]["trace"]), warning["detail"]
    style = [(one["tool"], one["text"]) for one in told["style"]]
    assert any(tool == "checkpatch" and "CODE_INDENT" in text for tool, text in style)
    spoke = any(tool == "sparse" and "'warns' was not declared" in text for tool, text in style)
    assert spoke == bool(shutil.which("sparse"))


def test_an_identical_image_is_said_and_nothing_is_booted(s2eval: S2Eval, tree: Path) -> None:
    """A comment in a file that is built."""
    words = "Virtual Open Systems and Columbia University"
    patch = edit(tree, s2eval.home, "Words", (MMU, words, f"{words}, and others"))
    code, told, err = patched(s2eval, str(patch))
    assert (code, told["verdict"], told["same_image"]) == (0, "unchanged", True)
    assert told["base"]["cells"] == told["patched"]["cells"] == []
    assert "bit for bit: nothing was booted" in told["headline"] and "boot" not in err


def test_each_patch_and_one_in_the_middle_that_does_not_build(s2eval: S2Eval, tree: Path) -> None:
    """Words only; then a syntax error; then its repair."""
    folder = s2eval.home / "series"
    folder.mkdir()
    edit(tree, folder, "Words", ("CREDITS", "Linus Torvalds", "Linus B. Torvalds"),
         number=" 1/3", name="1.patch")  # fmt: skip
    bad = "static int broken(void) { return nothing; }\n"
    first = "\n#define KVM_PTE_TYPE\t"
    edit(tree, folder, "Break", (PGTABLE, first, f"\n{bad}{first}"), number=" 2/3", name="2.patch")
    text = (folder / "2.patch").read_text()
    diff = text.partition("---\n")[2]
    reverse = "\n".join(
        {"+": "-", "-": "+"}.get(line[:1], line[:1]) + line[1:]
        if line[:3] not in ("+++", "---") else line
        for line in diff.splitlines()
    )  # fmt: skip
    hunk = next(line for line in diff.splitlines() if line.startswith("@@ -"))
    old, new = hunk.split()[1:3]
    reverse = reverse.replace(hunk, hunk.replace(f"{old} {new}", f"-{new[1:]} +{old[1:]}"))
    (folder / "3.patch").write_text(HEAD.format(number=" 3/3", subject="Mend", diff=reverse + "\n"))
    code, told, _ = patched(s2eval, str(folder), "--each", "-m", "flat-tcg")
    assert (code, told["verdict"]) == (125, "undecided")
    assert [step["same"] for step in told["steps"]] == [True, False, True]
    assert "patch 2/3 does not build: " in told["open"][0]
    assert f"{PGTABLE}:" in told["open"][0] and "'nothing' undeclared" in told["open"][0]
    assert [step["verdict"] for step in told["steps"]] == ["unchanged", "undecided", "unchanged"]


def test_a_patch_that_does_not_build_is_undecided(s2eval: S2Eval, tree: Path) -> None:
    anchor = "\n#define KVM_PTE_TYPE\t"
    broken = edit(tree, s2eval.home, "Break", (PGTABLE, anchor, f"\nint broken = nothing;{anchor}"))
    ran = s2eval("patch", "-q", "--kernel", KERNEL, str(broken))
    assert ran.code == 125 and ran.err == ""
    head = ran.out.splitlines()[0]
    assert head.startswith("UNDECIDED: patched does not build: ") and f"{PGTABLE}:" in head
    # What comes next is not disturbed. A flat machine has no KVM that its lines could run in.
    code, told, _ = patched(s2eval, str(NC), "-m", "flat-tcg")
    assert (code, told["verdict"]) == (125, "not-exercised")


@pytest.mark.parametrize(
    ("number", "when"),
    [
        (signal.SIGINT, ("apply 1 series",)),
        (signal.SIGTERM, (": start L1",)),  # of the base, while make runs
        (signal.SIGINT, (": start L2", ": start L2")),  # of the patched kernel
    ],
)
def test_interrupted(
    number: signal.Signals, when: tuple[str, ...], s2eval: S2Eval, tree: Path
) -> None:
    """In each phase: one line, nothing left, and a later run works."""
    anchor = "\n#define KVM_PTE_TYPE\t"
    word = secrets.token_hex(8)  # built anew in every test run
    mark = f'\nstatic const char mark[] __attribute__((used)) = "{word}";{anchor}'
    patch = edit(tree, s2eval.home, "Mark", (PGTABLE, anchor, mark))
    series = NC if len(when) > 1 else patch
    running = s2eval.start("patch", "--kernel", KERNEL, str(series))
    for phase in when:
        running.until(phase)
    running.signal(number)
    ran = running.end()
    assert ran.code == 130 and "Traceback" not in ran.err, ran.err
    assert ran.err.splitlines()[-1] == "s2eval: interrupted"
    assert s2eval.leftovers() == []
    if len(when) > 1:
        _goes_on(s2eval)


def _goes_on(s2eval: S2Eval) -> None:
    """In another folder, with more workers; the base's guests are not booted again."""
    status = json.loads((s2eval.folder() / "status.json").read_text())
    assert (status["state"], status["total"], status["done"]) == ("interrupted", 2, 1)
    assert "go on with 's2eval patch --resume" in s2eval("run", "--resume").one_line()
    s2eval.home = s2eval.home / "elsewhere"
    s2eval.home.mkdir()
    ran = s2eval("patch", "--resume", "--json", "--jobs", "2")
    told = json.loads(ran.out)
    assert (ran.code, told["verdict"]) == (0, "improved"), ran.err
    assert ran.err.count(": start L2") == 1 and told["run"] == s2eval.run().run.id
    assert [cell["status"] for cell in told["base"]["cells"]] == ["FAIL"]
    assert s2eval.run().run.resumed == 1 and s2eval.leftovers() == []
