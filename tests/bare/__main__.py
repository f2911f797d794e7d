# SPDX-License-Identifier: GPL-2.0-only
"""`./bootstrap run` and `./bootstrap test` on a bare Debian: `python -m tests.bare [OPTION...]`.

Makes a minimal root of each release with a clean clone of HEAD in it, and runs the two commands
there: as root and as an ordinary user, with a terminal and without. Run as root.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import MachineError
from harness.base.signals import end_in_good_order
from tests.bare import measure, said
from tests.bare.root import SUITES, Bare, base, builder, check_folder, unpack
from tests.bare.space import Ended, SpaceError

MINUTES = 180.0


@dataclass(frozen=True)
class Combination:
    """A release, who works on it, and whether at a terminal."""

    release: str
    user: str
    terminal: bool

    def __str__(self) -> str:
        terminal = "terminal" if self.terminal else "no terminal"
        return f"Debian {self.release}, {self.user}, {terminal}"

    @property
    def name(self) -> str:
        return f"{self.release}-{self.user}-{'tty' if self.terminal else 'notty'}"


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    combinations: list[Combination]
    verbs: list[str]
    arguments: list[str]  # of ./bootstrap test
    cache: Path | None
    keep: bool
    minutes: float


def main(arguments: list[str] | None = None) -> int:
    """Run the combinations; 1 when one fails, 125 when they cannot be run here."""
    given = _parser().parse_args(arguments)
    end_in_good_order()
    try:
        wanted = _wanted(given)
        if os.geteuid() != 0:
            raise MachineError("only root can make a Debian root and its namespaces: use sudo")
        builder()
        with _folder(given.root) as folder:
            check_folder(folder)
            return _all(wanted, folder)
    except (MachineError, SpaceError, OSError) as error:
        print(f"tests.bare: {error}", file=sys.stderr)
        return 125
    except KeyboardInterrupt:
        print("tests.bare: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--release", choices=[*SUITES, "both"], default="both", help="of Debian")
    add("--user", choices=["root", "ordinary", "both"], default="both", help="who runs them")
    add(
        "--terminal",
        action=argparse.BooleanOptionalAction,
        help="only with a terminal, or only without one; both when not given",
    )
    add("--verb", choices=["run", "test", "both"], default="both", help="of ./bootstrap")
    add(
        "--cache",
        metavar="DIR",
        type=Path,
        help="share roots, packages and the cache (kernels, downloads) between all roots; without "
        "it everything is fetched and built",
    )
    add(
        "--root", metavar="DIR", type=Path, help="make the roots in here, not in a temporary folder"
    )
    add("--keep", action="store_true", help="keep the roots (they take gigabytes)")
    add("--minutes", type=float, default=MINUTES, help="that a command may take (%(default)s)")
    add("arguments", nargs="*", help="of ./bootstrap test, after --")
    return parser


def _wanted(given: argparse.Namespace) -> Wanted:
    releases = list(SUITES) if given.release == "both" else [given.release]
    users = ["root", "ordinary"] if given.user == "both" else [given.user]
    terminals = [True, False] if given.terminal is None else [given.terminal]
    verbs = ["run", "test"] if given.verb == "both" else [given.verb]
    every = itertools.product(releases, users, terminals)
    cache = given.cache.absolute() if given.cache else None
    combinations = [Combination(*one) for one in every]
    return Wanted(combinations, verbs, given.arguments, cache, given.keep, given.minutes)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Where roots are made: `given`, or a temporary folder that is removed unless it has logs."""
    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given.absolute()
        return
    # Not /tmp, which may be memory: a root grows to gigabytes.
    parent = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="s2eval-bare-", dir=parent))
    try:
        yield folder
    finally:
        if not any(folder.glob("*/*.log")):
            shutil.rmtree(folder)


