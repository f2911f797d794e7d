# SPDX-License-Identifier: GPL-2.0-only
"""The gdb stub client and the audit on a real QEMU, with a guest of a few instructions.

The guest plays hypervisor and nested guest: its tables are data, so that what the audit must
find is known to the bit. It is written here because only these tests need it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.app import audit
from harness.base.deadline import Deadline
from harness.base.errors import MachineError, UsageError
from harness.guests.audit import record as audit_record
from harness.hosts.hang.stacks import UNKNOWN
from harness.hosts.qemu.binary import QemuBinary, find_qemu
from harness.hosts.qemu.gdbstub import GdbStub
from harness.hosts.qemu.memory import RAM_BASE, SharedMemory, StubMemory, find_memfd
from harness.hosts.qemu.stub_samples import QemuCpus, Sampler
from harness.hosts.qemu.stub_tables import StubTables
from harness.hosts.tables import Target

RAM_MIB = 256
STAGE2_ON = "-DHCR=0x80000001"  # RW and VM
MAIR = 0xFF44_0400  # 0 nGnRnE, 1 nGnRE, 2 NC, 3 WB
# What VA 0x80000000 + N maps: stage 1 is Normal-NC, stage 2 as the name says.
DEVICE_VA, NC_VA, READ_ONLY_VA = 0x8400_0000, 0x8460_0000, 0x8480_0000
TRAPPED_VA, WB_VA, UNMAPPED_VA = 0xC800_0000, 0x4420_0000, 0x1000_0000
NO_TABLE_VA = 0x1_0000_0000  # its stage-1 table is where no memory is
ARRIVED = 0x4440_0000  # the word here is 1 once the guest is where it stays, whatever maps it

# 39-bit VA and IPA, 4K granule, start level 1, no FWB.
GUEST = """
#define BLOCK(pa, attrs) .quad (pa) | (attrs) | 0x401
.text
.global _start
_start:
    ldr x0, =HCR
    msr hcr_el2, x0
    ldr x0, =0x80023559
    msr vtcr_el2, x0
    adr x0, s2_l1
    msr vttbr_el2, x0
    adr x0, s1_l1
    msr ttbr0_el1, x0
    msr ttbr1_el1, x0
    ldr x0, =MAIR
    msr mair_el1, x0
    ldr x0, =0x280993519
    msr tcr_el1, x0
    ldr x0, =0x30d01805
    msr sctlr_el1, x0
    adr x0, vectors
    msr vbar_el2, x0
    ldr x0, =0x3c5
    msr spsr_el2, x0
    isb
    tlbi alle1
    dsb sy
    ldr x2, =ARRIVED
    mov w3, #1
#ifdef STAY_AT_EL2
    str w3, [x2]
    b .
#endif
enter:
    adr x0, el1
    msr elr_el2, x0
    eret
el1:
    mov x1, #0x1000
1:  subs x1, x1, #1
    b.ne 1b
    str w3, [x2]
#ifdef ALTERNATE
    hvc #0
#endif
    b el1
.balign 2048
vectors:
    .skip 0x400
    mov x1, #0x10000 /* the hypervisor takes sixteen times as long */
2:  subs x1, x1, #1
    b.ne 2b
    b enter
.balign 4096
s1_l1:
    .quad 0
    BLOCK(0x40000000, 0x70c)            /* WB, inner shareable */
    BLOCK(0x40000000, 0x0060000000000708) /* NC, never executable */
    BLOCK(0x00000000, 0x0060000000000704) /* nGnRE */
    .quad 0x7000000003                  /* a table that stage 2 maps where no memory is */
    .balign 4096
s2_l1:
    .quad 0
    .quad s2_l2 + 3
    .skip 8 * 446
    BLOCK(0x7000000000, 0x7fc)          /* index 448 = 0x7000000000 >> 30 */
    .balign 4096, 0
s2_l2:
    .set i, 0
    .rept 512
    .if i == 32
    BLOCK(0x40000000 + i * 0x200000, 0x00400000000007c4) /* Device-nGnRE, XN */
    .elseif i == 35
    BLOCK(0x40000000 + i * 0x200000, 0x00400000000007d4) /* Normal-NC, XN */
    .elseif i == 36
    BLOCK(0x40000000 + i * 0x200000, 0x754)              /* Normal-NC, read-only */
    .else
    BLOCK(0x40000000 + i * 0x200000, 0x7fc)              /* Normal-WB */
    .endif
    .set i, i + 1
    .endr
