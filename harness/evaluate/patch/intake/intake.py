# SPDX-License-Identifier: GPL-2.0-only
"""A series in whatever form it comes, as a folder of patches that `git am` takes.

series = take("fix.mbx", tree=Path("~/linux"))
series.folder      cache/series/fix-1f6a03c2/0001-....patch: the same patches, the same folder
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.paths import cache_dir
from harness.base.text import clean
from harness.evaluate.patch.intake import b4, quilt
from harness.evaluate.patch.intake.mails import Mail, in_order, read_mails
from harness.kernel.git import plain_env, run

MAILS = (".patch", ".diff", ".mbox", ".mbx", ".eml")
_MESSAGE_ID = re.compile(r"<?[^\s<>@/{}:]+@[A-Za-z0-9][A-Za-z0-9.-]*>?")
_ARCHIVE = re.compile(r"https?://lore\.kernel\.org/\S+")
_RANGE = re.compile(r"(?P<start>.*?)(?P<dots>\.{2,3})(?P<end>.*)")
# What the configuration of a user's tree must not change about a patch.
_FORMAT = (
    "format-patch", "--stdout", "--no-signature", "--no-attach", "--no-thread", "--no-cover-letter",
    "--full-index", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames",
    "--src-prefix=a/", "--dst-prefix=b/", "--subject-prefix=PATCH", "--numbered", "--no-notes",
    "--no-base", "--no-relative", "--unified=3", "--diff-algorithm=myers", "--encode-email-headers",
)  # fmt: skip


@dataclass(frozen=True)
class PatchSeries:
    """Patches in order. `start` is where a range of a tree begins, `base_commit` the trailer."""

    name: str
    folder: Path
    patches: tuple[Path, ...]
    subjects: tuple[str, ...]
    base_commit: str = ""
    start: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class _Taken:
    mails: list[Mail]
    base_commit: str = ""
    start: str = ""
    notes: list[str] = field(default_factory=list)


def take(given: str, *, tree: Path | None, base: str = "") -> PatchSeries:
    """Return the series that the user named, as patches in the cache.

    `tree` is where ranges and refs are looked up, `base` what the user wants a ref compared to.
    Raise UsageError, one line that names what is wrong, for everything that is no series.
    """
    taken = _taken(given, tree, base)
    for mail in taken.mails:
        _check(mail)
    name = "standard input" if given == "-" else given
    folder = _keep(name, [_file(n, mail) for n, mail in enumerate(taken.mails, start=1)])
    return PatchSeries(
        name=name,
        folder=folder,
        patches=tuple(sorted(folder.glob("*.patch"))),
        subjects=tuple(mail.subject for mail in taken.mails),
        base_commit=taken.base_commit,
        start=taken.start,
        notes=tuple(taken.notes),
    )


def _taken(given: str, tree: Path | None, base: str) -> _Taken:
    path = Path(given).expanduser()
    if given == "-":
        return _bytes(sys.stdin.buffer.read(), "standard input")
    if not given:
        raise UsageError("a series without a name")
    if path.exists():
        return _path(path, given)
    commits = _git(given, tree, base) if tree else None
    if commits:
        return commits
    if _ARCHIVE.fullmatch(given) or _MESSAGE_ID.fullmatch(given):
        with tempfile.TemporaryDirectory(prefix="s2eval-b4-") as scratch:
            return _ordered(read_mails(b4.fetch(given, Path(scratch)), given), given)
    no_commits = (
        f"no ref or range in {tree}" if tree else "no ref or range: no kernel tree here (--tree)"
    )
    raise UsageError(f"{given}: no such file or folder, no message id, {no_commits}")


def _path(path: Path, given: str) -> _Taken:
    try:
        if not path.is_dir():
            return _bytes(path.read_bytes(), given)
        if (path / "cur").is_dir() or (path / "new").is_dir():
            return _ordered(read_mails(path, given), given)
        stack = quilt.stack(path)
        if stack:
            return _Taken(quilt.read(stack, given))
        files = sorted(p for p in path.iterdir() if p.suffix in MAILS and p.is_file())
        if not files:
            kinds = ", ".join(f"*{kind}" for kind in MAILS)
            raise UsageError(f"{given}: an empty series: no {kinds}, maildir or quilt series in it")
        return _ordered(
            [m for file in files for m in read_mails(file, f"{given}/{file.name}")], given
        )
    except PermissionError as error:
        raise UsageError(f"{error.filename or given}: {error.strerror}") from None


def _bytes(data: bytes, source: str) -> _Taken:
    """A file, a pipe or standard input. One patch of a series may be tried alone."""
    with tempfile.TemporaryDirectory(prefix="s2eval-series-") as scratch:
        file = Path(scratch) / "mails"
        file.write_bytes(data)
        mails = read_mails(file, source)
    if len(mails) == 1 and mails[0].text and mails[0].total > 1:
        note = f"patch {mails[0].number} of {mails[0].total}, alone"
        return _Taken(list(mails), mails[0].base_commit, notes=[note])
    return _ordered(mails, source)


def _ordered(mails: Sequence[Mail], source: str) -> _Taken:
    patches, notes = in_order(mails, source)
    based = next((m for m in mails if m.base_commit and (m.cover or m in patches)), None)
    if based and based.needs:
        count = "1 patch" if based.needs == 1 else f"{based.needs} patches"
        notes.append(f"it builds on {count} that it does not hold (prerequisite-patch-id): "
                     "not applied")  # fmt: skip
    return _Taken(patches, based.base_commit if based else "", notes=notes)


def _git(given: str, tree: Path, base: str) -> _Taken | None:
    """The commits that a range or a ref stands for; None when it is neither."""
    match = _RANGE.fullmatch(given)
    if match:
        start, end = _commit(tree, match["start"] or "HEAD"), _commit(tree, match["end"] or "HEAD")
        if not start or not end:
            missing = match["end"] if start else match["start"]
            raise UsageError(
                f"{given}: no branch, tag or commit {missing} in {tree}{_shallow(tree)}"
            )
        # A..B and A...B are the same here: what B has on top of where the two parted.
        commits = _commits(tree, _merge_base(tree, start, end, given), end, given)
        return replace(commits, start="") if base else commits
    tip = _commit(tree, given)
    if not tip:
        return None
    start = _commit(tree, base) if base else _upstream(tree, given)
    if base and not start:
        raise UsageError(f"--base {base}: no such commit in {tree}{_shallow(tree)}")
    if start:
        return _commits(tree, _merge_base(tree, start, tip, given), tip, given)
    branch = ("show-ref", "--verify", "--quiet", f"refs/heads/{given}")
    if not run(tree, *branch, env=plain_env()).returncode:
        raise UsageError(
            f"{given}: a branch without upstream: say where it begins: BASE..{given} or --base BASE"
        )
    parent = _commit(tree, f"{tip}^")
    if not parent:
        raise UsageError(f"{given}: its parent is not in {tree}{_shallow(tree)}")
    return _commits(tree, parent, tip, given)


def _commits(tree: Path, start: str, end: str, given: str) -> _Taken:
    span = f"{start}..{end}"
    if not run(tree, "rev-list", "-n1", span, env=plain_env()).stdout:
        raise UsageError(f"{given}: an empty series: no commit in it")
    merges = run(tree, "rev-list", "-n1", "--merges", span, env=plain_env()).stdout.strip()
    if merges:
        raise UsageError(f"{given}: it holds a merge, {merges[:12]}: give a linear range")
    done = run(tree, "--no-optional-locks", *_FORMAT, span, env=plain_env())
    if done.returncode:
        raise UsageError(f"{given}: {clean(done.stderr.strip() or 'git format-patch fails')}")
    with tempfile.TemporaryDirectory(prefix="s2eval-range-") as scratch:
        file = Path(scratch) / "range"
        file.write_text(done.stdout, errors="surrogateescape")
        # Numbers come from git, whatever a commit's own subject looks like.
        return _Taken(in_order(read_mails(file, given), given)[0], start=start)


def _merge_base(tree: Path, start: str, end: str, given: str) -> str:
    common = run(tree, "merge-base", start, end, env=plain_env()).stdout.strip()
    if not common:
        raise UsageError(f"{given}: the two have no common ancestor in {tree}{_shallow(tree)}")
    return common


def _upstream(tree: Path, ref: str) -> str:
    return _commit(tree, f"{ref}@{{upstream}}") if "@{" not in ref and ref != "HEAD" else ""


def _commit(tree: Path, ref: str) -> str:
    """The full name of a commit, "" when there is none."""
    command = ("rev-parse", "-q", "--verify", "--end-of-options", f"{ref}^{{commit}}")
    return run(tree, *command, env=plain_env()).stdout.strip().rpartition("\n")[2]


def _shallow(tree: Path) -> str:
    answer = run(tree, "rev-parse", "--is-shallow-repository", env=plain_env()).stdout.strip()
    return ": it is a shallow clone (git fetch --unshallow)" if answer == "true" else ""


def commit_in(tree: Path, ref: str, what: str) -> str:
    """Return the full name of the commit `ref` of a user's tree.

    Raise UsageError that begins with `what` when the tree has none.
    """
    commit = _commit(tree, ref)
    if not commit:
        raise UsageError(f"{what} {ref}: no such commit in {tree}{_shallow(tree)}")
    return commit


_PATH = re.compile(
    r"^(?:---|\+\+\+|rename (?:from|to)|copy (?:from|to)) (\"?)(\S.*?)\1(?:\t.*)?$", re.M
)
_DATALESS = re.compile(r"^Binary files (?:a/)?(.+?) and (?:b/)?(.+?) differ$", re.MULTILINE)


def _check(mail: Mail) -> None:
    """UsageError for a patch that must not or cannot be applied anywhere."""
    diff = mail.text.partition("\n---\n")[2]
    binary = _DATALESS.search(diff)
    if binary:
        name = binary[2] if binary[1] == "/dev/null" else binary[1]
        raise UsageError(
            f"{mail.source}: {clean(name)} is binary and its content is not in the patch"
            " (git format-patch --binary)"
        )
    for match in _PATH.finditer(diff):
        path = match[2]
        inner = path[2:] if path[:2] in {"a/", "b/"} else path
        outside = inner.startswith(("/", "~")) and path != "/dev/null"
        if outside or set(inner.split("/")) & {"..", ".git"}:
            raise UsageError(f"{mail.source}: the path {clean(path)} leaves the tree")


def first(series: PatchSeries, count: int) -> Path:
    """Return the folder of the first `count` patches."""
    return _keep(series.name, [(p.name, p.read_bytes()) for p in series.patches[:count]])


def _file(number: int, mail: Mail) -> tuple[str, bytes]:
    """Name and content of a patch."""
    word = re.sub(r"[^A-Za-z0-9.]+", "-", mail.subject).strip("-.")[:52]
    text = mail.text.encode("utf-8", errors="surrogateescape")
    return f"{number:04}-{word or 'patch'}.patch", text


def _keep(name: str, files: Sequence[tuple[str, bytes]]) -> Path:
    """The folder of these patches in the cache, made when missing, as a whole."""
    texts = [text for _, text in files]
    whole = hashlib.sha256(b"".join(hashlib.sha256(text).digest() for text in texts)).hexdigest()
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem).strip("-.")[:40]
    folder = cache_dir("series") / f"{word or 'series'}-{whole[:8]}"
    if folder.is_dir():
        return folder
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".tmp-"))
    try:
        for file, text in files:
            (staged / file).write_bytes(text)
        staged.chmod(0o755)
        if not folder.is_dir():
            staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder


def kernel_tree(folder: Path | None) -> Path | None:
    """Return the top of the git tree that `folder` (default: the current one) is in, or None."""
    done = run(folder or Path.cwd(), "rev-parse", "--show-toplevel", env=plain_env())
    top = done.stdout.strip()
    return Path(top) if done.returncode == 0 and top else None
