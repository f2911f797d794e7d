# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages without touching the system: a private apt in the cache.

Mirror addresses come from the system's own apt configuration; signatures are checked with
Debian's archive keyring, so that only a Debian archive can answer. Works for any architecture
Debian has and, because nothing outside the cache is written, for any user.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from harness.base.deadline import Deadline
from harness.base.errors import DiskFullError, MachineError
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.base.process import ToolMissingError, run_quiet

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
REFRESH_SECONDS = 24 * 3600
APT_SECONDS = 2 * 3600.0  # for a kernel's source, 150 MB, over a line of 200 kbit/s

# Everything apt would take from or leave in the system is redirected. #clear drops hooks of the
# system (container images delete the system's package cache in one). The pin makes the newest
# version win whatever suite it is in; backports would otherwise lose.
_CONF = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "{arch}";
#clear APT::Architectures;
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc::sourcelist "{folder}/{sources}";
Dir::Etc::sourceparts "{folder}/none";
Dir::Etc::preferences "{folder}/preferences";
Dir::Etc::preferencesparts "{folder}/none";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::archives "{folder}/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
"""
_PREFERENCES = "Package: *\nPin: release *\nPin-Priority: 500\n"
_SOURCE = """\
Types: deb
URIs: {uri}
Suites: {suite}
Components: main
Targets: Packages
Signed-By: {keyring}

"""


@dataclass(frozen=True)
class Archive:
    """One archive of the system's configuration: `uri` and a suite the system uses from it."""

    uri: str
    suite: str
    origin: str  # empty when the system has never fetched the archive's lists


@dataclass(frozen=True)
class Candidate:
    """What `apt-get download` would fetch."""

    package: str
    version: str
    file_name: str
    sha256: str


def parse_archives(text: str) -> list[Archive]:
    """Return the Debian archives in the output of `apt-get indextargets`, in its order, each once.

    Another distribution's archive says so in its Origin. Archives without lists have none: they
    are kept, for the keyring decides about them.
    """
    archives: dict[tuple[str, str], Archive] = {}
    for line in text.splitlines():
        uri, suite, origin = line.split("|")
        if origin in {"Debian", ""}:
            archive = Archive(uri.rstrip("/"), suite, origin)
            archives.setdefault((archive.uri, suite), archive)
    return sorted(archives.values(), key=lambda archive: archive.origin == "")


def uri_for(suite: str, archives: list[Archive]) -> str:
    """Return the archive to ask for `suite`; security suites live in an archive of their own.

    Raise MachineError when the configuration has no such archive.
    """
    security = suite.endswith("-security")
    for archive in archives:
        if archive.suite.endswith("-security") == security:
            return archive.uri
    kind = "Debian security archive" if security else "Debian archive"
    raise MachineError(
        f"no {kind} in this system's apt sources: {suite} cannot be fetched; use tree:PATH for a "
        "kernel and install the tools by hand (s2eval doctor)"
    )


def host_arch() -> str:
    """Return Debian's name of this machine's architecture, e.g. `amd64`."""
    return _run(["dpkg", "--print-architecture"]).strip()


def download(
    packages: list[str], dest: Path, suites: list[str], arch: str | None = None
) -> list[Path]:
    """Fetch the newest version of each package in `suites` into `dest`, return the .deb paths.

    Dependencies are not followed (`download_closure` does). A security suite is left out when the
    system has no security archive. Files that are there already are checked and kept.
    Raise MachineError: no Debian archive, no network, unknown package, no space.
    """
    with _private_apt(suites, arch) as conf:
        return _fetch(conf, dest, _ask(conf, packages))


def download_closure(
    packages: list[str], dest: Path, suites: list[str], arch: str | None = None
) -> list[Path]:
    """Do as download(), with all that the packages depend on, as if nothing were installed."""
    with _private_apt(suites, arch) as conf:
        command = ["apt-get", "-qq", "-y", "-c", str(conf), "--print-uris"]
        out = _run([*command, "--no-install-recommends", "install", *packages])
        # Where it installs, apt names an MD5 sum only: the packages are asked for once more.
        return _fetch(conf, dest, _ask(conf, [_name(line) for line in out.splitlines()]))


def candidate(
    package: str, suites: list[str], arch: str | None = None, *, refresh: bool = False
) -> Candidate:
    """Return what download() would fetch, without fetching it; `refresh` asks the archive anew.

    Raise MachineError as download() does.
    """
    with _private_apt(suites, arch, refresh=refresh) as conf:
        return _ask(conf, [package])[0]


