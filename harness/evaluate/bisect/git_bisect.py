# SPDX-License-Identifier: GPL-2.0-only
"""`git bisect` in a repository of its own in the cache: which commit to look at next.

What it has come to is read from its exit status and refs (git-bisect(1), gitglossary(7) on
refs/bisect/), never from what it says: its sentences are other ones in each version of git.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.base.errors import MachineError, UsageError
from harness.base.text import clean
from harness.evaluate.bisect.commits import History
from harness.kernel.git import git, run

# Exit statuses of git bisect since 2.29 (bisect.h: enum bisect_error).
_ONLY_SKIPPED, _MERGE_BASE_BAD = 2, 3
_NEWEST_BAD = "refs/bisect/bad"


class GitBisect:
    """One bisection. `found` is the first bad commit, `left` the candidates among skipped ones.

    Nothing is checked out, and the user's repository only lends its objects. It is always begun
    anew: with the same answers git asks the same questions.
    """

    def __init__(self, folder: Path, history: History) -> None:
        self.folder = folder
        self.found = ""
        self.left: list[str] = []
        self._answered = {history.good, history.bad}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        git(folder, "init", "-q", "-b", "main", f"--object-format={history.object_format}")
        (folder / ".git/objects/info/alternates").write_text(f"{history.objects}\n")
        if history.shallow:
            (folder / ".git/shallow").write_text(history.shallow)
        git(folder, "update-ref", "refs/heads/main", history.bad)  # it wants a HEAD
        reverse = run(folder, "merge-base", "--is-ancestor", history.bad, history.good)
        if reverse.returncode == 0:
            raise UsageError("--bad comes before --good: turn the two, or use !=")
        self._bisect("start", "--no-checkout", history.bad, history.good)

    @property
    def over(self) -> bool:
        """Whether git asks for no other commit."""
        return bool(self.found or self.left)

    @property
    def asks(self) -> str:
        """Return the commit to look at.

        Raise MachineError when git asks for one that was answered: it would ask for ever.
        """
        commit = self._head()
        if commit in self._answered:
            raise MachineError(
                f"git bisect asks for {commit[:12]} again, which was answered (in {self.folder})"
            )
        return commit

    def answer(self, commit: str, word: str) -> None:
        """Tell git what a commit is: `word` is good, bad or skip."""
        self._answered.add(commit)
        self._bisect(word, commit)

    def _head(self) -> str:
        return git(self.folder, "rev-parse", "--verify", "BISECT_HEAD").strip()

    def _bisect(self, *args: str) -> None:
        done = run(self.folder, "bisect", *args)
        if done.returncode == 0:
            # One commit is left, and no merge base is to be looked at first.
            if len(self._candidates(2)) == 1 and self._head() in self._answered:
                (self.found,) = self._candidates(1)
        elif done.returncode == _ONLY_SKIPPED:
            self.left = self._candidates()
        else:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            why = clean(lines[-1] if lines else f"exit status {done.returncode}")
            if done.returncode == _MERGE_BASE_BAD:
                raise UsageError(f"--good is no ancestor of --bad, nor of use as one: {why}")
            raise MachineError(f"git bisect {args[0]}: {why}")

    def _candidates(self, most: int = -1) -> list[str]:
        """The commits that may be the first bad one, `most` of them."""
        goods = git(self.folder, "for-each-ref", "--format=%(objectname)", "refs/bisect/good-*")
        span = [_NEWEST_BAD, *(f"^{commit}" for commit in goods.split())]
        return git(self.folder, "rev-list", f"--max-count={most}", *span, "--").split()
