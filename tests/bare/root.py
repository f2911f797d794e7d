# SPDX-License-Identifier: GPL-2.0-only
"""A minimal root of a Debian release, with a clean clone of this repository in it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.base.apt import KEYRING
from harness.base.errors import MachineError
from harness.base.paths import ROOT as REPOSITORY
from tests.bare import system
from tests.bare.mounts import Shared
from tests.bare.space import Command, Ended, run

SUITES = {"12": "bookworm", "13": "trixie"}
# All that a root holds besides Debian's minbase (its essential and required packages, and apt).
# git is not there: the clone is made from outside, and bootstrap brings what s2eval wants.
INCLUDED = {"ca-certificates": "an archive or PyPI by https, and the authorities added here"}
FOR_USERS = {"sudo": "what an ordinary user's ./bootstrap installs packages with"}
USER, UID = "dev", 1000
DAY = 24 * 3600
BASE_SECONDS = 1800.0
# A user's PATH is as Debian's login gives it; root's also has the folders of sbin.
PATH = "/usr/local/bin:/usr/bin:/bin"
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Bare:
    """A root of `release` in `folder` and who works in it; many roots may share `cache`."""

    folder: Path
    release: str
    ordinary: bool
    cache: Path | None = None

    @property
    def home(self) -> str:
        return f"/home/{USER}" if self.ordinary else "/root"

    @property
    def clone(self) -> str:
        return f"{self.home}/s2eval"

    def outside(self, name: str) -> Path:
        """Where `name` of the root is in this system."""
        return self.folder / name.lstrip("/")

    def environment(self, terminal: bool) -> dict[str, str]:
        """What a login gives, and no more."""
        user = USER if self.ordinary else "root"
        names = {"HOME": self.home, "USER": user, "LOGNAME": user, "SHELL": "/bin/bash"}
        names["PATH"] = PATH if self.ordinary else ROOT_PATH
        if terminal:
            names["TERM"] = "xterm-256color"
        return {**names, **system.proxies()}

    def shared(self) -> list[Shared]:
        """The folder of the cache, where the root has it."""
        if not self.cache:
            return []
        source, target = self.cache / "home", f"{self.home}/.cache"
        source.mkdir(parents=True, exist_ok=True)
        self.outside(target).mkdir(parents=True, exist_ok=True)
        return [Shared(str(source), target, UID if self.ordinary else 0)]

    @contextmanager
    def packages(self) -> Iterator[None]:
        """Lend the cache's Debian packages to the root's apt, and keep what it fetches.

        Not the folder: apt locks that, and two roots may be set up at once.
        """
        if not self.cache:
            yield
            return
        kept, archives = self.cache / "debs", self.outside("/var/cache/apt/archives")
        for folder in (kept, archives):
            folder.mkdir(parents=True, exist_ok=True)
        _link_packages(kept, archives)
        try:
            yield
        finally:
            _link_packages(archives, kept)

    def run(self, command: list[str], log: Path, *, terminal: bool, seconds: float) -> Ended:
        """Run `command` in the clone as its user. Raises SpaceError."""
        with self.packages():
            return run(
                Command(
                    str(self.folder),
                    command,
                    self.clone,
                    self.environment(terminal),
                    str(log),
                    UID if self.ordinary else 0,
                    terminal,
                    seconds,
                    self.shared(),
                )
            )


def _link_packages(source: Path, target: Path) -> None:
    """Link the packages of `source`, which apt never changes, in `target`, or copy them there."""
    for deb in source.glob("*.deb"):
        new = target / deb.name
        with suppress(FileExistsError):
            try:
                new.hardlink_to(deb)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.copy(deb, new)


def builder() -> str:
    """The program that makes roots. Raises MachineError when there is none."""
    for name in ("mmdebstrap", "debootstrap"):
        if shutil.which(name):
            return name
    raise MachineError("no program here makes a Debian root: apt-get install mmdebstrap")


def check_folder(folder: Path) -> None:
    """Raise MachineError when a root in `folder` could not have programs or sudo."""
    flags = os.statvfs(folder).f_flag
    kinds = {"noexec": os.ST_NOEXEC, "nosuid": os.ST_NOSUID, "read-only": os.ST_RDONLY}
    for name, flag in kinds.items():
        if flags & flag:
            raise MachineError(f"{folder} is on a {name} mount: a root must be elsewhere (--root)")


def base(release: str, ordinary: bool, folder: Path) -> Path:
    """A tar archive in `folder` with the root of a release, made when missing or a day old.

    Raises MachineError: no builder, no archive in apt's configuration, no network.
    """
    program, suite = builder(), SUITES[release]
    packages = [*INCLUDED, *(FOR_USERS if ordinary else ())]
    sources = system.apt_sources(suite)
    digest = hashlib.sha256("\n".join([program, *packages, sources]).encode()).hexdigest()
    made = folder / f"{suite}-{digest[:16]}.tar"
    if made.exists() and time.time() - made.stat().st_mtime < DAY:
        return made
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / f"making-{os.getpid()}"
    work.mkdir()
    try:
        (work / "debian.sources").write_text(sources)
        _make_base(program, suite, packages, work)
        (work / "base.tar").rename(made)
    finally:
        shutil.rmtree(work)
    return made


def _make_base(program: str, suite: str, packages: list[str], work: Path) -> None:
    """Make base.tar in `work`."""
    tree, archive = str(work / "tree"), str(work / "base.tar")
    included = f"--include={','.join(packages)}"
    if program == "mmdebstrap":
        options = work / "apt.conf"
        options.write_text(system.apt_configuration(system.said("apt-config", "dump")))
        logins = 'cp -R /etc/apt/auth.conf* "$1/etc/apt/" 2>/dev/null || true'
        making = ["--variant=minbase", "--mode=root", included, f"--aptopt={options}"]
        making += [f"--setup-hook={logins}", suite, archive, str(work / "debian.sources")]
        _build([program, *making], work)
        return
    uri = re.findall("^URIs: (.*)$", (work / "debian.sources").read_text(), re.M)[0]
    _build([program, "--variant=minbase", included, f"--keyring={KEYRING}", suite, tree, uri], work)
    for deb in Path(tree, "var/cache/apt/archives").glob("*.deb"):
        deb.unlink()
    _build(["tar", "-C", tree, "--numeric-owner", "-cf", archive, "."], work)


def _build(command: list[str], work: Path) -> None:
    """Run a command of this system in namespaces of its own, so that it leaves nothing."""
    log = work / "log"
    program = shutil.which(command[0]) or command[0]
    environment = {**os.environ, "TMPDIR": str(work), "LC_ALL": "C"}
    ended = run(
        Command("/", [program, *command[1:]], "/", environment, str(log), seconds=BASE_SECONDS)
    )
    if ended.status:
        words = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        told = next((line for line in words if line.startswith("E: ")), (words or ["?"])[-1])
        raise MachineError(f"{command[0]} made no root: {told}")
    if ended.status is None:
        raise MachineError(f"{command[0]} made no root in {BASE_SECONDS / 60:.0f} minutes")


def unpack(archive: Path, bare: Bare) -> None:
    """Make the root of `bare` from its archive, with this system's part, its user and the clone.

    Raises MachineError.
    """
    bare.folder.mkdir(parents=True)
    _here("tar", "-C", str(bare.folder), "--numeric-owner", "-xpf", str(archive))
    system.copy_system(bare.folder, SUITES[bare.release])
    bare.outside("/etc/hostname").write_text("bare\n")
    steps = ["update-ca-certificates"]
    if bare.ordinary:
        steps.append(f"useradd --uid {UID} --create-home --shell /bin/bash {USER}")
        keep = f'Defaults env_keep += "{" ".join(system.PROXIES)}"'
        rules = bare.outside(f"/etc/sudoers.d/{USER}")
        rules.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n{keep}\n")
        rules.chmod(0o440)
    log = bare.folder.parent / "set-up.log"
    ended = run(
        Command(
            str(bare.folder),
            ["/bin/sh", "-ec", "\n".join(steps)],
            "/",
            {"PATH": ROOT_PATH, "HOME": "/root"},
            str(log),
        )
    )
    if ended.status != 0:
        raise MachineError(f"the root's set-up failed: {log.read_text(errors='replace')[-500:]}")
    log.unlink()
    clone = bare.outside(bare.clone)
    _here("git", "clone", "--quiet", "--no-local", str(REPOSITORY), str(clone))
    _here("git", "-C", str(clone), "remote", "remove", "origin")  # a folder the root has not
    if bare.ordinary:
        _here("chown", "-R", f"{UID}:{UID}", str(clone))


def _here(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MachineError(f"{command[0]}: {done.stderr.strip()}")
