# SPDX-License-Identifier: GPL-2.0-only
"""The protocol of harness/hosts/qemu/gdbstub.py against a peer that misbehaves on purpose.

The real QEMU is in tests/system/test_gdbstub.py; here are the faults it does not show.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.qemu.gdbstub import GdbStub, State, parse_registers
from harness.hosts.qemu.memory import RAM_BASE, SharedMemory, StubMemory
from harness.hosts.qemu.rsp import checksum, frame, unescape

TARGET = '<target><xi:include href="core.xml"/><xi:include href="sys.xml"/></target>'
CORE = '<feature><reg name="x0" bitsize="64"/>\n  <reg name="cpsr" bitsize="32"/></feature>'
SYS = (
    '<feature><reg name="TTBR0_EL1" bitsize="64" regnum="70"/><reg name="TTBR1_EL1"/>'
    '<reg bitsize="64" regnum="90" name="TCR_EL1"/><reg name="MAIR_EL1" regnum="7"/></feature>'
)
DOCUMENTS = {"target.xml": TARGET, "core.xml": CORE, "sys.xml": SYS}


@dataclass
class Faults:
    greeting: bytes = b""  # said on connecting, before anything else
    bad_checksums: int = 0  # how often each answer is sent with a wrong checksum
    refusals: int = 0  # how often each request is refused with `-`
    piecemeal: bool = False  # answers come a byte at a time
    junk: bytes = b""  # in front of each answer
    hang_on: bytes = b"\x00"  # requests that are never answered (by their beginning)
    close_on: bytes = b"\x00"  # requests after which the connection is closed
    answers: dict[bytes, bytes] = field(default_factory=dict)  # instead of the right ones


class Peer(threading.Thread):
    """A gdb stub with QEMU's habits: connecting stops the VM; while it runs, the first byte
    stops it and is lost; only `c` and `D` start it.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        super().__init__(daemon=True)
        self.faults = faults
        self.running = True
        self.physical = 0
        self.requests: list[bytes] = []
        self._line = b""
        self._unacknowledged = b""
        self._bad = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, self._listener, contextlib.suppress(OSError):
            self._connection = connection
            self.running = False
            connection.sendall(self.faults.greeting)
            self._serve()

    def _serve(self) -> None:
        while byte := self._connection.recv(1):
            if self._unacknowledged and byte != b"$":
                if byte == b"-":
                    self._send()
                elif byte == b"+":
                    self._unacknowledged = b""
            elif self.running:
                self.running = False
                if byte == b"\x03":
                    self._answer(b"T02thread:01;")
            elif not self._collect(byte):
                return

    def _collect(self, byte: bytes) -> bool:
        self._unacknowledged = b""
        if self._line or byte == b"$":
            self._line += byte
        if self._line[-3:-2] != b"#":
            return True
        body, check, self._line = self._line[1:-3], self._line[-2:], b""
        if check == checksum(body):
            return self._request(body)
        self._connection.sendall(b"-")
        return True

    def _request(self, payload: bytes) -> bool:
        """Acknowledge and answer; False closes the connection."""
        if self.requests.count(payload) < self.faults.refusals:
            self.requests.append(payload)
            self._connection.sendall(b"-")
            return True
        self.requests.append(payload)
        if payload.startswith(self.faults.close_on):
            return False
        if payload.startswith(self.faults.hang_on):
            return True
        self._connection.sendall(b"+")
        if payload in (b"c", b"D"):
            self.running = True
        if payload != b"c":
            self._answer(self.faults.answers.get(payload, self._right(payload)))
        return True

    def _right(self, payload: bytes) -> bytes:
        name, _, rest = payload.decode().partition(":")
        if name == "qSupported":
            return b"PacketSize=40;qXfer:features:read+"
        if name == "qXfer":
            document, place = rest.removeprefix("features:read:").split(":")
            start, size = (int(n, 16) for n in place.split(","))
            part = DOCUMENTS[document][start : start + size].encode()
            return (b"m" if part else b"l") + part
        if name == "Qqemu.PhyMemMode":
            self.physical = int(rest)
        if payload[:1] == b"m":
            address, count = (int(n, 16) for n in payload[1:].decode().split(","))
            return bytes((address + i) & 0xFF for i in range(count)).hex().encode()
        if payload[:1] == b"p":
            return int(payload[1:], 16).to_bytes(8, "little").hex().encode()
        fixed = {b"qfThreadInfo": b"m01,02", b"qsThreadInfo": b"l"}
        return fixed.get(payload, b"OK")

    def _answer(self, payload: bytes) -> None:
        self._unacknowledged = self.faults.junk + frame(payload)
        self._bad = self.faults.bad_checksums
        self._send()

    def _send(self) -> None:
        packet = self._unacknowledged
        if self._bad:
            packet = packet[:-2] + b"zz"
            self._bad -= 1
        for piece in [bytes([b]) for b in packet] if self.faults.piecemeal else [packet]:
            self._connection.sendall(piece)


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("g") / "s"


