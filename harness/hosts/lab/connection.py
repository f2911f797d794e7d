# SPDX-License-Identifier: GPL-2.0-only
"""One SSH connection to a lab host, opened within a deadline, its host key checked.

fabric reads ~/.ssh/config and opens jump hosts; what it leaves open is set here: it adds unknown
host keys silently, waits an hour for a channel, and for SSH on a connection without an end.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fabric
import paramiko
from paramiko.ssh_exception import (
    AuthenticationException,
    BadHostKeyException,
    PasswordRequiredException,
)

from harness.base.deadline import Deadline
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import HostFile, own_known_hosts, parse_address

_NO_KEYS = "No authentication methods available"  # paramiko's words, of its own side
# LabError tells what becomes of a connection: paramiko would print tracebacks of its threads.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

TCP_DEAD = 60_000  # milliseconds without an acknowledgement (tcp(7), TCP_USER_TIMEOUT)


class UnknownHostKey(paramiko.SSHException):
    """A machine has a `key` that is in no file of known hosts."""

    def __init__(self, name: str, key: paramiko.PKey) -> None:
        super().__init__(f"{name} has an unknown key")
        self.name = name
        self.key = key


class UnknownHostKeyError(LabError):
    """The fault that a machine's `key` is in no file of known hosts; `name` is its name there."""

    def __init__(self, host: str, cause: str, unknown: UnknownHostKey) -> None:
        super().__init__(host, Step.HOST_KEY, cause)
        self.name = unknown.name
        self.key = unknown.key


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        raise UnknownHostKey(hostname, key)


class _Accept(paramiko.MissingHostKeyPolicy):
    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        remember_host_key(hostname, key)


def remember_host_key(name: str, key: paramiko.PKey) -> None:
    """Add a key to s2eval's own known hosts. The user's file is never written to.

    Raise OSError when that cannot be written.
    """
    file = own_known_hosts()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(f"{name} {key.get_name()} {key.get_base64()}\n")


def fingerprint(key: paramiko.PKey) -> str:
    """Return a host key as `ssh-keygen -l` shows it: `ssh-ed25519 SHA256:…`."""
    return f"{key.get_name()} {key.fingerprint}"


def open_connection(host: HostFile, deadline: Deadline) -> fabric.Connection:
    """Return an open connection to `host`. Raise LabError with the step that failed.

    The steps are network, ssh, host key and key; those of the jump host say so.
    """
    connection = _prepare(host, deadline)
    try:
        with called_after(deadline.left(), lambda: _break_off(connection)):
            for hop in reversed(list(_hops(connection))):
                _open(host, hop, deadline, jump=hop is not connection)
        return connection
    except BaseException:
        close_connection(connection)
        raise


def close_connection(connection: fabric.Connection) -> None:
    """Close a connection and those of its jump hosts; an error of that is no news."""
    for hop in _hops(connection):
        with contextlib.suppress(Exception):
            hop.close()
        with contextlib.suppress(Exception):
            hop.client.close()


def _prepare(host: HostFile, deadline: Deadline) -> fabric.Connection:
    """Return the connection, not yet open, with its jump hosts."""
    config = _ssh_config(host)
    arguments: dict[str, Any] = {}
    if host.key:
        key = str(Path(host.key).expanduser())
        if not Path(key).is_file():
            raise LabError(host.name, Step.KEY, f"{key}: no such file (`key` in its file)")
        arguments = {"key_filename": [key], "look_for_keys": False}
    gateway = None
    if host.jump:
        to = parse_address(host.jump)
        gateway = fabric.Connection(
            to.host, user=to.user or None, port=to.port or None, config=config,
            connect_kwargs=dict(arguments),
        )  # fmt: skip
    to = host.to
    connection = fabric.Connection(
        to.host, user=to.user or None, port=to.port or None, config=config, gateway=gateway,
        connect_kwargs=dict(arguments),
    )  # fmt: skip
    for hop in _hops(connection):
        _set_up(host, hop, deadline)
    return connection


def _ssh_config(host: HostFile) -> fabric.Config:
    """Return what ~/.ssh/config and /etc/ssh/ssh_config say, or the file that the host's names."""
    if host.ssh_config == HostFile.model_fields["ssh_config"].default:
        return fabric.Config()
    if not host.ssh_config:
        return fabric.Config(ssh_config=paramiko.SSHConfig())
    return fabric.Config(runtime_ssh_path=str(Path(host.ssh_config).expanduser()))


