# SPDX-License-Identifier: GPL-2.0-only
"""Patches and commits applied in a small repository that holds only the files they touch.

A kernel has 80,000 files and git writes an index of all of them for every patch; what a series does
to the few that it touches takes milliseconds. The result goes into the kernel's repository as the
same commits that `git am` or `git cherry-pick` would have made there, and no worktree is needed.
Where a file is not there that a patch changes, git may find it under another name, for which it
wants to see all of them: callers do it in the worktree then.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.kernel import repository
from harness.kernel.git import GitError, own_env, run

_HEADER = re.compile(
    rb"^(?:diff --git (?P<both>.+?)|(?P<side>---|\+\+\+|rename from|rename to|copy from|copy to) "
    rb"(?P<one>.+?))(?:\t.*)?\r?$",
    re.MULTILINE,
)
_OLD_SIDES = {b"---", b"rename from", b"copy from"}
_ATTRIBUTES = b".gitattributes"
# Nothing of it has to outlive a crash: git would wait for the disk after every patch.
_SETTINGS = "[core]\n\tfsync = none\n\tlogAllRefUpdates = false\n[gc]\n\tauto = 0\n"
START, DONE = "refs/heads/start", "refs/heads/done"


class NotSparseError(Exception):
    """The files that are touched do not say what git would do in the whole tree."""


@dataclass(frozen=True)
class Touched:
    """Paths that a series names; `old` are those that have to be there when it begins."""

    paths: frozenset[bytes]
    old: frozenset[bytes]


def touched_by(texts: Iterable[bytes]) -> Touched:
    """Return what patches touch, by the headers of their diffs."""
    paths: set[bytes] = set()
    old: set[bytes] = set()
    made: set[bytes] = set()
    for text in texts:
        for match in _HEADER.finditer(text):
            side = match["side"] or b""
            names = _both(match["both"]) if match["both"] else [_unquoted(match["one"])]
            if not side.startswith((b"r", b"c")):  # those have no a/ or b/ before the name
                names = [_stripped(name) for name in names]
            names = [name for name in names if name]
            paths.update(names)
            if side in _OLD_SIDES:
                old.update(name for name in names if name not in made)
            elif side:
                made.update(names)
    return Touched(frozenset(paths), frozenset(old))


def _both(text: bytes) -> list[bytes]:
    """The names of a `diff --git` line: both, one that they share, or the line as it is."""
    if text.startswith(b'"'):
        quoted = re.findall(rb'"(?:[^"\\]|\\.)*"|\S+', text)
        return [_unquoted(one) for one in quoted]
    middle = len(text) // 2
    if text[middle : middle + 1] == b" " and _stripped(text[:middle]) == _stripped(
        text[middle + 1 :]
    ):
        return [text[:middle]]
    return [text]


def _unquoted(name: bytes) -> bytes:
    """A name as git quotes it, with the escapes of C."""
    return codecs.escape_decode(name[1:-1])[0] if name.startswith(b'"') else name


def _stripped(name: bytes) -> bytes:
    """A name without a/ or b/, as -p1 has it; b"" for /dev/null."""
    return b"" if name == b"/dev/null" else name.partition(b"/")[2]


class SparseRepository:
    """A repository in `folder` whose commit START has those files of `commit` that are touched.

    `lenders` are the folders of the objects that it borrows. Raise NotSparseError when a path
    stands for a folder, GitError when git fails.
    """

    def __init__(self, folder: Path, target: Path, commit: str, lenders: Iterable[str]) -> None:
        self.work = folder
        self._target = target
        self._commit = commit
        git_of(self.work, "init", "-q", f"--object-format={repository.object_format(target)}")
        with (self.work / ".git/config").open("a") as config:
            config.write(_SETTINGS)
        objects = [str(target / ".git/objects"), *lenders]
        alternates = self.work / ".git/objects/info/alternates"
        alternates.write_text("".join(f"{one}\n" for one in objects))

    def begin(self, paths: Iterable[bytes]) -> set[bytes]:
        """Check START out; return those of `paths` that are there."""
        files = self.files(self._commit, paths)
        self.load(commit_text(START, b"start", files))
        git_of(self.work, "checkout", "-q", "--detach", START)
        return set(files)

    def files(self, commit: str, paths: Iterable[bytes]) -> dict[bytes, tuple[bytes, str]]:
        """Return mode and object of the `paths` that a commit has, and of the attributes there.

        A file, link or submodule that stands where a path has a folder is among them. Raise
        NotSparseError when a path is a folder.
        """
        wanted = set(paths)
        folders = {b""}
        for path in wanted:
            parts = path.split(b"/")
            if b"\n" in path or b"" in parts or {b".", b".."} & set(parts):
                raise NotSparseError(path)
            folders |= {b"/".join(parts[:end]) for end in range(1, len(parts))}
        found: dict[bytes, tuple[bytes, str]] = {}
        for folder, entries in self._trees(commit, sorted(folders)):
            for name, (mode, object_id) in entries.items():
                path = folder + b"/" + name if folder else name
                if mode == b"40000" and path in wanted:
                    raise NotSparseError(path)
                if mode != b"40000" and (path in wanted or path in folders or name == _ATTRIBUTES):
                    found[path] = (mode, object_id)
        return found

    def _trees(
        self, commit: str, folders: list[bytes]
    ) -> Iterator[tuple[bytes, dict[bytes, tuple[bytes, str]]]]:
        """The entries of folders of a commit; those that are not there are left out."""
        asked = b"".join(b"%s:%s\n" % (commit.encode(), folder) for folder in folders)
        answer = memoryview(git_of(self.work, "cat-file", "--batch", stdin=asked))
        for folder in folders:
            end = bytes(answer[: len(folder) + 200]).index(b"\n")
            words = bytes(answer[:end]).split()
            answer = answer[end + 1 :]
            if words[-1:] == [b"missing"]:
                continue
            size = int(words[-1])
            if words[-2] == b"tree":
                yield folder, _entries(bytes(answer[:size]), len(words[0]) // 2)
            answer = answer[size + 1 :]

    def load(self, stream: bytes) -> None:
        """Take commits in, as `git fast-import` reads them."""
        git_of(self.work, *_IMPORT, stdin=stream)

    def keep(self, ref: str) -> None:
        """Make the commits from START to HEAD, on `commit`, in the target; `ref` is the last."""
        git_of(self.work, "update-ref", DONE, "HEAD")
        transfer(self.work, self._target, self._commit, ref)


_IMPORT = ("fast-import", "--quiet", "--force", "--date-format=raw-permissive")


def transfer(
    work: Path, target: Path, commit: str, ref: str, lent: dict[str, str] | None = None
) -> None:
    """Make the commits of `work` from START to DONE anew in `target`, on `commit`.

    `ref` is the last of them there. `lent` is added to git's environment in `work`.
    """
    options = ("--reencode=no", "--reference-excluded-parents")
    out = git_of(work, "fast-export", *options, f"{START}..{DONE}", lent=lent)
    start = git_of(work, "rev-parse", START).strip()
    parts: list[bytes] = []
    changed: list[bytes] = []
    joined = 0
    for line, data in _commands(out):
        if line.startswith((b"M ", b"D ")):
            changed.append(line)
            continue
        # What goes comes first: a file may have made room for a folder of its name.
        parts += sorted(changed)
        changed.clear()
        if line.startswith(b"commit "):
            parts.append(b"commit %s\n" % ref.encode())
        elif line == b"from %s\n" % start:
            parts.append(b"from %s\n" % commit.encode())
            joined += 1
        elif not line.startswith(b"reset "):
            parts += [line, data]
    parts += sorted(changed)
    if joined != 1:
        raise AssertionError(f"{joined} of the commits stand on the base")
    git_of(target, *_IMPORT, stdin=b"".join(parts))


def _entries(tree: bytes, size: int) -> dict[bytes, tuple[bytes, str]]:
    """The entries of a tree object; the names of objects have `size` bytes."""
    found = {}
    at = 0
    while at < len(tree):
        space, end = tree.index(b" ", at), tree.index(b"\0", at)
        object_id = tree[end + 1 : end + 1 + size].hex()
        found[tree[space + 1 : end]] = (tree[at:space], object_id)
        at = end + 1 + size
    return found


def _commands(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The lines of a fast-import stream, each with the data that follows it."""
    at = 0
    while at < len(stream):
        end = stream.index(b"\n", at) + 1
        line = stream[at:end]
        size = int(line[5:]) if line.startswith(b"data ") else 0
        yield line, stream[end : end + size]
        at = end + size