@contextlib.contextmanager
def peer(path: Path, faults: Faults) -> Iterator[Peer]:
    thread = Peer(path, faults)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(timeout=10)
        assert not thread.is_alive()


HARMLESS = {
    "none": Faults(),
    "bad checksum": Faults(bad_checksums=2),
    "refused": Faults(refusals=2),
    "piecemeal": Faults(piecemeal=True),
    "junk before answers": Faults(junk=b"+x"),
    "stop reply on connecting": Faults(greeting=frame(b"T02thread:01;")),
    "all": Faults(bad_checksums=1, refusals=1, piecemeal=True),
}


@pytest.mark.parametrize("faults", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_session_survives_what_the_protocol_can_repair(faults: Faults, short_path: Path) -> None:
    deadline = Deadline(20)
    with peer(short_path, faults) as stub_peer, GdbStub(short_path, deadline) as stub:
        assert stub.vcpus == 2
        assert {r.name: r.number for r in stub.registers.values()} == {
            "x0": 0,
            "cpsr": 1,
            "TTBR0_EL1": 70,
            "TTBR1_EL1": 71,
            "TCR_EL1": 90,
            "MAIR_EL1": 7,
        }
        names = ["MAIR_EL1", "TTBR1_EL1", "NO_SUCH_EL1"]
        assert stub.read_registers(1, names, deadline) == {"MAIR_EL1": 7, "TTBR1_EL1": 71}
        stub.resume(deadline)
        stub.stop(deadline)
        with stub.physical(deadline):
            assert stub_peer.physical == 1
            expected = bytes((0x1230 + i) & 0xFF for i in range(100))
            assert stub.read_memory(0x1230, 100, deadline) == expected
        assert stub_peer.physical == 0
    assert stub_peer.running
    assert stub.state is State.CLOSED
    assert b"Hg02" in stub_peer.requests


def test_the_vm_runs_after_an_exception_and_physical_mode_is_put_back(short_path: Path) -> None:
    deadline = Deadline(20)
    with (
        peer(short_path, Faults()) as stub_peer,
        pytest.raises(KeyboardInterrupt),
        GdbStub(short_path, deadline) as stub,
        stub.physical(deadline),
    ):
        raise KeyboardInterrupt
    assert stub_peer.running
    assert stub_peer.physical == 0


def test_a_running_vm_is_left_alone_at_the_end(short_path: Path) -> None:
    deadline = Deadline(20)
    with peer(short_path, Faults()) as stub_peer, GdbStub(short_path, deadline) as stub:
        stub.resume(deadline)
    assert stub_peer.running
    assert stub_peer.requests[-1] == b"c"


@pytest.mark.parametrize("step", ["interrupt", "receive"])  # before the stop is sent; after
def test_the_vm_runs_after_an_interrupt_while_it_was_being_stopped(
    short_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    deadline = Deadline(20)

    def interrupted(_deadline: Deadline) -> NoReturn:
        raise KeyboardInterrupt

    with (
        peer(short_path, Faults()) as stub_peer,
        pytest.raises(KeyboardInterrupt),
        GdbStub(short_path, deadline) as stub,
    ):
        stub.resume(deadline)
        monkeypatch.setattr(stub.wire, step, interrupted)
        stub.stop(deadline)
    assert stub_peer.running


REPORTED = {
    "not a stub": (Faults(greeting=b'{"QMP": {"version"'), r"not a gdb stub: it said"),
    "speaks rsp, no stub": (
        Faults(answers={b"qSupported:xmlRegisters=aarch64": b""}),
        r"not a gdb stub: it answered b''",
    ),
    "silent": (Faults(hang_on=b"qSupported"), r"no answer .*another debugger"),
    "hangs in the middle": (Faults(hang_on=b"p"), r"did not answer to p7 in"),
    "goes away": (Faults(close_on=b"Hg"), r"went away: "),
    "goes away at once": (Faults(close_on=b"qSupported"), r"went away: "),
    "checksums always wrong": (Faults(bad_checksums=9), r"wrong checksums"),
    "refuses everything": (Faults(refusals=9), r"refused qSupported.* 5 times"),
    "not arm64": (
        Faults(answers={b"qXfer:features:read:sys.xml:0,20": b"l"}),
        r"no register TTBR0_EL1",
    ),
    "no register": (Faults(answers={b"p7": b"E14"}), r"does not give MAIR_EL1"),
    "no thread": (Faults(answers={b"Hg02": b"E16"}), r"refused Hg02: 'E16'"),
}


@pytest.mark.parametrize(("faults", "message"), REPORTED.values(), ids=REPORTED.keys())
def test_what_cannot_be_repaired_is_one_clear_line(
    faults: Faults, message: str, short_path: Path
) -> None:
    deadline = Deadline(1)
    with (
        peer(short_path, faults) as stub_peer,
        pytest.raises(MachineError, match=message) as raised,
        GdbStub(short_path, deadline) as stub,
    ):
        stub.read_registers(1, ["MAIR_EL1"], deadline)
    assert str(short_path) in str(raised.value)
    assert "\n" not in str(raised.value)
    # A peer that shut the door, or was never a stub, cannot be asked; every other one was.
    if faults.close_on == b"\x00" and not faults.greeting and not faults.refusals:
        assert stub_peer.running


def test_a_missing_socket_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError, match=r"none: cannot connect .*No such file"),
        GdbStub(tmp_path / "none", Deadline(1)),
    ):
        pass