"""


@dataclass
class Machine:
    """A running QEMU: its gdb socket, its monitor, and the file behind its RAM."""

    process: subprocess.Popen[bytes]
    gdb: Path
    ram: Path
    monitor: socket.socket

    def status(self) -> str:
        """`running` or `paused`, from QEMU itself."""
        self.monitor.sendall(b'{"execute": "query-status"}\n')
        text = b""
        while b'"status"' not in text or not text.endswith(b"\n"):
            text += self.monitor.recv(4096)
        answer = next(line for line in text.splitlines() if b'"status"' in line)
        return str(json.loads(answer)["return"]["status"])

    def arrived(self) -> bool:
        """Whether the guest is where it stays."""
        asked = {"command-line": f"xp /1wx {ARRIVED:#x}"}
        command = {"execute": "human-monitor-command", "arguments": asked}
        self.monitor.sendall(json.dumps(command).encode() + b"\n")
        text = b""
        while b'"return"' not in text or not text.endswith(b"\n"):
            text += self.monitor.recv(4096)
        return b": 0x00000001" in text


@pytest.fixture(scope="module")
def qemu() -> QemuBinary:
    """A QEMU of any version will do: the protocol and the registers are alike."""
    return find_qemu((7, 2))


def build(folder: Path, *flags: str) -> Path:
    source, image = folder / "guest.S", folder / "guest.elf"
    source.write_text(GUEST)
    options = ["-nostdlib", "-static", "-Wl,-Ttext=0x40200000", "-Wl,--build-id=none"]
    values = [f"-DMAIR={MAIR:#x}", f"-DARRIVED={ARRIVED:#x}"]
    subprocess.run(
        ["aarch64-linux-gnu-gcc", *options, *values, *flags, "-o", image, source], check=True
    )
    return image


@contextlib.contextmanager
def running(
    qemu: QemuBinary, folder: Path, *flags: str, el2: bool = True, memfd: bool = False
) -> Iterator[Machine]:
    """A machine with two vCPUs, of which only vCPU 0 runs the guest."""
    image = build(folder, *flags) if el2 else None
    gdb, qmp, ram = folder / "gdb", folder / "qmp", folder / "ram"
    backend = f"memory-backend-file,id=ram,size={RAM_MIB}M,mem-path={ram},share=on"
    if memfd:
        backend = f"memory-backend-memfd,id=ram,size={RAM_MIB}M,share=on"
    command = [
        *(str(qemu.path), *qemu.args, "-nodefaults", "-display", "none"),
        *("-M", f"virt,gic-version=3,virtualization={'on' if el2 else 'off'},memory-backend=ram"),
        *("-cpu", "cortex-a72", "-smp", "2", "-m", str(RAM_MIB), "-object", backend),
        *("-gdb", f"unix:{gdb},server=on,wait=off", "-qmp", f"unix:{qmp},server=on,wait=off"),
        *("-qmp", f"unix:{folder / 'spare'},server=on,wait=off"),
        *(["-kernel", str(image)] if image else []),
    ]
    process = subprocess.Popen(command)
    try:
        monitor = connect(qmp, Deadline(60))
        with monitor:
            monitor.sendall(b'{"execute": "qmp_capabilities"}\n')
            machine = Machine(process, gdb, ram, monitor)
            while machine.status() != "running":
                time.sleep(0.01)
            while image and not machine.arrived():
                time.sleep(0.01)
            yield machine
    finally:
        process.kill()
        process.wait()


def connect(path: Path, deadline: Deadline) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    while True:
        try:
            client.connect(str(path))
        except OSError:
            if deadline.over:
                raise
            time.sleep(0.02)
        else:
            client.settimeout(60)
            # The greeting and whatever comes before the first answer.
            assert b"QMP" in client.recv(4096)
            return client


@pytest.fixture(scope="module")
def guest(qemu: QemuBinary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A vCPU that spins in the nested guest all the time."""
    with running(qemu, tmp_path_factory.mktemp("g"), STAGE2_ON) as machine:
        yield machine