def _set_up(host: HostFile, hop: fabric.Connection, deadline: Deadline) -> None:
    """Set a connection's time-outs and known hosts."""
    hop.connect_timeout = None
    hop.connect_kwargs.update(dict.fromkeys(
        ("timeout", "banner_timeout", "auth_timeout", "channel_timeout"), max(deadline.left(), 0.1)
    ))  # fmt: skip
    policy = _Accept() if host.host_key == "accept-new" else _Refuse()
    hop.client.set_missing_host_key_policy(policy)
    for file in (own_known_hosts(), Path(host.known_hosts).expanduser()):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            hop.client.load_system_host_keys(str(file))


def _hops(connection: fabric.Connection) -> Iterator[fabric.Connection]:
    """Yield the connection, its jump host, and those of that one."""
    hop: Any = connection
    while isinstance(hop, fabric.Connection):
        yield hop
        hop = hop.gateway


@contextlib.contextmanager
def called_after(seconds: float, call: Callable[[], object]) -> Iterator[None]:
    """Call `call` in another thread after `seconds`, should the block not be left by then."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _break_off(connection: fabric.Connection) -> None:
    """End the opening of a connection, in whatever step it is.

    The time-outs of its steps each begin anew, and not every step has one.
    """
    for hop in _hops(connection):
        transport = hop.client.get_transport()
        if transport:
            transport.close()


def _open(host: HostFile, hop: fabric.Connection, deadline: Deadline, *, jump: bool) -> None:
    """Open one connection. Raise LabError with its step."""
    where = f"{hop.user}@{hop.host}:{hop.port}"
    who = f"the jump host {where}" if jump else where
    try:
        hop.open()
        _watch_tcp(hop)
    except (paramiko.SSHException, EOFError, OSError, ValueError) as error:
        if isinstance(error, UnknownHostKey):
            raise UnknownHostKeyError(host.name, f"{who}: {_unknown(host, error)}", error) from None
        step, cause = _why_not(host, error)
        if deadline.over and step in (Step.NETWORK, Step.SSH, Step.KEY):
            # It was closed, in whatever it was.
            step = Step.NETWORK if isinstance(error, TimeoutError) else Step.SSH
            cause = f"no answer within {deadline.seconds:.3g} s ({host.key_of('connect')})"
        raise LabError(host.name, step, f"{who}: {cause}") from None


def _why_not(host: HostFile, error: Exception) -> tuple[Step, str]:
    """Return the step in which a connection was not made, and why; of known machines."""
    step, cause = Step.SSH, _words(error)
    if isinstance(error, BadHostKeyException):
        step, cause = Step.HOST_KEY, _changed(host, error)
    elif isinstance(error, PasswordRequiredException):
        step, cause = Step.KEY, "the key has a passphrase: ssh-add it before"
    elif isinstance(error, AuthenticationException) or _NO_KEYS in str(error):
        step, cause = Step.KEY, _refused(host, error)
    elif isinstance(error, socket.gaierror):
        step, cause = Step.NETWORK, f"{error.strerror or error}: is the address right?"
    elif isinstance(error, OSError):
        step, cause = Step.NETWORK, error.strerror or _words(error)
    elif isinstance(error, ValueError) or "private key file" in str(error):
        step = Step.KEY
    return step, cause


def _watch_tcp(hop: fabric.Connection) -> None:
    """Let the kernel end a connection whose other end does not acknowledge any more."""
    sock = hop.transport.sock
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_DEAD)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _unknown(host: HostFile, error: UnknownHostKey) -> str:
    return (
        f"its key {fingerprint(error.key)} is not known: compare it with the machine's own "
        f"(ssh-keygen -lf /etc/ssh/ssh_host_…_key.pub there), then s2eval host add {host.name}"
    )


def _changed(host: HostFile, error: BadHostKeyException) -> str:
    return (
        f"its key has changed, {fingerprint(error.key)} instead of "
        f"{fingerprint(error.expected_key)}: another machine answers, or it was installed again; "
        f"then remove its line in {own_known_hosts()} or {host.known_hosts}"
    )


def _refused(host: HostFile, error: Exception) -> str:
    tried = host.key or "those of the agent and ~/.ssh"
    way = "ssh-copy-id, or `key` in its file"
    return f"the machine takes no key of ours ({tried}): {way} ({_words(error)})"


def _words(error: BaseException) -> str:
    """Return an error's message in one line; paramiko's have none at times."""
    return " ".join(str(error).split()) or type(error).__name__
