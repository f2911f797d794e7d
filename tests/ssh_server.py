# SPDX-License-Identifier: GPL-2.0-only
"""A real OpenSSH server on loopback, an ordinary process with keys and a configuration of its own.

sshd is the system's, or Debian's package unpacked in the cache: to install that would open port 22
of a developer's machine. As root it runs in namespaces, where there is the user that it wants, and
in which all that it has started ends with it.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import platform
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.base.apt import download, unpack
from harness.base.deadline import Deadline
from harness.base.files import replacing
from harness.base.locks import locked
from harness.base.paths import cache_dir
from harness.base.process import start
from harness.hosts.lab.hostfile import HostFile

# What a minimal system has not: the server, and libraries that it loads, by Debian's release.
PACKAGES = ["openssh-server", "libwrap0"]
MORE = {"trixie": ["libwtmpdb0"]}
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PidFile none
MaxStartups 100
AllowTcpForwarding yes
{more}
"""
IN_NAMESPACES = """
mount --bind {folder}/passwd /etc/passwd && mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd &&
exec "$@"
"""
SESSIONS = (b"sshd: ", b"sshd-session: ", b"sshd-auth: ")  # the latter two since OpenSSH 9.8, 10.0
PATIENCE = 60.0  # seconds; only a failing test waits that long


@functools.cache
def sshd() -> tuple[Path, dict[str, str]]:
    """Return sshd and the environment that it needs. Raise MachineError when it cannot be had."""
    if own := shutil.which("sshd", path="/usr/sbin:/usr/local/sbin"):
        return Path(own), {}
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    packages = [*PACKAGES, *MORE.get(codename, [])]
    root = cache_dir("ssh-server") / "-".join([codename, *packages])
    with locked(cache_dir("ssh-server") / "lock", "sshd of the tests", Deadline(PATIENCE * 10)):
        if not root.is_dir():
            with replacing(root) as unfinished:
                suites = [codename, f"{codename}-updates", f"{codename}-security"]
                for deb in download(packages, cache_dir("ssh-server", "debs"), suites):
                    unpack(deb, unfinished)
    libraries = sorted({str(path.parent) for path in root.rglob("lib*.so*")})
    return root / "usr/sbin/sshd", {"LD_LIBRARY_PATH": ":".join(libraries)}


def _parts(program: Path) -> list[str]:
    """Options that tell an unpacked sshd of OpenSSH 9.8 and newer where its other programs are."""
    names = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
    found = {key: program.parents[1] / "lib/openssh" / name for key, name in names.items()}
    return [
        word for key, path in found.items() if path.is_file() for word in ("-o", f"{key}={path}")
    ]


def free_port() -> int:
    """Return a port of loopback that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def make_key(path: Path, comment: str = "test") -> str:
    """Make a key pair; return the public one."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_suffix(".pub").read_text()


class SshServer:
    """The server. A context manager: at its end it and all that it started are gone."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.user = getpass.getuser()
        self.key = folder / "key"
        self.known_hosts = folder / "known_hosts"
        self.log = folder / "sshd.log"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "authorized_keys").write_text(make_key(self.key))
        self.new_host_key()
        self.trust()
        config = CONFIG.format(port=self.port, folder=folder, more=more)
        (folder / "config").write_text(config)
        (folder / "home").mkdir()
        (folder / "passwd").write_text(
            f"root:x:0:0::{folder}/home:/bin/sh\n"  # what ~/.bashrc may do here is not ours
            "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
        )

    def __enter__(self) -> SshServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def new_host_key(self) -> None:
        """Give the server another key, as one that was installed anew has."""
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink(missing_ok=True)
        make_key(self.folder / "host_key")

    def trust(self, *ports: int) -> None:
        """Make the server's key the known one, on these ports of loopback as well."""
        public = " ".join((self.folder / "host_key.pub").read_text().split()[:2])
        lines = [f"[127.0.0.1]:{port} {public}\n" for port in (self.port, *ports)]
        self.known_hosts.write_text("".join(lines))

    def host(self, **values: Any) -> HostFile:
        """Return the file of a host that is this server."""
        return HostFile.model_validate(self.values() | values)

    def values(self) -> dict[str, Any]:
        """Return the keys of such a file."""
        return {
            "name": "bench",
            "address": f"{self.user}@127.0.0.1:{self.port}",
            "key": str(self.key),
            "known_hosts": str(self.known_hosts),
            "ssh_config": "",
            "folder": str(self.folder / "on-the-machine"),
        }

    def start(self) -> None:
        """Start the server and wait until it listens."""
        program, environment = sshd()
        command = [str(program), "-D", "-e", "-f", str(self.folder / "config"), *_parts(program)]
        if os.geteuid() == 0:
            script = IN_NAMESPACES.format(folder=self.folder)
            inside = ["sh", "-c", script, "sh", *command]
            spaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
            command = ["unshare", *spaces, *inside]
        with self.log.open("ab") as log:
            self._process = start(command, stderr=log, env={**os.environ, **environment})
        end = time.monotonic() + PATIENCE
        while not self._listens():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server, and the sessions that it has started."""
        if self._process is None:
            return
        for pid in [self._process.pid, *_descendants(self._process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None

    def cut(self) -> None:
        """End all connections; the server goes on."""
        assert self._process
        for pid in _sessions(self._process.pid):
            os.kill(pid, signal.SIGKILL)

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


def _descendants(pid: int) -> list[int]:
    """Return the processes below `pid`, those of other namespaces by their numbers here."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    children = [int(word) for word in text.split()]
    return children + [below for child in children for below in _descendants(child)]


def _sessions(pid: int) -> list[int]:
    """Return sshd's processes for connections: its children, not the one that listens."""
    found = []
    for below in _descendants(pid):
        try:
            title = Path(f"/proc/{below}/cmdline").read_bytes()
        except FileNotFoundError:
            continue
        if title.startswith(SESSIONS) and b"[listener]" not in title:
            found.append(below)
    return found


class Proxy:
    """A TCP proxy on loopback to `port`, which can slow a connection down, cut it, or say nothing.

    `rate` is in bytes a second in either direction, 0 for no limit. `cut_after`: bytes from the
    client after which its connection is cut, once. `mute`: what is accepted goes nowhere.
    """

    def __init__(self, port: int, *, rate: int = 0, cut_after: int = 0, mute: bool = False) -> None:
        self.rate = rate
        self.cut_after = cut_after
        self.mute = mute
        self.cuts = 0
        self._target = port
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # close() alone says nothing while it is read
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets.append(server)
            self._thread(lambda c=client, s=server: self._copy(c, s, counted=True))  # type: ignore[misc]
            self._thread(lambda c=client, s=server: self._copy(s, c, counted=False))  # type: ignore[misc]

    def _thread(self, call: Callable[[], None]) -> None:
        threading.Thread(target=call, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, *, counted: bool) -> None:
        passed = 0
        try:
            while data := source.recv(4096 if self.rate else 65536):
                if self.mute:
                    continue
                if self.rate:
                    time.sleep(len(data) / self.rate)
                passed += len(data)
                if counted and self.cut_after and passed > self.cut_after:
                    self.cut_after = 0
                    self.cuts += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
