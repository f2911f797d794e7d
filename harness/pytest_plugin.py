# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin: a built kernel, a booted host under test, a guest with a device.

docs/writing-a-test.md has examples. Nothing of s2eval is imported until a test uses a fixture:
pytest loads this module for every project in the environment.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from harness.hosts.host import Completed
    from harness.hosts.l1.host import L1Host
    from harness.kernel.build import Build
    from harness.results.records import Cell, Observation

KERNEL = "debian-6.1"
MACHINE = "nested-tcg"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for tests that name no kernel or machine themselves."""
    group = parser.getgroup("s2eval", "guests of s2eval")
    group.addoption("--s2eval-kernel", default=KERNEL, help="kernel of tests that name none")
    group.addoption("--s2eval-machine", default=MACHINE, help="machine of tests that name none")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark `s2eval`."""
    line = "s2eval(kernel, machine): what the fixtures of this test build and boot"
    config.addinivalue_line("markers", line)


def _wanted(request: pytest.FixtureRequest, kind: str) -> str:
    """Return the test's kernel or machine (`kind`), by its mark or else by the option."""
    mark = request.node.get_closest_marker("s2eval")
    named = mark.kwargs.get(kind) if mark else None
    return str(named or request.config.getoption(f"--s2eval-{kind}"))


@pytest.fixture
def s2eval_kernel(request: pytest.FixtureRequest) -> Build:
    """Return the kernel, built or from the store, with `image`, `record.version` and so on.

    Raise UsageError when there is no such kernel, BuildError when it does not build.
    """
    from harness.base.paths import hold_cache  # noqa: PLC0415 - see above
    from harness.kernel.build import build  # noqa: PLC0415
    from harness.kernel.spec import resolve  # noqa: PLC0415

    hold_cache()
    return build(resolve(_wanted(request, "kernel")), progress=lambda _: None)


@pytest.fixture
def s2eval_host(
    request: pytest.FixtureRequest, s2eval_kernel: Build, tmp_path: Path
) -> Iterator[HostUnderTest]:
    """Yield a booted host under test, on a nested machine; its logs are in `tmp_path`.

    Raise UsageError for a machine without L2, HostLost when the host does not come up.
    """
    host = HostUnderTest(
        _wanted(request, "kernel"), _wanted(request, "machine"), s2eval_kernel, tmp_path
    )
    try:
        host.boot()
        yield host
    finally:
        host.close()


class SeenCell:
    """The results of a suite in its guest; `cell` is the whole record (docs/results.md)."""

    def __init__(self, cell: Cell, logs: Path) -> None:
        self.cell = cell
        self.logs = logs

    def __getitem__(self, path: str) -> Observation:
        """Return the observation at `path`, e.g. `audit.ioremap_wc.stage2`.

        Raise LookupError, with the reason and the logs' folder, when there is none.
        """
        by_path = {o.path: o for o in self.cell.outcomes()}
        if path not in by_path:
            why = (
                self.cell.failure.summary if self.cell.failure else "; ".join(by_path) or "nothing"
            )
            raise LookupError(f"{self.cell.name}: no {path}: {why} (logs: {self.logs})")
        return by_path[path]

    @property
    def bad(self) -> list[str]:
        """Return every FAIL, ERROR and MISS with its reason; [] when the suite passed."""
        return [
            f"{o.path}: {o.status}: {o.detail.get('reason', o.value)}"
            for o in self.cell.outcomes()
            if o.status in ("FAIL", "ERROR", "MISS")
        ]


class HostUnderTest:
    """An L1 that runs the kernel under test as its KVM host, and L2s one after the other."""

    def __init__(self, kernel: str, machine: str, built: Build, logs: Path) -> None:
        from harness.base.errors import UsageError  # noqa: PLC0415 - see above
        from harness.guests.placement import placement_of  # noqa: PLC0415
        from harness.hosts.named import load_machine  # noqa: PLC0415
        from harness.hosts.pool import HostPool  # noqa: PLC0415
        from harness.hosts.qemu.binary import find_qemu  # noqa: PLC0415

        self.kernel, self.machine, self._built = kernel, load_machine(machine), built
        if not placement_of(self.machine).has_guest:
            raise UsageError(f"machine {machine} has no L2: take a nested one (s2eval list)")
        self.logs = logs
        self._qemu = find_qemu()
        self._pool = HostPool()
        self._numbers = itertools.count(1)

    def boot(self) -> None:
        """Boot L1, or a new L1 in its place. Raise HostLost when it does not come up."""
        from harness.base.deadline import Deadline  # noqa: PLC0415 - see above
        from harness.guests.vmm.vmm import STREAMS  # noqa: PLC0415
        from harness.hosts.l1.host import L1Host  # noqa: PLC0415

        host = L1Host(self.machine, self._qemu, self._built.image, STREAMS)
        try:
            host.launch(self._folder("l1"))
            host.boot(Deadline(self.machine.limits.boot))
        except BaseException:
            host.close()
            raise
        self._pool.close()
        self._pool.release(host)

    def close(self) -> None:
        """End L1 and all guests in it."""
        self._pool.close()

    @property
    def bdf(self) -> str:
        """Return the PCI address of the device under test in L1, e.g. 0000:00:10.0."""
        return self.machine.device_bdf

    def run(self, command: str, seconds: float = 30) -> Completed:
        """Run a shell command in L1; return its `status`, `out` and `err`.

        Raise HostLost when L1 dies or does not answer within `seconds`.
        """
        from harness.base.deadline import Deadline  # noqa: PLC0415 - see above

        return self._host().run(command, Deadline(seconds))

    def read(self, path: str, seconds: float = 30) -> bytes:
        """Return the contents of a file of L1.

        Raise MachineError when it cannot be read, HostLost when L1 dies.
        """
        from harness.base.deadline import Deadline  # noqa: PLC0415 - see above

        return self._host().read(path, Deadline(seconds))

    def bind(self, driver: str, seconds: float = 30) -> None:
        """Bind the device under test to a driver of L1.

        Raise MachineError when the driver refuses it, HostLost when L1 dies.
        """
        from harness.base.deadline import Deadline  # noqa: PLC0415 - see above

        self._host().bind(driver, Deadline(seconds))

    def run_suite(self, suite: str | Path) -> SeenCell:
        """Run a suite (a name, or a suite's folder) in a new L2; return its results.

        Raise UsageError when there is no such suite. A guest or host that dies is in the results.
        """
        from harness.evaluate.cell.cell import Tools, run_cell  # noqa: PLC0415 - see above
        from harness.evaluate.events import to_nobody  # noqa: PLC0415
        from harness.evaluate.plan.plan import request  # noqa: PLC0415
        from harness.kernel.spec import resolve  # noqa: PLC0415
        from harness.suites.suite import load_suite  # noqa: PLC0415

        wanted = request(resolve(self.kernel), self.machine, load_suite(str(suite)))
        logs = self._folder(wanted.suite.name)
        tools = Tools(self._qemu, to_nobody)
        cell = run_cell(wanted, tools, logs, self._pool, last=False)
        return SeenCell(cell, logs)

    def _folder(self, name: str) -> Path:
        folder = self.logs / f"{next(self._numbers)}-{name}"
        folder.mkdir()
        return folder

    def _host(self) -> L1Host:
        if self._pool.host is None:
            raise RuntimeError("this L1 is not there any more: boot() makes a new one")
        return cast("L1Host", self._pool.host)  # boot() put it there
