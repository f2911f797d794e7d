# SPDX-License-Identifier: GPL-2.0-only
"""Where things are: what can be named on a command line, the cache, the results.

Whatever has a name is a file in one of these folders, the first one that has it:

    the current folder          what is being worked on
    each folder of S2EVAL_DATA  what several people share, separated by `:`
    $XDG_DATA_HOME/s2eval       the user's own, ~/.local/share/s2eval by default
    the project's               this checkout, or what the installed package carries

All of them look alike: kernels/, qemu-configs/, guest-tests/, plans/, and what is below these.
The environment is read when a function is called, not before.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from harness.base.errors import MachineError, UsageError
from harness.base.locks import share_until_exit

_PACKAGE = Path(__file__).resolve().parents[1]
_CARRIED = _PACKAGE / "data"  # where a wheel has them (pyproject.toml)
ROOT = _PACKAGE.parent  # of a checkout
INSTALLED = _CARRIED.is_dir() or not (ROOT / "pyproject.toml").is_file()
PROJECT = _CARRIED if INSTALLED else ROOT  # the project's own data folder
_MAIL_OF = re.compile(r"(.+)#(\d{1,6})")  # mail N of a mailbox
NEEDED = ("kernels", "qemu-configs", "guest-tests", "plans")


def data_folders() -> list[Path]:
    """Return the folders that are searched for names, in order; each is there and named once."""
    folders = [*_configured(), Path(platformdirs.user_data_dir("s2eval")), PROJECT]
    with contextlib.suppress(FileNotFoundError):  # the current folder may have been removed
        folders.insert(0, Path.cwd())
    return list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def _configured() -> list[Path]:
    return [Path(part) for part in os.environ.get("S2EVAL_DATA", "").split(":") if part]


@dataclass(frozen=True)
class Named:
    """Files with names: `folder`/NAME`suffix` in any of the data folders.

    The first data folder that has a name decides which file is meant.
    """

    folder: str
    suffix: str

    def folders(self) -> list[Path]:
        """Return this kind's folder in each of the data folders that has one, in order."""
        return [path for base in data_folders() if (path := base / self.folder).is_dir()]

    def files(self) -> dict[str, Path]:
        """Return the file of each name, sorted by name."""
        found: dict[str, Path] = {}
        for folder in self.folders():
            for path in folder.glob(f"*{self.suffix}"):
                found.setdefault(str(path.relative_to(folder)).removesuffix(self.suffix), path)
        return dict(sorted(found.items()))

    def find(self, name: str, behind: Path | None = None) -> Path | None:
        """Return the file of `name`, or None.

        `behind` is a file of this kind: only the data folders after its own are searched, so that
        a file can extend the project's one of the same name.
        """
        folders = self.folders()
        own = self._folder_of(behind) if behind else None
        if own in folders:
            folders = folders[folders.index(own) + 1 :]
        files = (folder / f"{name}{self.suffix}" for folder in folders)
        return next((path for path in files if path.is_file()), None)

    def _folder_of(self, file: Path) -> Path:
        return file.resolve().parents[self.suffix.count("/")]


KERNELS = Named("kernels", ".toml")
FRAGMENTS = Named("kernels/fragments", ".config")
SERIES = Named("kernels/patches", "")  # a series is a folder, also below another one
MACHINES = Named("qemu-configs", ".toml")
DEVICES = Named("qemu-configs/devices", ".toml")
HOSTS = Named("qemu-configs/hosts", ".toml")
TEMPLATES = Named("qemu-configs", ".j2")
SUITES = Named("guest-tests", "/suite.toml")
HEADERS = Named("guest-tests/include", ".h")
PLANS = Named("plans", ".toml")


def private_hosts() -> Path:
    """Return the folder of the user's own lab hosts; it need not be there."""
    return Path(platformdirs.user_config_dir("s2eval")) / "hosts"


def host_config(name: str) -> Path:
    """Return the file of a lab host's kernel configuration; it need not be there."""
    return private_hosts() / f"{name}.config"


