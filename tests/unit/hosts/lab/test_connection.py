# SPDX-License-Identifier: GPL-2.0-only
"""Connecting to a real sshd, or to what is none: keys, host keys, jump hosts, and each fault."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness.base.errors import MachineError
from harness.hosts.lab.connection import fingerprint
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import own_known_hosts
from harness.hosts.lab.link import Link
from tests.ssh_server import Proxy, SshServer, make_key
from tests.unit.hosts.lab.conftest import PATIENCE, soon

LIMIT = 1.5  # seconds of what must be too late


def fault_of(server: SshServer, **values: object) -> LabError:
    """The fault of a connect() that must fail."""
    with Link(server.host(**values)) as link, pytest.raises(LabError) as error:
        link.connect(soon())
    assert isinstance(error.value, MachineError)  # MISS, never a FAIL
    assert "\n" not in str(error.value)
    return error.value


def test_ssh_that_accepts_and_is_mute(server: SshServer) -> None:
    with Proxy(server.port, mute=True) as proxy:
        began = time.monotonic()
        fault = fault_of(
            server, address=f"{server.user}@127.0.0.1:{proxy.port}", limits={"connect": LIMIT}
        )
    assert fault.step is Step.SSH
    assert "no answer within 1.5 s (connect in [limits] of the host bench)" in str(fault)
    assert time.monotonic() - began < PATIENCE


def test_a_key_that_is_refused(server: SshServer, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    fault = fault_of(server, key=str(tmp_path / "other"))
    assert fault.step is Step.KEY
    assert f"takes no key of ours ({tmp_path / 'other'}): ssh-copy-id" in str(fault)


def test_a_key_with_a_passphrase(server: SshServer) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", server.key], check=True)
    fault = fault_of(server)
    assert fault.step is Step.KEY
    assert "has a passphrase: ssh-add" in str(fault)


@pytest.mark.parametrize("content", [None, "no key at all\n"])
def test_a_key_that_is_none(server: SshServer, tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "none").write_text(content)
    fault = fault_of(server, key=str(tmp_path / "none"))
    assert fault.step is Step.KEY
    assert str(fault).endswith("(`key` in its file)" if content is None else "private key file")


def test_a_host_key_that_has_changed(server: SshServer) -> None:
    server.stop()
    server.new_host_key()
    server.start()
    fault = fault_of(server)
    assert fault.step is Step.HOST_KEY
    assert "its key has changed, ssh-ed25519 SHA256:" in str(fault)
    assert fault_of(server, host_key="accept-new").step is Step.HOST_KEY


def test_a_host_key_that_is_not_known(server: SshServer) -> None:
    known = server.known_hosts.read_text()
    server.known_hosts.unlink()
    fault = fault_of(server)
    assert fault.step is Step.HOST_KEY
    assert "is not known" in str(fault) and "s2eval host add bench" in str(fault)
    with Link(server.host(host_key="accept-new")) as link:
        link.connect(soon())
    assert own_known_hosts().read_text() == known
    assert not server.known_hosts.exists()  # the user's own is not written to
    with Link(server.host()) as link:
        link.connect(soon())
        key = link._connection.transport.get_remote_server_key()  # type: ignore[union-attr]
    shown = subprocess.run(
        ["ssh-keygen", "-lf", server.folder / "host_key.pub"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert fingerprint(key).split()[1] == shown.stdout.split()[1]


def test_nobody_listens(server: SshServer) -> None:
    server.stop()
    fault = fault_of(server)
    assert fault.step is Step.NETWORK
    with socket.socket() as sock:  # bound, so that nobody else gets it; does not listen
        sock.bind(("127.0.0.1", 0))
        fault = fault_of(server, address=f"127.0.0.1:{sock.getsockname()[1]}")
    assert fault.step is Step.NETWORK


def test_a_name_that_nobody_has(server: SshServer) -> None:
    fault = fault_of(server, address="root@host.invalid")
    assert fault.step is Step.NETWORK
    assert "is the address right?" in str(fault)


def test_something_else_listens_there(server: SshServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:

        def answer() -> None:
            client, _ = web.accept()
            client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" * 100)
            client.close()

        threading.Thread(target=answer, daemon=True).start()
        fault = fault_of(server, address=f"127.0.0.1:{web.getsockname()[1]}")
    assert fault.step is Step.SSH


def test_a_jump_host(server: SshServer, tmp_path: Path) -> None:
    """The server is its own jump host."""
    with Link(server.host(jump=f"{server.user}@127.0.0.1:{server.port}")) as link:
        link.connect(soon())
        assert link.run(["echo", "far"], soon()).out == "far\n"
        assert server.log.read_text().count("Accepted publickey") == 2
    with Proxy(server.port, mute=True) as proxy:
        fault = fault_of(server, jump=f"x@127.0.0.1:{proxy.port}", limits={"connect": LIMIT})
    assert "the jump host x@127.0.0.1" in str(fault)


def test_the_users_ssh_configuration_is_heeded(server: SshServer, tmp_path: Path) -> None:
    config = tmp_path / "config_file"
    lines = [
        f"User {server.user}",
        "HostName 127.0.0.1",
        f"Port {server.port}",
        f"IdentityFile {server.key}",
    ]
    config.write_text("Host grace\n" + "".join(f"  {line}\n" for line in lines))
    with Link(server.host(address="grace", key="", ssh_config=str(config))) as link:
        link.connect(soon())
        assert link.run(["true"], soon()).status == 0


def test_a_machine_that_does_not_answer_at_all(server: SshServer) -> None:
    """Its queue of connections is full, so the network says nothing to another one."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            fault = fault_of(server, address=f"127.0.0.1:{port}", limits={"connect": LIMIT})
    assert fault.step is Step.NETWORK
    assert "no answer within 1.5 s (connect in [limits] of the host bench)" in str(fault)


def test_the_agents_keys_are_tried(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose file has a passphrase."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fault_of(server, key="").step is Step.KEY
    agent = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL) as process:
        monkeypatch.setenv("SSH_AUTH_SOCK", agent)
        end = time.monotonic() + PATIENCE
        while not Path(agent).exists():
            assert time.monotonic() < end
        subprocess.run(["ssh-add", "-q", server.key], check=True)
        with Link(server.host(key="")) as link:
            link.connect(soon())
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", server.key], check=True)
        with Link(server.host()) as link:
            link.connect(soon())
        process.terminate()