@pytest.fixture(autouse=True)
def left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test that used the shared guest leaves it running."""
    yield
    if "guest" in request.fixturenames:
        machine: Machine = request.getfixturevalue("guest")
        assert machine.status() == "running"


def test_samples_of_a_guest_that_spins_and_of_a_cpu_that_was_not_started(guest: Machine) -> None:
    deadline = Deadline(60)
    with GdbStub(guest.gdb, deadline) as stub:
        assert [stub.halted(cpu, deadline) for cpu in range(2)] == [False, True]
        first, second = Sampler(stub, deadline).round()
    assert (first.el, first.in_guest, first.translates, first.masked) == (1, True, True, True)
    # In a nested guest an address is the guest's; it has no frames, and its stack is not read.
    (frame,) = first.frames
    assert frame.address & ~0xFFF == 0x4020_0000 and frame.physical is None
    assert second.halted and second.frames == ()


def test_a_hypervisors_address_is_taken_to_physical_memory(
    qemu: QemuBinary, tmp_path: Path
) -> None:
    deadline = Deadline(60)
    with running(qemu, tmp_path, STAGE2_ON, "-DSTAY_AT_EL2") as machine:
        with GdbStub(machine.gdb, deadline) as stub:
            sample, _ = Sampler(stub, deadline).round()
        (frame,) = sample.frames
        assert (sample.el, sample.in_guest) == (2, False)
        assert frame.physical == frame.address  # its MMU is off
        assert machine.status() == "running"
        place = QemuCpus(machine.gdb, tmp_path / "Image").look()  # without a System.map
        assert place and (place.state, place.function) == ("stuck", UNKNOWN)
        assert [cpu.state for cpu in place.cpus] == ["stuck", "idle"]
        assert machine.status() == "running"
    assert QemuCpus(machine.gdb, tmp_path / "Image").look() is None  # it has ended


def test_registers_are_what_the_guest_wrote(guest: Machine) -> None:
    deadline = Deadline(60)
    with GdbStub(guest.gdb, deadline) as stub:
        assert guest.status() == "paused"
        assert stub.vcpus == 2
        names = ["MAIR_EL1", "TCR_EL1", "VTCR_EL2", "HCR_EL2", "SCTLR", "cpsr", "NO_SUCH_EL9"]
        values = stub.read_registers(0, names, deadline)
        assert values.pop("cpsr") & 0xF == 0x5  # EL1h
        assert values == {
            "MAIR_EL1": MAIR,
            "TCR_EL1": 0x2_8099_3519,
            "VTCR_EL2": 0x8002_3559,
            "HCR_EL2": 0x8000_0001,
            "SCTLR": 0x30D0_1805,
        }
        # vCPU 1 waits for PSCI and has written nothing.
        assert stub.read_registers(1, ["MAIR_EL1", "VTCR_EL2"], deadline) == {
            "MAIR_EL1": 0,
            "VTCR_EL2": 0,
        }
        with pytest.raises(MachineError, match="no vCPU 2, there are 2"):
            stub.read_registers(2, names, deadline)


def test_both_memories_give_the_same_bytes(guest: Machine) -> None:
    deadline = Deadline(60)
    with (
        GdbStub(guest.gdb, deadline) as stub,
        SharedMemory(guest.ram) as shared,
        stub.physical(deadline),
    ):
        through_stub = StubMemory(stub, deadline)
        for address in (RAM_BASE, 0x4020_0000, 0x4020_0FF8, 0x4020_1000, 0x4FFF_F000):
            for size in (8, 100, 4096):
                if address + size <= RAM_BASE + (RAM_MIB << 20):
                    expected = shared.read(address, size)
                    assert expected is not None
                    assert through_stub.read(address, size) == expected
        assert through_stub.read_u64(0x4020_0000) == shared.read_u64(0x4020_0000) != 0
        for nowhere in (0x70_0000_0000, RAM_BASE + (RAM_MIB << 20)):
            assert through_stub.read_u64(nowhere) is None
            assert shared.read_u64(nowhere) is None


def test_the_memory_of_a_memfd_is_found(qemu: QemuBinary, tmp_path: Path) -> None:
    with running(qemu, tmp_path, STAGE2_ON, memfd=True) as machine:
        path = find_memfd(machine.process.pid, RAM_MIB << 20)
        assert path
        assert find_memfd(machine.process.pid, 12345) is None
        deadline = Deadline(60)
        with SharedMemory(path) as shared, StubTables(machine.gdb, deadline, shared) as tables:
            reading = tables.read([Target("device", DEVICE_VA)], deadline)[0]
        assert reading.walk.pa == 0x4400_0000
    assert find_memfd(machine.process.pid, RAM_MIB << 20) is None


EXPECTED = {
    # name: VA, stage 1, stage 2, combined, PA, EL1's access at stage 2
    "device": (DEVICE_VA, "Normal-NC", "Device-nGnRE", "Device-nGnRE", 0x4400_0000, "rw-"),
    "nc": (NC_VA + 8, "Normal-NC", "Normal-NC", "Normal-NC", 0x4460_0008, "rw-"),
    "read-only": (READ_ONLY_VA, "Normal-NC", "Normal-NC", "Normal-NC", 0x4480_0000, "r-x"),
    "wb": (WB_VA, "Normal-WB", "Normal-WB", "Normal-WB", 0x4420_0000, "rwx"),
}


@pytest.mark.parametrize("source", ["stub", "file"])
def test_the_audit_finds_what_the_tables_say(guest: Machine, source: str) -> None:
    deadline = Deadline(60)
    targets = [Target(name, row[0]) for name, row in EXPECTED.items()]
    targets += [
        Target("trapped", TRAPPED_VA),
        Target("unmapped", UNMAPPED_VA),
        Target("no table", NO_TABLE_VA),
        Target("ipa", 0x4460_0000, stage2_only=True),
        Target("table", register="TTBR0_EL1", stage2_only=True),
    ]
    with contextlib.ExitStack() as stack:
        memory = stack.enter_context(SharedMemory(guest.ram)) if source == "file" else None
        tables = stack.enter_context(StubTables(guest.gdb, deadline, memory))
        readings = {r.target.name: r for r in tables.read(targets, deadline)}
        # The connection is kept, the VM runs meanwhile, and a second audit is as good.
        assert guest.status() == "running"
        assert len(tables.read(targets, deadline, vcpu=0)) == len(targets)
    assert set(readings) == {target.name for target in targets}
    nothing = audit_record.Expectation()
    records = {name: audit_record.audit_record(r, nothing) for name, r in readings.items()}
    for name, (va, stage1, stage2, combined, pa, access) in EXPECTED.items():
        record = records[name]
        assert (record.va, record.pa) == (f"{va:#x}", f"{pa:#x}")
        assert (record.stage1, record.stage2) == (stage1, stage2)
        assert (record.combined, record.status) == (combined, "DONE")
        assert record.detail.stage2 and record.detail.stage2.el1 == access
        assert record.detail.vcpu == 0
    assert records["trapped"].status == "SKIP"
    assert records["trapped"].detail.trapped
    assert records["trapped"].stage1 == "Device-nGnRE"
    assert records["unmapped"].status == "ERROR"
    assert records["no table"].status == "MISS"
    assert "no memory at the descriptor's address" in records["no table"].detail.reason
    assert (records["ipa"].va, records["ipa"].stage2) == (None, "Normal-NC")
    assert records["table"].stage2 == "Normal-WB"


def test_the_guest_is_met_although_the_hypervisor_runs_most_of_the_time(
    qemu: QemuBinary, tmp_path: Path
) -> None:
    deadline = Deadline(60)
    with (
        running(qemu, tmp_path, STAGE2_ON, "-DALTERNATE") as machine,
        StubTables(machine.gdb, deadline) as tables,
    ):
        readings = [tables.read([Target("nc", NC_VA)], deadline)[0] for _ in range(10)]
    assert all(reading.sight.in_guest for reading in readings)
    assert max(reading.stops for reading in readings) > 1
    assert all(reading.walk.pa == 0x4460_0000 for reading in readings)


def test_a_vm_without_a_nested_guest_is_said(qemu: QemuBinary, tmp_path: Path) -> None:
    with running(qemu, tmp_path, STAGE2_ON, "-DSTAY_AT_EL2") as machine:
        with (
            StubTables(machine.gdb, Deadline(60)) as tables,
            pytest.raises(MachineError, match=r"nested guest .* vCPU 0 at EL2 of the hypervisor"),
        ):
            tables.read([Target("nc", NC_VA)], Deadline(2))
        assert machine.status() == "running"
        with pytest.raises(MachineError, match="no vCPU was seen running a nested guest"):
            audit.audit(str(machine.gdb), NC_VA, seconds=2)
        assert machine.status() == "running"


def test_the_command_shows_the_walk(guest: Machine) -> None:
    answer = audit.audit(str(guest.gdb), DEVICE_VA, vcpu=0, memory=guest.ram)
    text = "\n".join(answer.lines)
    assert answer.problem is None
    assert "vCPU 0 at EL1 of a guest (HCR_EL2.VM=1)" in text
    assert f"stage 1: VA {DEVICE_VA:#x} -> IPA 0x44000000: Normal-NC" in text
    assert "stage 2: IPA 0x44000000 -> PA 0x44000000: Device-nGnRE (MemAttr 0x1, FWB off)" in text
    assert answer.lines[-1] == f"VA {DEVICE_VA:#x} -> PA 0x44000000: Device-nGnRE, outer shareable"
    document = json.loads(json.dumps(answer.document))
    assert document["schema"] == audit.SCHEMA
    assert document["combined"] == "Device-nGnRE"
    # Stage 1's table through stage 2 (two levels), stage 1, then stage 2's two levels.
    assert [(s["stage"], s["level"], s["for_level"]) for s in document["steps"]] == [
        (2, 1, 1),
        (2, 2, 1),
        (1, 1, None),
        (2, 1, None),
        (2, 2, None),
    ]


def test_the_command_says_what_is_wrong_with_an_address(guest: Machine) -> None:
    unmapped = audit.audit(str(guest.gdb), UNMAPPED_VA)
    assert unmapped.problem is not None
    assert unmapped.problem.startswith("stage-1 translation fault at level 1 for VA 0x10000000")
    assert unmapped.problem in unmapped.lines[-1]
    trapped = audit.audit(str(guest.gdb), TRAPPED_VA)
    assert trapped.problem is None
    assert trapped.lines[-1].startswith("no stage-2 leaf: every access traps")
    with pytest.raises(UsageError, match="--vcpu 2: the VM has vCPUs 0 to 1"):
        audit.audit(str(guest.gdb), NC_VA, vcpu=2)
    with pytest.raises(UsageError, match="not a 64-bit address"):
        audit.audit(str(guest.gdb), 1 << 64)


@pytest.mark.parametrize("flags", [("-DHCR=0x80000000",), ()], ids=["VM=0", "no EL2"])
def test_without_stage_2_the_command_shows_stage_1_and_says_so(
    qemu: QemuBinary, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    with running(qemu, tmp_path, *flags, el2=bool(flags)) as machine:
        answer = audit.audit(str(machine.gdb), DEVICE_VA, seconds=2)
        assert machine.status() == "running"
    assert audit.FLAT in answer.lines
    assert answer.problem is None
    assert answer.document["stage2"] is None
    # Without a guest's own tables (no EL2 here, so no guest was started) the MMU is off.
    expected = ("Normal-NC", "0x44000000") if flags else ("Device-nGnRnE", f"{DEVICE_VA:#x}")
    assert (answer.document["combined"], answer.document["pa"]) == expected


def test_the_vm_runs_after_any_exception(guest: Machine) -> None:
    deadline = Deadline(60)
    for error in (KeyboardInterrupt, RuntimeError, SystemExit):
        with pytest.raises(error), GdbStub(guest.gdb, deadline) as stub, stub.physical(deadline):
            raise error
        assert guest.status() == "running"
    # Physical mode is QEMU's, not the connection's: it was put back, so this is virtual again.
    with GdbStub(guest.gdb, deadline) as stub:
        assert stub.wire.exchange(b"qqemu.PhyMemMode", deadline) == b"0"


INTERRUPTED = """
import sys
from harness.base.deadline import Deadline
from harness.hosts.qemu.stub_samples import QemuCpus, Sampler
from harness.hosts.qemu.stub_tables import StubTables
from harness.hosts.tables import Target
with StubTables(sys.argv[1], Deadline(60)) as tables:
    print("ready", flush=True)
    while True:
        tables.read([Target("nc", {va})], Deadline(60))
