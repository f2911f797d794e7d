# SPDX-License-Identifier: GPL-2.0-only
"""Git for the harness's own repositories: nothing of the user's configuration shapes the result."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import DiskFullError, MachineError
from harness.base.process import ToolMissingError, run_quiet

GIT_SECONDS = 1800.0  # for a worktree of 80,000 files on a slow disk
# Commands of git that change nothing and end in a moment.
_READERS = {
    "cat-file", "config", "diff-index", "for-each-ref", "grep", "hash-object", "log", "ls-tree",
    "merge-base", "rev-list", "rev-parse", "show",
}  # fmt: skip
# The first of them is known to git 2.45 and newer; the other keeps older ones from the network.
_NO_FETCH = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
IDENTITY = {
    "GIT_AUTHOR_NAME": "s2eval",
    "GIT_AUTHOR_EMAIL": "s2eval@localhost",
    "GIT_COMMITTER_NAME": "s2eval",
    "GIT_COMMITTER_EMAIL": "s2eval@localhost",
    # Fixed, so that the same tree and series always give the same commit.
    "GIT_AUTHOR_DATE": "2000-01-01T00:00:00+0000",
    "GIT_COMMITTER_DATE": "2000-01-01T00:00:00+0000",
}


class GitError(MachineError):
    """A git command failed; `output` is what it said (both streams).

    Callers that know which input is to blame turn it into a UsageError.
    """

    def __init__(self, command: str, output: str) -> None:
        lines = [line for line in output.splitlines() if line.startswith(("fatal:", "error:"))]
        super().__init__(f"git {command}: {lines[0] if lines else output.strip()}")
        self.output = output


def plain_env() -> dict[str, str]:
    """Return the environment without GIT_*, which git sets for what it starts (bisect, hooks).

    With it git fetches nothing: a partial clone would otherwise get objects that it lacks.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return {**env, "LC_ALL": "C", **_NO_FETCH}


def own_env() -> dict[str, str]:
    """Return the environment for the cache's repositories: nobody's configuration, one identity."""
    # GIT_CONFIG_GLOBAL came with git 2.32; older ones look into the home folder.
    isolated = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent",
    }
    return {**plain_env(), **isolated, **IDENTITY}


def run(
    folder: Path,
    *args: str,
    env: dict[str, str] | None = None,
    stdin: bytes = b"",
    undecodable: str = "replace",
) -> subprocess.CompletedProcess[str]:
    """Run git in `folder` and return its exit status and output, however it ends.

    What is no UTF-8 is decoded as `undecodable` says (an error handler of codecs).

    Raise MachineError when there is no git or when it does not end within GIT_SECONDS.
    """
    command = ["git", "-C", str(folder), *args]
    writes = args[0] not in _READERS
    try:
        return run_quiet(
            command,
            Deadline(GIT_SECONDS),
            env=env or own_env(),
            stdin=stdin,
            writes=writes,
            undecodable=undecodable,
        )
    except ToolMissingError as error:
        raise ToolMissingError("git is missing: apt-get install git") from error


def git(folder: Path, *args: str, env: dict[str, str] | None = None) -> str:
    """Run git in `folder` and return what it printed.

    Raise GitError when git fails, DiskFullError when that is for want of space, MachineError as
    run() does.
    """
    done = run(folder, *args, env=env)
    if done.returncode == 0:
        return done.stdout
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise DiskFullError(f"no space left for the kernel sources in {folder}")
    raise GitError(args[0], done.stdout + done.stderr)
