# SPDX-License-Identifier: GPL-2.0-only
"""Which L1 a nested cell gets: one that waits, is restored, saved, or boots, and boots again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.guests.placement import nested, placement_of
from harness.guests.placement.nested import NestedPlacement, saved_state
from harness.guests.placement.placement import RunContext
from harness.guests.run import nested_run
from harness.hosts.l1.saved import SavedState
from harness.hosts.machines.machine import Machine, list_machines, load_machine
from harness.hosts.pool import HostPool
from harness.hosts.qemu.binary import QemuBinary
from harness.results.phases import PhaseName
from harness.suites.suite import Suite
from tests.unit.guests.fake_host import WELL, FakeHost, any_type, only

QEMU = QemuBinary(Path("/bin/sh"), (), "10.0.2", (10, 0, 2))
INIT_FAILED = [*WELL[:2], "# s2eval: error command=insmod errno=ENOENT", *WELL[2:]]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nested_run, "LAST_LINES", 0.02)
    monkeypatch.setattr(nested, "l1_root", lambda: tmp_path / "root.cpio")
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))


class Cell:
    """What a cell would see: its phases, notes and starts."""

    def __init__(self, folder: Path, machine: str = "nested-tcg", **suite: object) -> None:
        self.seen: list[str] = []
        self.notes: list[str] = []
        self.pool = HostPool()
        self.logs = folder / "logs"
        self.logs.mkdir(exist_ok=True)
        given = {"name": "s", "folder": folder, "description": "", "script": "", **suite}
        self.context = RunContext(
            machine=load_machine(machine),
            qemu=QEMU,
            suite=Suite.model_validate(given),
            image=folder / "Image",
            archive=folder / "a.cpio",
            logs=self.logs,
            pool=any_type(self.pool),
            begin=self._begin,
            note=self.notes.append,
            started=lambda _command, _pid, restored: self.seen.append(f"started {restored}"),
        )

    def _begin(self, phase: PhaseName | None) -> None:
        self.seen.append(phase.value if phase else "-")


Hosts = Callable[..., list[FakeHost]]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """The L1s that a placement makes, one after the other."""

    def use(*made: FakeHost) -> list[FakeHost]:
        left = list(made)

        def make(
            machine: Machine, _: QemuBinary, image: Path, streams: Sequence[str],
            state: SavedState | None = None, **_more: object,
        ) -> FakeHost:  # fmt: skip
            host = left.pop(0)
            host.image = image
            assert (host.state is None) == (state is None)
            assert ("l2.monitor" in streams) == (state is not None)
            return host

        monkeypatch.setattr(nested, "L1Host", make)
        return left

    return use


NESTED = load_machine("nested-tcg")


def test_a_first_cell_boots_l1_and_leaves_it_for_the_next(tmp_path: Path, hosts: Hosts) -> None:
    host = FakeHost(NESTED, guests=[WELL, WELL])
    hosts(host)
    cell = Cell(tmp_path)
    assert NestedPlacement().run(cell.context).passes[0].run.lines == WELL
    assert cell.seen == ["start L1", "started False", "boot L1", "start L2", "probe", "-"]
    assert cell.pool.contains(host)
    assert only(host.asked, "launch", "put", "boot", "close")[:3] == [
        "launch", "put Image initrd", "boot",
    ]  # fmt: skip
    cell.seen.clear()
    NestedPlacement().run(cell.context)
    assert cell.seen == ["started False", "start L2", "probe", "-"]
    assert "begin cell" in host.asked and "close" not in host.asked


def test_an_l1_that_counts_or_traces_is_not_shared(tmp_path: Path, hosts: Hosts) -> None:
    for machine in ("nested-tcg-icount", "nested-tcg-nvme"):
        host = FakeHost(load_machine(machine))
        hosts(host)
        cell = Cell(tmp_path, machine)
        NestedPlacement().run(cell.context)
        assert host.asked[-1] == "close" and cell.seen[-2:] == ["end L1", "-"]


def state(folder: Path) -> SavedState:
    return SavedState(folder / "state")


@pytest.mark.parametrize("guest", [INIT_FAILED, [*WELL[:2], "!"]])
def test_a_restored_l1_that_misbehaves_is_discarded_and_l1_boots(
    tmp_path: Path, hosts: Hosts, monkeypatch: pytest.MonkeyPatch, guest: list[str]
) -> None:
    saved = state(tmp_path)
    saved.folder.mkdir()
    (saved.folder / "said.json").write_text("[]")
    monkeypatch.setattr(nested, "saved_state", lambda _: saved)
    restored = FakeHost(NESTED, state=saved, guests=[guest], restored=True)
    booted = FakeHost(NESTED)
    hosts(restored, booted)
    cell = Cell(tmp_path)
    (cell.logs / "console.log").write_text("of the first try")
    outcome = NestedPlacement().run(cell.context)
    assert outcome.passes[0].run.lines == WELL and outcome.passes[0].run.failure is None
    assert restored.asked[-1] == "close" and booted.asked[0] == "launch"
    assert not saved.exists and not list(cell.logs.iterdir())
    (note,) = cell.notes
    assert note.startswith("L1 boots again, without a saved state: ")


def test_a_restored_l1_whose_guest_kvm_gives_up_is_believed(
    tmp_path: Path, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = state(tmp_path)
    monkeypatch.setattr(nested, "saved_state", lambda _: saved)
    host = FakeHost(NESTED, state=saved, restored=True)
    host.console.feed("[    1.0] kvm [40]: Unsupported FSC: EC=0x24 xFSC=0x21 ESR_EL2=0x93d48021")
    hosts(host)
    cell = Cell(tmp_path)
    failure = NestedPlacement().run(cell.context).passes[0].run.failure
    assert failure and failure.kind == "kvm-error" and cell.notes == []


def test_a_state_that_cannot_be_saved_is_not_tried_again(
    tmp_path: Path, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = state(tmp_path)
    monkeypatch.setattr(nested, "saved_state", lambda _: saved)
    hosts(FakeHost(NESTED, state=saved, problem="QMP's stop: no answer"), FakeHost(NESTED))
    cell = Cell(tmp_path)
    NestedPlacement().run(cell.context)
    assert cell.notes == ["L1 boots again, without a saved state: QMP's stop: no answer"]
    assert not saved.request() and not saved.request()


def test_no_state_is_asked_for_where_l1_must_boot(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    object.__setattr__(cell.context, "fresh", True)
    assert saved_state(cell.context) is None


@pytest.mark.parametrize(
    ("machine", "can"),
    [
        ("nested-tcg", True),
        ("nested-tcg-cortex-a72", True),
        ("nested-tcg-icount", False),  # counts the instructions of its boot
        ("nested-tcg-nvme", False),  # QEMU cannot save the device
        ("nested-tcg-edu", False),
        ("nested-kvm", False),
    ],
)
def test_which_machines_are_saved_the_second_time(tmp_path: Path, machine: str, can: bool) -> None:
    context = Cell(tmp_path, machine).context
    assert saved_state(context) is None
    assert (saved_state(context) is not None) is can


@pytest.mark.parametrize("name", list_machines())
def test_every_machine_has_a_placement_of_its_topology(name: str) -> None:
    machine = load_machine(name)
    placement = placement_of(machine)
    assert placement.name == machine.topology and placement_of(machine) is placement
    script = placement.guest_script(machine, lambda one: f"null,id={one}", "")
    assert (script is not None) == placement.needs_userland
    assert placement.has_guest == (machine.l2 is not None)