"""


def test_the_vm_runs_after_ctrl_c_at_any_moment(guest: Machine) -> None:
    code = INTERRUPTED.format(va=NC_VA)
    for trial in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", code, guest.gdb],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[2],
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.013 * trial)
            os.kill(process.pid, signal.SIGINT)
            process.wait(timeout=60)
        assert guest.status() == "running", f"trial {trial}"


def test_a_second_debugger_is_told_and_does_no_harm(guest: Machine) -> None:
    with GdbStub(guest.gdb, Deadline(60)) as first:
        with (
            pytest.raises(MachineError, match="another debugger is connected"),
            GdbStub(guest.gdb, Deadline(0.5)),
        ):
            pass
        assert first.read_registers(0, ["MAIR_EL1"], Deadline(60)) == {"MAIR_EL1": MAIR}
    # QEMU now meets the connection that was given up, which would stop the VM for good.
    end = Deadline(10)
    while guest.status() != "running" and not end.over:
        time.sleep(0.05)
    time.sleep(0.3)
    assert guest.status() == "running"
    with GdbStub(guest.gdb, Deadline(60)) as stub:
        assert stub.vcpus == 2


def test_what_is_no_stub_is_said(guest: Machine, tmp_path: Path) -> None:
    monitor = guest.gdb.with_name("spare")
    with (
        pytest.raises(MachineError, match=r"spare: not a gdb stub: it said .*QMP"),
        GdbStub(monitor, Deadline(60)),
    ):
        pass
    # Here nobody answers: the monitor is busy with these tests' own connection.
    monitor = guest.gdb.with_name("qmp")
    with pytest.raises(MachineError, match="qmp: no answer"), GdbStub(monitor, Deadline(0.3)):
        pass
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        with pytest.raises(MachineError, match="refused"), GdbStub(tmp_path / "s", Deadline(60)):
            pass


def test_a_qemu_that_goes_away_in_the_middle_is_said(qemu: QemuBinary, tmp_path: Path) -> None:
    deadline = Deadline(60)
    with (
        running(qemu, tmp_path, STAGE2_ON) as machine,
        StubTables(machine.gdb, deadline) as tables,
    ):
        machine.process.kill()
        machine.process.wait()
        with pytest.raises(MachineError, match="the gdb stub went away"):
            tables.read([Target("nc", NC_VA)], deadline)


def test_verdicts_on_real_readings(guest: Machine) -> None:
    """The same reading under expectations that hold and that do not."""
    deadline = Deadline(60)
    with StubTables(guest.gdb, deadline) as tables:
        targets = [Target("nc", NC_VA), Target("read-only", READ_ONLY_VA)]
        nc, read_only = tables.read(targets, deadline)
    good = replace(audit_record.BAR, type="Normal-NC", pa=0x4460_0000)
    assert audit_record.audit_record(nc, good).status == "PASS"
    wrong = audit_record.audit_record(nc, replace(good, type="Device", pa=0x1000))
    assert wrong.status == "FAIL"
    assert wrong.detail.reason == (
        "both stages together give Normal-NC, expected Device; PA is 0x44600000, expected 0x1000"
    )
    bad = audit_record.audit_record(read_only, replace(audit_record.BAR, type="Normal-NC"))
    assert bad.detail.reason == "stage 2 forbids write; stage 2 allows execute"


BLOCK = 2 << 20
# What the guest's stage-2 tables have, in the order of IPAs: IPA, leaves of 2M, type, rights.
STAGE2 = [
    (0x4000_0000, 32, "Normal-WB", "rwx"),
    (0x4400_0000, 1, "Device-nGnRE", "rw-"),
    (0x4420_0000, 2, "Normal-WB", "rwx"),
    (0x4460_0000, 1, "Normal-NC", "rw-"),
    (0x4480_0000, 1, "Normal-NC", "r-x"),
    (0x44A0_0000, 475, "Normal-WB", "rwx"),
]


@pytest.mark.parametrize("through_stub", [False, True])
def test_all_of_stage_2_is_what_the_guest_wrote(guest: Machine, through_stub: bool) -> None:
    answer = audit.audit_all(str(guest.gdb), memory=None if through_stub else guest.ram)
    document = answer.document
    found = document["ranges"]
    assert isinstance(found, list)
    assert [(one["ipa"], one["leaves"], one["type"], one["rights"]) for one in found] == [
        *((f"{ipa:#x}", leaves, kind, rights) for ipa, leaves, kind, rights in STAGE2),
        ("0x7000000000", 1, "Normal-WB", "rwx"),
    ]
    assert [(one["pa"], one["block"]) for one in found] == [
        *((f"{ipa:#x}", BLOCK) for ipa, *_ in STAGE2),
        ("0x7000000000", 1 << 30),
    ]
    assert (document["leaves"], document["tables"], answer.problem) == (513, 2, None)
    assert answer.lines[2].endswith("1 x 2M Device-nGnRE rw-")


def test_a_vm_without_a_nested_guest_has_no_census(qemu: QemuBinary, tmp_path: Path) -> None:
    with (
        running(qemu, tmp_path, el2=False) as machine,
        pytest.raises(MachineError, match="no vCPU was seen running a nested guest"),
    ):
        audit.audit_all(str(machine.gdb), seconds=0.2)
