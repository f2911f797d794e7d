# SPDX-License-Identifier: GPL-2.0-only
"""Where a host under test waits for the next cell that can use it."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, Protocol, TypeVar

from harness.hosts.machines.machine import Machine


class PooledHost(Protocol):
    """A host that several cells may use; `usable` until something has hurt it."""

    @property
    def machine(self) -> Machine: ...

    @property
    def image(self) -> Path: ...

    @property
    def usable(self) -> bool: ...

    def close(self) -> None: ...


H = TypeVar("H", bound=PooledHost)


class HostPool(Generic[H]):
    """Keeps one host for the next cell of its batch. A context manager.

    `host` is the one that waits. `enabled` is off while the last cell runs: no cell comes after it.
    """

    def __init__(self) -> None:
        self.enabled = True
        self.host: H | None = None

    def __enter__(self) -> HostPool[H]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the host that waits."""
        host, self.host = self.host, None
        if host:
            host.close()

    def contains(self, host: H) -> bool:
        """Return whether `host` waits here."""
        return self.host is host

    def release(self, host: H) -> None:
        """Leave `host` here, if another cell will come for it."""
        if self.enabled:
            self.host = host

    def acquire(self, machine: Machine, image: Path) -> H | None:
        """Take the host of this machine and kernel; None when there is none that can be used.

        A host that waits for anything else is ended.
        """
        host, self.host = self.host, None
        if host is None:
            return None
        if host.usable and host.machine == machine and host.image == image:
            return host
        host.close()
        return None
