# SPDX-License-Identifier: GPL-2.0-only
"""The pool that keeps a host under test for the next cell that can use it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harness.hosts.machines.machine import Machine


class PooledHost(Protocol):
    """A host that several cells may use one after the other."""

    @property
    def machine(self) -> Machine:
        """Return the machine that the host was started as."""

    @property
    def image(self) -> Path:
        """Return the image of the kernel that the host runs."""

    @property
    def usable(self) -> bool:
        """Return whether the host is up and no failure of it was seen."""

    def close(self) -> None:
        """End the host and remove its files."""


class HostPool:
    """Keeps one host for the next cell of its batch. A context manager.

    `host` is the host that waits. `enabled` is off while the last cell runs: no cell comes after
    it.
    """

    def __init__(self) -> None:
        self.enabled = True
        self.host: PooledHost | None = None

    def __enter__(self) -> HostPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the host that waits, if there is one."""
        host, self.host = self.host, None
        if host:
            host.close()

    def contains(self, host: PooledHost) -> bool:
        """Return whether `host` waits here."""
        return self.host is host

    def release(self, host: PooledHost) -> None:
        """Keep `host` for the next cell; do nothing when no cell comes any more."""
        if self.enabled:
            self.host = host

    def acquire(self, machine: Machine, image: Path) -> PooledHost | None:
        """Return the waiting host if it is usable and runs this machine and kernel, else None.

        Any other host that waits is ended.
        """
        host, self.host = self.host, None
        if host is None:
            return None
        if host.usable and host.machine == machine and host.image == image:
            return host
        host.close()
        return None