def _all(wanted: Wanted, folder: Path) -> int:
    failed = []
    for combination in wanted.combinations:
        at = folder / combination.name
        if (at / "root").exists():
            raise MachineError(f"{at} has a root of before: remove it first")
        with nullcontext() if wanted.keep else _removed(at):
            if not _one(combination, at, folder, wanted):
                failed.append(str(combination))
    if len(wanted.combinations) > 1:
        print(f"{len(wanted.combinations) - len(failed)} passed, {len(failed)} failed")
        for name in failed:
            print(f"  FAIL  {name}")
    return 1 if failed else 0


@contextmanager
def _removed(at: Path) -> Iterator[None]:
    """Remove the root in `at` in the end; logs of what failed stay."""
    try:
        yield
    finally:
        shutil.rmtree(at / "root", ignore_errors=True)
        if at.is_dir() and not any(at.glob("*.log")):
            at.rmdir()


def _one(combination: Combination, at: Path, folder: Path, wanted: Wanted) -> bool:
    """Run the commands of one combination and print what came of them."""
    ordinary = combination.user == "ordinary"
    archive = base(combination.release, ordinary, (wanted.cache or folder) / "roots")
    bare = Bare(at / "root", combination.release, ordinary, wanted.cache)
    unpack(archive, bare)
    print(f"{combination} ({measure.disk(bare.folder) / 1e6:.0f} MB when new)", flush=True)
    passed = True
    for verb in wanted.verbs:
        if passed:
            passed = _verb(verb, bare, combination.terminal, at / f"{verb}.log", wanted)
    _say_disk(bare)
    return passed


def _verb(verb: str, bare: Bare, terminal: bool, log: Path, wanted: Wanted) -> bool:
    """Run ./bootstrap VERB and print its line; more when it failed."""
    command = [f"{bare.clone}/bootstrap", verb, *(wanted.arguments if verb == "test" else [])]
    own = tuple(bare.outside(name) for name in (f"{bare.home}/.cache", bare.clone))
    packages, before = measure.installed(bare.folder), measure.files(bare.folder, own)
    started = time.time()
    try:
        ended = bare.run(command, log, terminal=terminal, seconds=wanted.minutes * 60)
    except BaseException:
        log.unlink(missing_ok=True)
        raise
    now = measure.installed(bare.folder)
    new = {name: now[name] for name in now.keys() - packages.keys()}
    passed = ended.status == 0
    print(
        f"  {verb:<7} {'PASS' if passed else 'FAIL'}  {ended.seconds / 60:.1f} min, "
        f"{len(new)} packages installed ({sum(new.values()) / 1024:.0f} MB)",
        flush=True,
    )
    strays = measure.strays(bare.folder, before, own)
    for what, names in (
        ("running", ended.processes),
        ("mounted", ended.mounts),
        ("file", [*ended.files, *strays]),
    ):
        for name in names:
            print(f"  left    {what}: {name}")
    if not passed:
        _say_failure(bare, log, ended, started)
    elif not wanted.keep:
        log.unlink()
    return passed and not ended.processes and not ended.mounts


def _say_failure(bare: Bare, log: Path, ended: Ended, since: float) -> None:
    """Why a command failed, as far as it and the logs in its cache tell."""
    text = log.read_text(errors="replace")
    print(said.tail(text))
    how = "took too long" if ended.status is None else f"exit status {ended.status}"
    print(f"  failed: {how}; all it said is in {log}")
    cache = bare.cache / "home" if bare.cache else bare.outside(f"{bare.home}/.cache")
    for found in (cache / "s2eval/logs").rglob("*.log"):
        if found.stat().st_mtime >= since:
            text += found.read_text(errors="replace")
    if lacking := said.missing(text):
        print(f"  missing: {', '.join(lacking)}")


def _say_disk(bare: Bare) -> None:
    """What the root takes now."""
    clone, cache = bare.outside(bare.clone), bare.outside(f"{bare.home}/.cache")
    parts = {
        "system": measure.disk(bare.folder, without=(clone, cache)),
        "cache": measure.disk(bare.cache / "home" if bare.cache else cache),
        ".venv": measure.disk(clone / ".venv"),
        "results": measure.disk(clone / "results"),
    }
    print("  disk    " + ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in parts.items()))


if __name__ == "__main__":
    sys.exit(main())
