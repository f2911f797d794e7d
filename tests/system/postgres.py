# SPDX-License-Identifier: GPL-2.0-only
"""A PostgreSQL server of the tests' own: on a Unix socket in a folder, without a port."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

USER = "s2eval"
SECONDS = 60  # for starting and for stopping
FLAGS = ["-k", "{folder}", "-c", "listen_addresses=", "-c", "fsync=off"]


def programs() -> Path:
    """Where initdb and pg_ctl are; skips the test without them."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin")]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve().parent)
    for folder in sorted(found, reverse=True):
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    pytest.skip(
        "PostgreSQL is not installed (./bootstrap test does): the history there is not tested"
    )


def unprivileged() -> list[str]:
    """How to start a program as somebody else than root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return []
    return [
        "setpriv",
        "--reuid",
        "nobody",
        "--regid",
        str(_nobody().pw_gid),
        "--clear-groups",
        "--",
    ]


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A server until the end of the block: the URL of its database."""
    place = programs()
    # /tmp: a socket's path is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="s2eval-pg-", dir="/tmp") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, _nobody().pw_uid, _nobody().pw_gid)
        data, log = folder / "data", folder / "log"
        _run([place / "initdb", "-A", "trust", "-U", USER, "-E", "UTF8", "-N", "-D", data], folder)
        flags = " ".join(flag.format(folder=folder) for flag in FLAGS)
        control = [place / "pg_ctl", "-w", "-t", str(SECONDS), "-D", data]
        _run([*control, "-l", log, "-o", flags, "start"], folder)
        try:
            yield f"postgresql://{USER}@/postgres?host={folder}"
        finally:
            _run([*control, "-m", "immediate", "stop"], folder)


def _run(command: Sequence[object], folder: Path) -> None:
    done = subprocess.run(
        [*unprivileged(), *map(str, command)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=2 * SECONDS,
    )
    assert done.returncode == 0, done.stdout
