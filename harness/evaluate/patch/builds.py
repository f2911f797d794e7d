# SPDX-License-Identifier: GPL-2.0-only
"""Kernels built one after the other in a thread, while the guests of the earlier ones run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from harness.base.deadline import Deadline
from harness.base.errors import BuildError
from harness.base.process import end_running
from harness.kernel.build import Build, build
from harness.kernel.spec import KernelSpec

STOP_SECONDS = 60.0  # for make to end its compilers, or a download its connection


class _StoppedError(Exception):
    """Nobody waits for this build any more."""


@dataclass
class Building:
    """One kernel of the queue. `making` is set when make begins, or when all is over."""

    kernel: KernelSpec
    making: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    result: Build | BaseException | None = None

    def applied(self) -> None:
        """Wait until its series is applied; raises what is no fault of the kernel's."""
        _wait(self.making)
        if isinstance(self.result, BaseException) and not isinstance(self.result, BuildError):
            raise self.result

    def wait(self) -> Build:
        """Wait for the build and return it; raises what it raised."""
        _wait(self.over)
        if isinstance(self.result, BaseException):
            raise self.result
        if self.result is None:
            raise AssertionError("over without a result")
        return self.result


def _wait(event: threading.Event) -> None:
    while not event.wait(0.2):  # a signal is looked at in between
        pass


class Builds:
    """A context manager: builds `kernels` in their order; on the way out nothing of it runs on.

    A kernel that does not build stands in no other's way. Whatever else goes wrong ends them all.
    """

    def __init__(self, kernels: Sequence[KernelSpec], note: Callable[[str], None]) -> None:
        self.all = [Building(kernel) for kernel in kernels]
        self._note = note
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="builds", daemon=True)

    def __enter__(self) -> Builds:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what is being built; nothing is built any more.

        What does not heed that for STOP_SECONDS is left: signals are not looked at any more.
        """
        self._stop.set()
        limit = Deadline(STOP_SECONDS)
        while self._thread.is_alive() and not limit.over:
            end_running()
            self._thread.join(0.05)

    def of(self, kernel: KernelSpec) -> Building:
        """Return the build of a kernel that was asked for."""
        return next(one for one in self.all if one.kernel == kernel)

    def _run(self) -> None:
        broken: BaseException | None = None
        for one in self.all:
            try:
                if broken:
                    raise broken
                self._tell("")
                one.result = build(
                    one.kernel,
                    progress=self._tell,
                    making=partial(self._making, one),
                    given_up=self._stop.is_set,
                )
            except BuildError as error:
                one.result = error
            except BaseException as error:  # raised where it is waited for
                one.result = broken = error
            one.making.set()
            one.over.set()

    def _making(self, one: Building) -> None:
        self._tell("")
        one.making.set()

    def _tell(self, text: str) -> None:
        if self._stop.is_set():
            raise _StoppedError
        if text:
            self._note(text)