def unpack(deb: Path, dest: Path) -> None:
    """Unpack the files of a package below `dest`; nothing of it is run. Raise MachineError."""
    dest.mkdir(parents=True, exist_ok=True)
    _run(["dpkg-deb", "-x", str(deb), str(dest)])


@contextmanager
def _private_apt(suites: list[str], arch: str | None, *, refresh: bool = False) -> Iterator[Path]:
    """The private configuration file for `suites`, with lists at most a day old; locked."""
    if not KEYRING.exists():
        raise MachineError(f"{KEYRING} is missing: install debian-archive-keyring")
    archives = _archives()
    arch = arch or host_arch()
    folder = cache_dir("apt", arch)
    if not any(archive.suite.endswith("-security") for archive in archives):
        suites = [suite for suite in suites if not suite.endswith("-security")]
    with locked(folder / "lock", f"Debian's packages for {arch}", Deadline(APT_SECONDS)):
        for part in ("lists/partial", "archives/partial", "none"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "preferences").write_text(_PREFERENCES)
        uris = {suite: uri_for(suite, archives) for suite in suites}
        stale = [suite for suite in suites if refresh or not _fresh(folder, suite, uris[suite])]
        if stale:
            conf = _configure(folder, "stale", {suite: uris[suite] for suite in stale}, arch)
            _run(["apt-get", "-qq", "-c", str(conf), "update"])
            for suite in stale:
                (folder / f"{suite}.stamp").write_text(uris[suite])
        yield _configure(folder, "wanted", uris, arch)


def _fresh(folder: Path, suite: str, uri: str) -> bool:
    """Whether the lists of a suite are from `uri` and at most a day old."""
    stamp = folder / f"{suite}.stamp"
    if not stamp.exists() or stamp.read_text() != uri:
        return False
    return time.time() - stamp.stat().st_mtime < REFRESH_SECONDS


def _configure(folder: Path, name: str, uris: dict[str, str], arch: str) -> Path:
    """Write sources and configuration for suites (`uris`: suite to archive)."""
    sources = "".join(
        _SOURCE.format(uri=uri, suite=suite, keyring=KEYRING) for suite, uri in uris.items()
    )
    (folder / f"{name}.sources").write_text(sources)
    conf = folder / f"{name}.conf"
    conf.write_text(_CONF.format(folder=folder, sources=f"{name}.sources", arch=arch))
    return conf


def _archives() -> list[Archive]:
    if not shutil.which("apt-get"):
        raise MachineError(
            "apt-get is missing: Debian's packages can only be fetched on Debian; "
            "use tree:PATH for a kernel"
        )
    return parse_archives(
        _run(["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(ORIGIN)"])
    )


def _ask(conf: Path, packages: list[str]) -> list[Candidate]:
    """What apt would download, from its lines `'URI' FILE SIZE SHA256:HASH`."""
    out = _run(["apt-get", "-qq", "-c", str(conf), "--print-uris", "download", *packages])
    candidates = []
    for line in out.splitlines():
        _, name, _, digest = line.split()
        if not digest.startswith("SHA256:"):
            raise MachineError(f"the archive has no SHA256 of {name}")
        package, _, version = _name(line).partition("=")
        candidates.append(Candidate(package, version, name, digest.removeprefix("SHA256:")))
    return candidates


def _name(line: str) -> str:
    """`PACKAGE=VERSION` of a line of --print-uris; file names are PACKAGE_VERSION_ARCH.deb."""
    package, version, _ = line.split()[1].split("_")
    return f"{package}={unquote(version)}"


def _fetch(conf: Path, dest: Path, wanted: list[Candidate]) -> list[Path]:
    dest.mkdir(parents=True, exist_ok=True)
    missing = [one for one in wanted if not _matches(dest / one.file_name, one.sha256)]
    if missing:
        names = [f"{one.package}={one.version}" for one in missing]
        _run(["apt-get", "-qq", "-c", str(conf), "download", *names], cwd=dest)
    return [dest / one.file_name for one in wanted]


def _matches(path: Path, sha256: str) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _run(command: list[str], cwd: Path | None = None) -> str:
    """Run a tool quietly; its first error line becomes the MachineError."""
    env = {**os.environ, "LC_ALL": "C"}
    try:
        done = run_quiet(command, Deadline(APT_SECONDS), cwd=cwd, env=env)
    except ToolMissingError as error:
        raise ToolMissingError(f"{command[0]} is missing: Debian's packages need it") from error
    if done.returncode == 0:
        return done.stdout
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise DiskFullError(f"no space left for Debian's packages in {cache_dir()}")
    lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg-deb:"))]
    reason = lines[0].removeprefix("E: ") if lines else f"exit status {done.returncode}"
    raise MachineError(f"{command[0]}: {reason}")
