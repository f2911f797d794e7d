# SPDX-License-Identifier: GPL-2.0-only
"""The tarball of a Debian source package, as a commit."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from harness.base.errors import DiskFullError, MachineError
from harness.base.process import start
from harness.base.signals import signals_held
from harness.kernel.git import git, own_env


def import_deb(deb: Path, work: Path, folder: Path, message: str) -> str:
    """Make a commit of a source package in the repository at `work`, and return it.

    The tarball is streamed into git without being written out; that gives about 1.3 GB of objects.
    `folder` is where there is room for a moment. Raise MachineError when the package is broken,
    DiskFullError without room for it.
    """
    for left in (work / ".git/objects/pack").glob("tmp_*"):
        left.unlink()
    ref = "refs/heads/import"
    commands = [
        ["dpkg-deb", "--fsys-tarfile", str(deb)],
        ["tar", "-xO", "--wildcards", "./usr/src/linux-source-*.tar.xz"],
        ["xz", "-dc", f"-T{os.cpu_count() or 1}"],
    ]
    importer = ["git", "-C", str(work), "fast-import", "--quiet", "--force", "--depth=0"]
    with tempfile.TemporaryFile(dir=folder) as errors, ExitStack() as running:
        pipe: IO[bytes] | None = None
        started = []
        for command in commands:
            started.append(_start(running, command, pipe, subprocess.PIPE, errors))
            if pipe:
                pipe.close()
            pipe = started[-1].stdout
        started.append(_start(running, importer, subprocess.PIPE, subprocess.DEVNULL, errors))
        sink = started[-1].stdin
        if pipe is None or sink is None:
            raise AssertionError("pipes were asked for")
        try:
            with pipe, sink:
                _stream(pipe, sink, ref, message)
            failed = any(process.wait() for process in started)
        except (tarfile.TarError, OSError):
            failed = True
        if failed:
            raise _import_error(deb.name, errors, folder)
    return git(work, "rev-parse", ref).strip()


def _start(
    running: ExitStack,
    command: list[str],
    stdin: IO[bytes] | int | None,
    stdout: int,
    errors: IO[bytes],
) -> subprocess.Popen[bytes]:
    """A stage of a pipe; `running` kills it on the way out unless it has ended."""
    try:
        with signals_held():
            process = start(command, stdin=stdin, stdout=stdout, stderr=errors, env=own_env())
            running.callback(process.wait)
            running.callback(process.kill)
    except FileNotFoundError as error:
        raise MachineError(f"{command[0]} is missing (s2eval doctor)") from error
    return process


def _import_error(name: str, errors: IO[bytes], folder: Path) -> MachineError:
    """What the stages of a pipe complained about: a full disk, else the last line."""
    errors.seek(0)
    complaints = errors.read().decode(errors="replace").strip()
    if os.strerror(errno.ENOSPC) in complaints or shutil.disk_usage(folder).free < 2**20:
        return DiskFullError(f"{name} cannot be imported: no space left in {folder}")
    reason = complaints.splitlines()[-1] if complaints else "no reason given"
    return MachineError(f"{name} cannot be imported: {reason}")


def _stream(archive: IO[bytes], out: IO[bytes], ref: str, message: str) -> None:
    """Tarball in, git-fast-import(1) commands out; the tarball's top folder is left out."""
    text = message.encode()
    out.write(b"commit %s\ncommitter s2eval <s2eval@localhost> 946684800 +0000\n" % ref.encode())
    out.write(b"data %d\n%s\n" % (len(text), text))
    with tarfile.open(fileobj=archive, mode="r|", bufsize=1 << 20) as tar:
        for member in tar:
            _, _, path = member.name.partition("/")
            if member.issym():
                mode, data = b"120000", member.linkname.encode()
            elif member.isfile():
                content = tar.extractfile(member)
                mode = b"100755" if member.mode & 0o100 else b"100644"
                data = content.read() if content else b""
            else:
                continue
            out.write(b"M %s inline %s\ndata %d\n" % (mode, path.encode(), len(data)))
            out.write(data)
            out.write(b"\n")
