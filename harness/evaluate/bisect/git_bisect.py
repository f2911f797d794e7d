# SPDX-License-Identifier: GPL-2.0-only
"""`git bisect` in a repository of its own in the cache: which commit to look at next."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness.base.errors import MachineError, UsageError
from harness.base.text import clean
from harness.evaluate.bisect.commits import History
from harness.kernel.git import git, run

_FOUND = re.compile(r"^([0-9a-f]{40,64}) is the first bad commit", re.MULTILINE)
_LEFT = re.compile(r"The first bad commit could be any of:\n((?:[0-9a-f]{40,64}\n)+)")


class GitBisect:
    """One bisection. `found` is the first bad commit, `left` the candidates among skipped ones.

    Nothing is checked out, and the user's repository only lends its objects. It is always begun
    anew: with the same answers git asks the same questions.
    """

    def __init__(self, folder: Path, history: History) -> None:
        self.folder = folder
        self.found = ""
        self.left: list[str] = []
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        git(folder, "init", "-q", "-b", "main")
        (folder / ".git/objects/info/alternates").write_text(f"{history.objects}\n")
        if history.shallow:
            (folder / ".git/shallow").write_text(history.shallow)
        git(folder, "update-ref", "refs/heads/main", history.bad)  # it wants a HEAD
        self._bisect("start", "--no-checkout", history.bad, history.good)

    @property
    def over(self) -> bool:
        """Whether git asks for no other commit."""
        return bool(self.found or self.left)

    @property
    def asks(self) -> str:
        """Return the commit to look at."""
        return git(self.folder, "rev-parse", "--verify", "BISECT_HEAD").strip()

    def answer(self, commit: str, word: str) -> None:
        """Tell git what a commit is: `word` is good, bad or skip."""
        self._bisect(word, commit)

    def _bisect(self, *args: str) -> None:
        done = run(self.folder, "bisect", *args)
        said = done.stdout + done.stderr
        found, left = _FOUND.search(said), _LEFT.search(said)
        if found:
            self.found = found[1]
        elif left:
            self.left = left[1].split()
        elif done.returncode:
            lines = [line for line in said.splitlines() if line.strip()]
            why = clean(lines[-1] if lines else f"exit status {done.returncode}")
            if "merge base" in said or "not ancestors" in said:
                raise UsageError(f"--good is no ancestor of --bad, nor of use as one: {why}")
            raise MachineError(f"git bisect {args[0]}: {why}")