def file_and_mail(name: str) -> tuple[Path, int] | None:
    """Return the file or folder that `name` is, and N of `FILE#N`, mail N of a mailbox; else None.

    N is 0 where none is named.
    """
    match = _MAIL_OF.fullmatch(name)
    for file, number in ((name, 0), *([(match[1], int(match[2]))] if match else [])):
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # too long; ~ of nobody
            path = Path(file).expanduser()
            if path.exists():
                return path, number
    return None


def own_program(name: str) -> Path:
    """Return the folder of the project's own program `name` for guests, e.g. `init`."""
    return PROJECT / "guest-tests" / name


def header_folders(sources: Path) -> list[Path]:
    """Return the folders with the headers that the suite in `sources` shares with others.

    The folder `include` beside the suite comes first, then those of the data folders, for a suite
    of a data folder those that are searched after its own.
    """
    beside, folders = (sources.parent / "include").resolve(), HEADERS.folders()
    if beside in folders:
        return folders[folders.index(beside) :]
    return [beside, *folders] if beside.is_dir() else folders


def shared_headers(sources: Path) -> dict[str, Path]:
    """Return the headers in header_folders() by the names they are included by, sorted."""
    found: dict[str, Path] = {}
    for folder in header_folders(sources):
        for path in sorted(folder.rglob("*.h")):
            found.setdefault(str(path.relative_to(folder)), path)
    return dict(sorted(found.items()))


def origin(path: Path) -> str:
    """Return the data folder that `path` is in, or "" for the project's."""
    for folder in data_folders():
        if path.resolve().is_relative_to(folder):
            return "" if folder == PROJECT else str(folder)
    return str(path.parent)


def check_installation() -> None:
    """Raise MachineError when the project's own data is missing, UsageError for a bad S2EVAL_DATA.

    Every command asks first: with nothing to name, each would fail in a way of its own.
    """
    missing = [name for name in NEEDED if not _has_files(PROJECT / name)]
    if missing:
        again = "pip install --force-reinstall s2eval" if INSTALLED else f"git -C {ROOT} restore ."
        raise MachineError(
            f"this s2eval is incomplete, {PROJECT} has no {' and no '.join(missing)}: {again}"
        )
    for folder in _configured():
        if not folder.is_dir():
            raise UsageError(f"S2EVAL_DATA: {folder}: no such folder")


def _has_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def make_environment_absolute() -> None:
    """Let relative paths in s2eval's variables begin in today's current folder from now on."""
    for name in ("S2EVAL_CACHE", "S2EVAL_RESULTS", "S2EVAL_QEMU"):
        value = os.environ.get(name, "")
        if value and (name != "S2EVAL_QEMU" or "/" in value):  # that may be a name on PATH
            os.environ[name] = str(Path(value).absolute())
    if folders := _configured():
        os.environ["S2EVAL_DATA"] = ":".join(str(folder.absolute()) for folder in folders)


def cache_dir(*parts: str) -> Path:
    """Return a folder in the cache, made when missing.

    `S2EVAL_CACHE` moves the cache; the default is `$XDG_CACHE_HOME/s2eval`. What uses it calls
    hold_cache() first.
    """
    folder = _cache().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hold_cache() -> None:
    """Keep `s2eval clean` from removing anything in the cache as long as this process lives.

    The cache is made when missing. Waits while it is being cleaned.
    """
    share_until_exit(cache_dir())


def _cache() -> Path:
    return Path(os.environ.get("S2EVAL_CACHE") or platformdirs.user_cache_dir("s2eval")).absolute()


def results_dir() -> Path:
    """Return the folder in which runs leave their records; it need not be there.

    `S2EVAL_RESULTS` names it. Otherwise it is `results` of the checkout that the current folder
    is, or is in, and `$XDG_STATE_HOME/s2eval/results` anywhere else.
    """
    if named := os.environ.get("S2EVAL_RESULTS"):
        return Path(named)
    checkout = _checkout()
    base = checkout or Path(platformdirs.user_state_dir("s2eval"))
    return base / "results"


def _checkout() -> Path | None:
    """The checkout of s2eval, of whichever version, that the current folder is in."""
    here = Path.cwd()
    marks = ("pyproject.toml", "harness/base/paths.py", *NEEDED)
    for folder in (here, *here.parents):
        if all((folder / mark).exists() for mark in marks):
            return folder
    return None
