# SPDX-License-Identifier: GPL-2.0-only
"""A real SSH server for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.lab.link import Link
from tests.ssh_server import SshServer, sshd

PATIENCE = 60.0  # seconds; only a failing test waits that long


def soon() -> Deadline:
    """Return a deadline that only a failing test reaches."""
    return Deadline(PATIENCE)


@pytest.fixture(scope="session")
def real_sshd() -> None:
    """Skip where there is no sshd and none can be fetched."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen: apt-get install openssh-client")
    try:
        sshd()
    except MachineError as error:
        pytest.skip(f"no sshd: {error}")


@pytest.fixture
def server(real_sshd: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """A server of the test's own, and a configuration folder of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "sshd").mkdir()
    with SshServer(tmp_path / "sshd") as made:
        yield made


@pytest.fixture
def link(server: SshServer) -> Iterator[Link]:
    """An open link to it."""
    with Link(server.host()) as made:
        made.connect(Deadline(PATIENCE))
        yield made
