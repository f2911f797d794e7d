# SPDX-License-Identifier: GPL-2.0-only
"""What a bare root takes from this system: where packages come from, and whom to trust for it.

Who sets up a machine writes this by hand or has it from an installer; no package brings it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from harness.base.apt import KEYRING, parse_archives, uri_for

ADDED_CA = Path("/usr/local/share/ca-certificates")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# What apt is told of its way to the archive. The rest of a system's configuration is its own taste.
_APT = re.compile(r"Acquire::(https?|ftp|Check-|Proxy|Force|Max-FutureTime|By-Hash)")
_PIP = re.compile(
    r"(index-url|extra-index-url|proxy|cert|client-cert|trusted-host|default-timeout|timeout|retries)$"
)
_SOURCES = """\
Types: deb
URIs: {uri}
Suites: {suites}
Components: main
Signed-By: {keyring}

"""


def apt_sources(suite: str) -> str:
    """Sources of `suite`, as Debian's installer writes them, from this system's archives.

    Raises MachineError when the system's apt knows no Debian archive.
    """
    archives = parse_archives(
        said("apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(ORIGIN)")
    )
    text = _SOURCES.format(
        uri=uri_for(suite, archives), suites=f"{suite} {suite}-updates", keyring=KEYRING
    )
    if any(archive.suite.endswith("-security") for archive in archives):
        security = f"{suite}-security"
        text += _SOURCES.format(uri=uri_for(security, archives), suites=security, keyring=KEYRING)
    return text


def apt_configuration(dump: str) -> str:
    """The lines of `apt-config dump` that say how to reach an archive."""
    return "".join(f"{line}\n" for line in dump.splitlines() if _APT.match(line))


def pip_configuration(listed: str) -> str:
    """A pip.conf from `pip config list`. Folders of this system are left out: no other has them."""
    kept: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, quoted = line.partition("=")
        option = name.rpartition(".")[2]
        if not _PIP.match(option):
            continue
        value = quoted[1:-1].encode().decode("unicode_escape")
        words = [word for word in value.split() if not word.startswith("file:")]
        if words:
            kept[option] = " ".join(words)
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in kept.items()), ""])


def copy_system(root: Path, suite: str) -> None:
    """Write the system's part into `root`. Raises MachineError as apt_sources does."""
    apt = root / "etc/apt"
    for old in [apt / "sources.list", *(apt / "sources.list.d").iterdir()]:
        old.unlink(missing_ok=True)
    (apt / "sources.list.d/debian.sources").write_text(apt_sources(suite))
    (apt / "apt.conf.d/99mmdebstrap").unlink(missing_ok=True)
    (apt / "apt.conf.d/90system").write_text(apt_configuration(said("apt-config", "dump")))
    for name in ("auth.conf", "auth.conf.d"):
        source = Path("/etc/apt", name)
        if source.is_dir():
            shutil.copytree(source, apt / name, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy(source, apt / name)
    pip = pip_configuration(said(sys.executable, "-m", "pip", "config", "list"))
    (root / "etc/pip.conf").write_text(pip)
    for name in ("resolv.conf", "hosts"):
        target = root / "etc" / name
        target.unlink(missing_ok=True)
        target.write_bytes(Path("/etc", name).read_bytes())
    if ADDED_CA.is_dir():
        shutil.copytree(ADDED_CA, root / str(ADDED_CA)[1:], dirs_exist_ok=True)
    _copy_certificates(root, pip + (apt / "apt.conf.d/90system").read_text())


def _copy_certificates(root: Path, text: str) -> None:
    """The files that `text` names and `root` lacks, e.g. a client's certificate."""
    for name in re.findall(r'(?:= |")(/[^"\s;]+)', text):
        target = root / name[1:]
        if Path(name).is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, target)


def proxies() -> dict[str, str]:
    """The variables that name a proxy here."""
    names = [*PROXIES, *(name.upper() for name in PROXIES)]
    return {name: os.environ[name] for name in names if name in os.environ}


def said(*command: str) -> str:
    env = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{shlex.join(command)}: {done.stderr.strip()}")
    return done.stdout