def commit_text(
    ref: str,
    message: bytes,
    files: dict[bytes, tuple[bytes, str]],
    *,
    gone: Iterable[bytes] = (),
    headers: bytes = b"author s2eval <s2eval@localhost> 0 +0000\n",
    parent: str = "",
) -> bytes:
    """Return a commit for SparseRepository.load(): `headers` are author and encoding."""
    author, _, encoding = headers.partition(b"\n")
    parts = [
        b"commit %s\n%s\n" % (ref.encode(), author),
        b"committer s2eval <s2eval@localhost> 0 +0000\n",
        encoding,
        b"data %d\n%s\n" % (len(message), message),
        b"from %s\n" % parent.encode() if parent else b"",
    ]
    parts += [b"D %s\n" % _quoted(path) for path in gone]
    for path, (mode, object_id) in files.items():
        parts.append(b"M %s %s %s\n" % (mode, object_id.encode(), _quoted(path)))
    return b"".join([*parts, b"\n"])


def _quoted(path: bytes) -> bytes:
    for raw, escaped in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        path = path.replace(raw, escaped)
    return b'"%s"' % path


def git_of(
    folder: Path, *args: str, stdin: bytes = b"", lent: dict[str, str] | None = None
) -> bytes:
    """Run git in `folder`; return what it printed, byte for byte. Raise GitError when it fails.

    `lent` is added to its environment.
    """
    env = {**own_env(), **(lent or {})}
    done = run(folder, *args, env=env, stdin=stdin, undecodable="surrogateescape")
    if done.returncode:
        raise GitError(args[0], (done.stdout + done.stderr).encode(errors="replace").decode())
    return done.stdout.encode(errors="surrogateescape")