def test_host_and_port_are_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        pytest.raises(MachineError, match="Connection refused"),
        GdbStub(f"127.0.0.1:{port}", Deadline(1)),
    ):
        pass


def test_an_ended_vm_is_said(short_path: Path) -> None:
    deadline = Deadline(20)
    with peer(short_path, Faults()), GdbStub(short_path, deadline) as stub:
        stub.resume(deadline)
        stub.wire._buffer += frame(b"W00")
        with pytest.raises(MachineError, match="the VM has ended"):
            stub.stop(deadline)


@given(st.binary(max_size=300))
def test_a_frame_gives_back_its_payload(payload: bytes) -> None:
    packet = frame(payload)
    assert packet[:1] == b"$"
    assert packet[-3:] == b"#" + checksum(packet[1:-3])
    assert b"#" not in packet[1:-3]
    assert b"$" not in packet[1:-3]
    assert unescape(packet[1:-3]) == payload


def test_run_lengths_are_spread_out() -> None:
    # The gdb manual's own example: "0* " is four zeros.
    assert unescape(b"0* ") == b"0000"
    assert unescape(b"}\x03") == b"#"


def test_register_numbers_go_on_over_documents() -> None:
    found = parse_registers(['<reg name="a"/><reg name="b" regnum="9" bitsize="32"/>', CORE])
    assert [(r.name, r.number, r.width) for r in found.values()] == [
        ("a", 0, 64),
        ("b", 9, 32),
        ("x0", 10, 64),
        ("cpsr", 11, 32),
    ]


class CountingStub(GdbStub):
    """Answers memory reads from a pattern; `hole` is a page of nothing."""

    hole = 0x9000

    def __init__(self) -> None:
        super().__init__("none", Deadline(1))
        self.reads: list[int] = []

    def read_memory(self, address: int, size: int, deadline: Deadline) -> bytes | None:
        self.reads.append(address)
        if address >= 0x8000:
            return bytes(size)
        return bytes((address >> 12) & 0xFF for _ in range(size))

    def monitor(self, command: str, deadline: Deadline) -> str:
        return "Cannot access memory\n" if command == f"xp /1xb {self.hole:#x}" else "0: 0x00\n"


def test_stub_memory_reads_pages_once_and_knows_holes_from_zeros() -> None:
    stub = CountingStub()
    memory = StubMemory(stub, Deadline(1))
    assert memory.read(0x1FFC, 8) == b"\x01" * 4 + b"\x02" * 4
    assert memory.read_u64(0x2008) == 0x0202020202020202
    assert stub.reads == [0x1000, 0x2000]
    assert memory.read_u64(0x8000) == 0
    assert memory.read_u64(0x9000) is None
    assert memory.read(0x8FFC, 8) is None


def test_shared_memory_starts_at_the_base_and_ends_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "ram"
    file.write_bytes(bytes(range(256)) * 16)
    with SharedMemory(file) as memory:
        assert memory.read(RAM_BASE + 1, 3) == b"\x01\x02\x03"
        assert memory.read_u64(RAM_BASE + 0xFF8) == 0xFFFEFDFCFBFAF9F8
        assert memory.read_u64(RAM_BASE + 0xFFC) is None
        assert memory.read_u64(RAM_BASE - 8) is None
    with pytest.raises(MachineError, match="ram2: cannot read the machine's memory"):
        SharedMemory(tmp_path / "ram2")
    (tmp_path / "empty").touch()
    with pytest.raises(MachineError, match="empty: cannot read"):
        SharedMemory(tmp_path / "empty")
