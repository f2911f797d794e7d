# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from pathlib import Path

import pytest

from harness.hosts.machines.machine import load_machine
from harness.hosts.pool import HostPool
from tests.unit.guests.fake_host import FakeHost

NESTED = load_machine("nested-tcg")
IMAGE = Path("/Image")


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost(NESTED, IMAGE)
    host.usable = True
    return host


def test_the_next_cell_of_the_same_kernel_and_machine_gets_the_host(host: FakeHost) -> None:
    pool = HostPool()
    pool.release(host)
    assert pool.contains(host)
    assert pool.acquire(NESTED, IMAGE) is host
    assert not pool.contains(host) and host.asked == []


@pytest.mark.parametrize("what", ["machine", "kernel", "harm"])
def test_a_host_that_does_not_fit_is_ended(host: FakeHost, what: str) -> None:
    pool = HostPool()
    pool.release(host)
    host.usable = what != "harm"
    machine = load_machine("nested-tcg-cortex-a72") if what == "machine" else NESTED
    image = Path("/other") if what == "kernel" else IMAGE
    assert pool.acquire(machine, image) is None
    assert host.asked == ["close"] and pool.acquire(NESTED, IMAGE) is None


def test_no_host_waits_behind_the_last_cell(host: FakeHost) -> None:
    pool = HostPool()
    pool.enabled = False
    pool.release(host)
    assert not pool.contains(host)


def test_a_host_that_waits_is_ended_with_the_batch(host: FakeHost) -> None:
    with HostPool() as pool:
        pool.release(host)
    assert host.asked == ["close"]
