# SPDX-License-Identifier: GPL-2.0-only
"""Kernels built in a thread, one after the other, and the end of that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.errors import BuildError, MachineError, UsageError
from harness.evaluate.patch import builds as module
from harness.evaluate.patch.builds import Builds
from harness.kernel.spec import KernelSpec, resolve
from harness.kernel.store import Build
from harness.results.records import KernelRecord

ONE = resolve("debian-6.1")
TWO, THREE = (ONE.model_copy(update={"name": name}) for name in ("two", "three"))
Make = Callable[[KernelSpec, Callable[[str], None], Callable[[], bool]], None]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[[Make], list[str]]:
    """`make(function)` lets kernels be built by a function; the names of those that are."""

    def use(function: Make) -> list[str]:
        built: list[str] = []

        def build(
            spec: KernelSpec,
            *,
            progress: Callable[[str], None],
            making: Callable[[], object],
            given_up: Callable[[], bool],
        ) -> Build:
            making()
            function(spec, progress, given_up)
            built.append(spec.name)
            return Build(Path(), KernelRecord(name=spec.name), {})

        monkeypatch.setattr(module, "build", build)
        return built

    return use


def test_a_kernel_that_does_not_build_stands_in_no_others_way(
    make: Callable[[Make], list[str]],
) -> None:
    def function(spec: KernelSpec, _note: object, _given_up: object) -> None:
        if spec is TWO:
            raise BuildError("mmu.c:1: error")

    built = make(function)
    with Builds([ONE, TWO, THREE], lambda _: None) as builds:
        builds.of(TWO).applied()
        with pytest.raises(BuildError):
            builds.of(TWO).wait()
        assert builds.of(THREE).wait().record.name == "three"
    assert built == ["debian-6.1", "three"]


@pytest.mark.parametrize("error", [UsageError("does not apply"), MachineError("no space")])
def test_whatever_else_is_wrong_ends_all(
    make: Callable[[Make], list[str]], error: Exception
) -> None:
    def function(spec: KernelSpec, _note: object, _given_up: object) -> None:
        if spec is TWO:
            raise error

    built = make(function)
    with Builds([ONE, TWO, THREE], lambda _: None) as builds:
        for kernel in (TWO, THREE):
            with pytest.raises(type(error)):
                builds.of(kernel).wait()
            with pytest.raises(type(error)):
                builds.of(kernel).applied()
    assert built == ["debian-6.1"]


def test_notes_end_a_build_that_nobody_waits_for(make: Callable[[Make], list[str]]) -> None:
    begun = threading.Event()

    def function(_spec: KernelSpec, note: Callable[[str], None], _given_up: object) -> None:
        while True:
            note("CC mmu.o")
            begun.set()
            time.sleep(0.01)

    make(function)
    with Builds([ONE], lambda _: None) as builds:
        assert begun.wait(30)
    assert not any(t.name == "builds" for t in threading.enumerate())
    assert builds.all[0].over.is_set()


def test_a_build_that_hangs_is_left_after_a_while(
    make: Callable[[Make], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signals are ignored by then: without an end, only SIGKILL would help."""
    monkeypatch.setattr(module, "STOP_SECONDS", 0.3)
    release, begun = threading.Event(), threading.Event()

    def function(_spec: KernelSpec, _note: object, _given_up: object) -> None:
        begun.set()
        release.wait(60)

    make(function)
    began = time.monotonic()
    with Builds([ONE], lambda _: None):
        assert begun.wait(30)
    assert time.monotonic() - began < 30
    release.set()
