# SPDX-License-Identifier: GPL-2.0-only
"""Benchmark of `s2eval patch --dry-run`: `python -m benchmarks.dry_run [--rounds N] [--commits N]`.

Each round is another series, so that nothing of it is known: a mailbox of 10 patches and one of
200 on debian-6.1 (80,000 files, in the cache), and a range of 10 commits at the end of a synthetic
history of a million, without a commit-graph. Every figure is of a command from its start to its
exit.
"""

from __future__ import annotations

import argparse
import difflib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.__main__ import Row
from harness.kernel import source
from harness.kernel.git import git, own_env
from harness.kernel.spec import resolve

KERNEL = "debian-6.1"
FOLDER = "arch/arm64/kvm/"
COMMITS = 1_000_000
MAILBOXES = {10: 1.0, 200: 5.0}  # patches, and the seconds that their dry run may take
RANGE_SECONDS = 1.0
WHO = "s2eval <s2eval@localhost>"


def mailbox(base: source.Base, count: int, word: str) -> str:
    """Return a mailbox of `count` patches, each of which adds a line to a file of KVM."""
    names = git(base.tree.work, "ls-tree", "-r", "--name-only", base.commit, FOLDER).split()
    names = [name for name in names if name.endswith(".c")]
    texts = {name: git(base.tree.work, "show", f"{base.commit}:{name}") for name in names[:count]}
    mails = []
    for number in range(1, count + 1):
        name = list(texts)[number % len(texts)]
        before = texts[name]
        lines = before.splitlines(keepends=True)
        texts[name] = "".join([*lines[:2], f"/* {word} {number} */\n", *lines[2:]])
        diff = difflib.unified_diff(
            lines, texts[name].splitlines(keepends=True), f"a/{name}", f"b/{name}"
        )
        mails.append(
            f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: {WHO}\n"
            "Date: Thu, 1 Jan 1970 00:00:00 +0000\n"
            f"Subject: [PATCH {number}/{count}] KVM: arm64: Change {number}\n\nWhy.\n---\n"
            f"diff --git a/{name} b/{name}\n{''.join(diff)}--\n2.39.5\n\n"
        )
    return "".join(mails)


def history(count: int) -> Iterator[bytes]:
    """Yield a history for git fast-import: a small kernel tree, `count` commits, ten that count."""
    who = f"committer {WHO} 1000000000 +0000\n".encode()
    files = {
        "Makefile": "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n",
        "arch/arm64/Kconfig": "config ARM64\n",
        "mm/memory.c": "".join(f"int line_{number};\n" for number in range(200)),
    }
    yield b"commit refs/heads/main\n" + who + b"data 5\nbase\n\n"
    for name, text in files.items():
        yield f"M 100644 inline {name}\ndata {len(text)}\n{text}\n".encode()
    for number in range(count):
        yield b"commit refs/heads/main\n%sdata 8\n%08d\n" % (who, number)
    for number in range(10):
        text = files["mm/memory.c"].replace(f"line_{number};", f"other_{number};")
        files["mm/memory.c"] = text
        yield b"commit refs/heads/main\n" + who + b"data 3\nmm\n\n"
        yield f"M 100644 inline mm/memory.c\ndata {len(text)}\n{text}\n".encode()


def make_history(folder: Path, count: int) -> None:
    """Make the history's repository in `folder`."""
    git(folder, "init", "-q", "-b", "main")
    command = ["git", "-C", str(folder), "fast-import", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=own_env()) as importer:
        if importer.stdin is None:
            raise AssertionError("a pipe was asked for")
        with importer.stdin as pipe:
            pipe.writelines(history(count))
    if importer.returncode:
        raise SystemExit("git fast-import failed")


def seconds_of(*words: str) -> float:
    """Return the seconds of a dry run; raise SystemExit unless its exit code is 0."""
    program = Path(sys.executable).with_name("s2eval")
    command = [str(program), "patch", "-q", "--dry-run", *words]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds


def main() -> None:
    """Measure all rounds, after one that is not counted, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dry_run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commits", type=int, default=COMMITS, help="of the synthetic history")
    options = parser.parse_args()
    base = source.find(resolve(KERNEL).source)
    if base is None:
        raise SystemExit(f"s2eval build {KERNEL} first")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds\n")
    with tempfile.TemporaryDirectory(prefix="s2eval-benchmark-") as scratch:
        for count, target in MAILBOXES.items():
            figures = []
            for number in range(options.rounds + 1):
                box = Path(scratch, f"{count}-{number}.mbx")
                box.write_text(mailbox(base, count, f"{os.getpid()} {number} {time.time_ns()}"))
                figures.append(seconds_of(str(box), "--kernel", KERNEL))
            print(Row(f"a mailbox of {count} patches", figures[1:], "s", target).text(), flush=True)
        tree = Path(scratch, "linux")
        tree.mkdir()
        make_history(tree, options.commits)
        command = ("main~10..main", "--tree", str(tree))
        figures = [seconds_of(*command) for _ in range(options.rounds + 1)]
        name = f"a range of 10 of {options.commits} commits"
        print(Row(name, figures[1:], "s", RANGE_SECONDS).text(), flush=True)


if __name__ == "__main__":
    main()
