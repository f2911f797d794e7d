# SPDX-License-Identifier: GPL-2.0-only
"""Benchmark of `s2eval patch` and of the same work by hand: `python -m benchmarks.patch`.

Each round is another change: one string in arch/arm64/kvm/hyp/pgtable.c, or, with --header, a line
in asm/memory.h that rebuilds nearly everything. By hand means the commands that a developer would
type, in the same worktree and O= folder: apply the patch, make, then boot the base and the patched
kernel one after the other, with the reproduce.sh of a run. Reading the two logs is not counted.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.__main__ import one_file_patch
from harness.kernel import series, source
from harness.kernel.git import git
from harness.kernel.spec import resolve
from harness.kernel.toolchain import environment, toolchain

KERNEL = "debian-6.1"
HEADER = "arch/arm64/include/asm/memory.h"


@dataclass
class RoundSeconds:
    """Seconds of wall time of one round."""

    patch: float
    make: float
    by_hand: float


def header_patch(base: source.Base, word: str) -> str:
    """Return a patch that adds a line at the end of a header that nearly every file includes."""
    text = git(base.tree.work, "show", f"{base.commit}:{HEADER}")
    lines = text.splitlines()
    context = "".join(f" {line}\n" for line in lines[-3:])
    head = one_file_patch(word).partition("diff --git")[0]
    hunk = f"@@ -{len(lines) - 2},3 +{len(lines) - 2},4 @@\n{context}+#define S2EVAL_{word} 1\n"
    return f"{head}diff --git a/{HEADER} b/{HEADER}\n--- a/{HEADER}\n+++ b/{HEADER}\n{hunk}"


def measure(base: source.Base, patches: tuple[str, str], folder: Path) -> RoundSeconds:
    """Measure one round with two patches, so that neither finds the other's objects.

    Raise SystemExit when `s2eval patch` fails.
    """
    files = []
    for number, patch in enumerate(patches):
        files.append(folder / f"{number}.patch")
        files[-1].write_text(patch)
    results = folder / "results"
    s2eval = Path(sys.executable).with_name("s2eval")
    program = [str(s2eval), "patch", "-q", "--kernel", KERNEL]
    env = {**os.environ, "S2EVAL_RESULTS": str(results)}
    start = time.monotonic()
    done = subprocess.run(
        [*program, str(files[0])], env=env, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"s2eval patch: {done.returncode}\n{done.stdout}{done.stderr}")
    make, whole = by_hand(base, files[1], sorted(results.glob("*/*/reproduce.sh")), folder)
    return RoundSeconds(seconds, make, whole)


def by_hand(
    base: source.Base, patch: Path, scripts: list[Path], folder: Path
) -> tuple[float, float]:
    """Return the seconds of make, and of make and both boots.

    Raise CalledProcessError when the kernel does not build.
    """
    tree, out = base.tree, base.tree.out(llvm=False)
    ours = toolchain(llvm=False).make(tree.work, out, "Image", "modules")
    make = [word for word in ours if not word.startswith("cmd=")]  # the harness's own speed-up
    with tree.locked():
        series.apply(base, [])
        subprocess.run(make, env=environment(), stdout=subprocess.DEVNULL, check=True)
        start = time.monotonic()
        git(tree.work, "apply", str(patch))
        before = time.monotonic()
        subprocess.run(make, env=environment(), stdout=subprocess.DEVNULL, check=True)
        make_seconds = time.monotonic() - before
        for number, script in enumerate(scripts):
            text = script.read_text()
            if number:  # the patched one
                image = out / "arch/arm64/boot/Image"
                text = re.sub(r"^image=.*$", f"image={image}", text, flags=re.MULTILINE)
            again = folder / f"again-{number}.sh"
            again.write_text(text)
            subprocess.run(
                ["sh", str(again)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        whole = time.monotonic() - start
        series.apply(base, [])
    return make_seconds, whole


def main() -> None:
    """Measure all rounds and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.patch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--header", action="store_true", help="a change that rebuilds everything")
    options = parser.parse_args()
    base = source.find(resolve(KERNEL).source)
    if base is None:
        raise SystemExit(f"s2eval build {KERNEL} first")
    rounds = []
    for number in range(options.rounds + 1):
        word = f"{os.getpid()}_{number}_{time.time_ns()}"
        patch = header_patch if options.header else lambda _, word: one_file_patch(word)
        with tempfile.TemporaryDirectory(prefix="s2eval-benchmark-") as folder:
            patches = (patch(base, word), patch(base, f"{word}_h"))
            rounds.append(measure(base, patches, Path(folder)))
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds, seconds")
    counted = rounds[1:] or rounds
    for name, figures in (
        ("s2eval patch, series to verdict", [took.patch for took in counted]),
        ("by hand: make alone", [took.make for took in counted]),
        ("by hand: git apply, make, two boots", [took.by_hand for took in counted]),
    ):
        low, high = min(figures), max(figures)
        print(f"{name:40} {statistics.median(figures):7.2f}  {low:.2f}..{high:.2f}")


if __name__ == "__main__":
    main()
