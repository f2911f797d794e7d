# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval bisect` on real patches: some break the build, one hangs, one flickers.

All of them change one file in assembly, the quickest to build, and are looked at on flat-tcg.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.kernel import source
from harness.kernel.git import git
from harness.kernel.spec import resolve
from tests.system.commands import KERNEL, S2Eval, Started, make_machine

FILE = "arch/arm64/mm/proc.S"
NC = "MAIR_ATTRIDX(MAIR_ATTR_NORMAL_NC, MT_NORMAL_NC)"
WRONG = "MAIR_ATTRIDX(MAIR_ATTR_DEVICE_nGnRE, MT_NORMAL_NC)"
SETUP = "SYM_FUNC_START(__cpu_setup)\n"
MAIR = "\tmov_q\tmair, MAIR_EL1_SET\n"
# One boot in eight has another type: the low bits of the counter.
COIN = f"""\
	mrs	x1, cntvct_el0
	tst	x1, #7
	b.ne	1f
	mov_q	mair, (MAIR_EL1_SET & ~{NC} | {WRONG})
1:
"""
CHECK = "wcprobe.ioremap_wc.stage1=Normal-NC"


@dataclass(frozen=True)
class Shape:
    """How many patches, and which of them are what. The one in the middle hangs: it is tried."""

    patches: int
    first_bad: int
    flicker: int
    broken: tuple[int, ...]

    @property
    def hang(self) -> int:
        return self.patches // 2


def series(folder: Path, shape: Shape) -> Path:
    """A folder with the patches as `git format-patch` writes them."""
    found = source.find(resolve(KERNEL).source)
    assert found
    text = git(found.tree.work, "show", f"{found.commit}:{FILE}")
    assert [text.count(part) for part in (NC, SETUP, MAIR)] == [1, 1, 1]
    file = folder / FILE
    file.parent.mkdir(parents=True)
    git(folder, "init", "-q")
    for number in range(shape.patches + 1):
        now = text if number < shape.first_bad else text.replace(NC, WRONG)
        if number == shape.hang:
            now = now.replace(SETUP, f"{SETUP}\tb\t.\n")
        if number == shape.flicker:
            now = now.replace(MAIR, MAIR + COIN)
        if number in shape.broken:
            now += '\t.error "broken"\n'
        file.write_text(now + (f"/* step {number} */\n" if number else ""))
        git(folder, "add", FILE)
        git(folder, "commit", "-q", "-m", f"arm64: mm: Step {number}")
    git(folder, "format-patch", "-q", "-o", "out", f"HEAD~{shape.patches}")
    return folder / "out"


def _answer(running: Started) -> None:
    """Wait until the progress tells of an answer."""
    assert running.process.stderr
    for line in running.process.stderr:
        running.err += line
        if re.match(r"  (good|bad|skip) [0-9a-f]{12} ", line):
            return
    raise AssertionError(running.err)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(8, 3, flicker=1, broken=(5,)),
        pytest.param(Shape(30, 11, flicker=7, broken=(9, 22, 23)), marks=pytest.mark.extended),
    ],
    ids=lambda shape: str(shape.patches),
)
def test_the_right_one_though_killed_on_the_way(
    s2eval: S2Eval, shape: Shape, tmp_path: Path
) -> None:
    machine = make_machine(
        s2eval.home / "flat.toml", 'extends = "flat-tcg"\n[limits]\nboot = 60\nsilence = 6\n'
    )
    patches = str(series(tmp_path, shape))
    args = ("bisect", patches, "--kernel", KERNEL, "-m", machine, "--check", CHECK,
            "--repeat", "3")  # fmt: skip
    running = s2eval.start(*args)
    for _ in range(3):  # both ends, and one between them
        _answer(running)
    running.signal(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    for left in s2eval.scratch.iterdir():
        shutil.rmtree(left)
    ran = s2eval(*args, "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["resumed"] >= 3
    answers = {one["subject"]: one for one in told["tried"]}
    first_bad = f"arm64: mm: Step {shape.first_bad}"
    assert answers[first_bad]["commit"] == told["found"], told["tried"]
    for subject, one in answers.items():
        number = int(subject.rpartition(" ")[2]) if "Step" in subject else 0
        if number in shape.broken:
            assert one["answer"] == "skip" and "broken" in one["why"]
        elif number == shape.hang:
            assert one["answer"] == "skip" and "silence" in one["why"] and one["boots"] == 1
        elif number != shape.flicker:
            assert one["answer"] == ("bad" if number >= shape.first_bad else "good"), one
    assert f"arm64: mm: Step {shape.hang}" in answers
    # It is all known by now.
    again = s2eval(*args)
    assert again.code == 0 and again.out.startswith(f"FIRST BAD: {told['found']} arm64: mm: Step")
    assert "boot and probe" not in again.err
