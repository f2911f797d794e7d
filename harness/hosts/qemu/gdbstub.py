# SPDX-License-Identifier: GPL-2.0-only
"""A client for QEMU's gdb stub: system registers and physical memory of a stopped VM.

Source: "GDB Remote Serial Protocol" and "Target Descriptions" in the gdb manual; QEMU
`gdbstub/gdbstub.c`, `gdbstub/system.c` and `target/arm/gdbstub.c`.

QEMU stops the VM when a client connects and does not start it again when the client goes away.
`GdbStub` is therefore a context manager that leaves the VM running however its block ends.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.hosts.qemu.rsp import Wire, frame

HANDSHAKE_SECONDS = 5.0
LEAVE_SECONDS = 2.0
# The registers a two-stage walk cannot do without; the rest of the names depends on the CPU.
NEEDED = ("cpsr", "TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "MAIR_EL1")


@dataclass(frozen=True)
class Register:
    """A register of the target description: its number in `p` packets, its width in bits."""

    name: str
    number: int
    width: int


class State(Enum):
    """The VM's state as far as this client knows; UNSURE in the middle of a change."""

    STOPPED = "stopped"
    RUNNING = "running"
    UNSURE = "unsure"
    CLOSED = "closed"


def parse_registers(documents: Iterable[str]) -> dict[str, Register]:
    """Return the registers, by name, of a target's feature documents in the order of inclusion.

    A register without `regnum` follows the one before it, across documents (gdb manual, "Target
    Description Format"). No XML parser is used: QEMU leaves the `xi:` prefix undeclared,
    which parsers refuse.
    """
    registers: dict[str, Register] = {}
    number = 0
    for document in documents:
        for tag in re.findall(r"<reg\s([^>]*)>", document):
            attributes = dict(re.findall(r'([\w-]+)\s*=\s*"([^"]*)"', tag))
            number = int(attributes.get("regnum", number))
            name = attributes.get("name", "")
            registers.setdefault(name, Register(name, number, int(attributes.get("bitsize", 64))))
            number += 1
    return registers


def connect(address: str, deadline: Deadline) -> socket.socket:
    """Return a socket connected to `address`, the path of a Unix socket or `host:port`.

    Raise MachineError when nothing listens there.
    """
    host, colon, port = address.rpartition(":")
    timeout = max(0.001, deadline.left())
    try:
        if colon and port.isdigit() and not Path(address).exists():
            return socket.create_connection((host or "localhost", int(port)), timeout)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout)
            connection.connect(address)
        except BaseException:
            connection.close()
            raise
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise MachineError(
            f"{address}: cannot connect to a gdb stub: {reason}"
            " (start QEMU with -gdb unix:PATH,server=on,wait=off)"
        ) from None
    return connection


class GdbStub:
    """`with GdbStub(address, deadline) as stub:` stops the VM, and leaves it running at the end.

    `address` is a Unix socket's path or `host:port`. vCPUs are counted from 0. Every method may
    raise MachineError: the stub is gone, silent past the deadline, or answers with an error.
    """

    def __init__(self, address: str | Path, deadline: Deadline) -> None:
        self.address = str(address)
        self.state = State.CLOSED
        self._deadline = deadline
        self._wire: Wire | None = None
        self._threads: list[str] = []
        self._chunk = 0
        self._physical = False
        self._registers: dict[str, Register] = {}

    def __enter__(self) -> GdbStub:
        deadline = self._deadline.at_most(HANDSHAKE_SECONDS)
        self._wire = Wire(connect(self.address, deadline), self.address)
        try:
            self.state = State.UNSURE
            self._handshake(deadline)
            self.state = State.STOPPED
            self._learn(deadline)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def wire(self) -> Wire:
        """Return the connection. Raise MachineError when there is none."""
        if self._wire is None:
            raise MachineError(f"{self.address}: the gdb stub is not connected")
        return self._wire

    def _handshake(self, deadline: Deadline) -> None:
        answer = self.wire.greet(b"qSupported:xmlRegisters=aarch64", deadline)
        features = answer.decode(errors="replace").split(";")
        size = next((f[11:] for f in features if f.startswith("PacketSize=")), "")
        if not re.fullmatch(r"[0-9a-fA-F]+", size):
            raise MachineError(f"{self.address}: not a gdb stub: it answered {answer[:40]!r}")
        # A byte of memory is two digits; QEMU refuses more than half a packet.
        self._chunk = max(8, int(size, 16) // 2)
        if "QStartNoAckMode+" in features and self._ask("QStartNoAckMode", deadline) == b"OK":
            self.wire.acknowledge = False
        if "qXfer:features:read+" not in features:
            raise MachineError(f"{self.address}: the gdb stub does not describe its registers")

    def _learn(self, deadline: Deadline) -> None:
        """Read register numbers and thread ids. QEMU answers `p` only after the target was read."""
        target = self._document("target.xml", deadline)
        hrefs = re.findall(r'<xi:include\s+href="([^"]+)"', target)
        parts = [self._document(href, deadline) for href in hrefs]
        self._registers = parse_registers([target, *parts])
        missing = [name for name in NEEDED if name not in self._registers]
        if missing:
            raise MachineError(
                f"{self.address}: the gdb stub has no register {missing[0]}:"
                " not a QEMU that runs an arm64 machine and shows its system registers"
            )
        self._threads = self._thread_ids(deadline)

    def _thread_ids(self, deadline: Deadline) -> list[str]:
        ids: list[str] = []
        answer = self._ask("qfThreadInfo", deadline)
        while answer.startswith(b"m"):
            ids += answer[1:].decode("ascii", "replace").split(",")
            answer = self._ask("qsThreadInfo", deadline)
        if not ids:
            raise MachineError(f"{self.address}: the gdb stub names no vCPU")
        return ids

    def _document(self, name: str, deadline: Deadline) -> str:
        text = b""
        while True:
            request = f"qXfer:features:read:{name}:{len(text):x},{self._chunk:x}"
            answer = self._ask(request, deadline)
            if answer[:1] not in (b"m", b"l"):
                raise MachineError(f"{self.address}: the gdb stub does not give {name}")
            text += answer[1:]
            if answer[:1] == b"l":
                return text.decode(errors="replace")

    def _ask(self, request: str, deadline: Deadline) -> bytes:
        return self.wire.exchange(request.encode(), deadline)

    def _expect_ok(self, request: str, deadline: Deadline) -> None:
        answer = self._ask(request, deadline)
        if answer != b"OK":
            raise MachineError(
                f"{self.address}: the gdb stub refused {request}: {answer[:40].decode('latin-1')!r}"
            )

    @property
    def vcpus(self) -> int:
        """Return the number of the VM's vCPUs."""
        return len(self._threads)

    @property
    def registers(self) -> dict[str, Register]:
        """Return the registers by name, as QEMU spells the names (`SCTLR` is SCTLR_EL1)."""
        return self._registers

    def read_registers(self, vcpu: int, names: Iterable[str], deadline: Deadline) -> dict[str, int]:
        """Return the values of those of `names` that this CPU has."""
        if not 0 <= vcpu < self.vcpus:
            raise MachineError(f"{self.address}: no vCPU {vcpu}, there are {self.vcpus}")
        self._expect_ok(f"Hg{self._threads[vcpu]}", deadline)
        known = [self._registers[name] for name in names if name in self._registers]
        return {register.name: self._register(register, deadline) for register in known}

    def halted(self, vcpu: int, deadline: Deadline) -> bool:
        """Return whether this CPU waits for an interrupt, or has not been started.

        QEMU says it in words: gdbstub/gdbstub.c, handle_query_thread_extra().
        """
        answer = self._ask(f"qThreadExtraInfo,{self._threads[vcpu]}", deadline)
        try:
            return b"[halted" in bytes.fromhex(answer.decode("ascii"))
        except ValueError:
            raise MachineError(
                f"{self.address}: the gdb stub does not tell of CPU {vcpu}"
            ) from None

    def _register(self, register: Register, deadline: Deadline) -> int:
        answer = self._ask(f"p{register.number:x}", deadline)
        try:
            value = bytes.fromhex(answer.decode("ascii"))
        except ValueError:  # or its subclass UnicodeDecodeError
            value = b""
        if not value:
            raise MachineError(f"{self.address}: the gdb stub does not give {register.name}")
        return int.from_bytes(value, "little")

    @contextlib.contextmanager
    def physical(self, deadline: Deadline) -> Iterator[None]:
        """Make addresses of read_memory() physical inside the block (QEMU's PhyMemMode).

        QEMU keeps the mode over connections. After an exception close() resets the mode.
        """
        self._physical = True
        self._expect_ok("Qqemu.PhyMemMode:1", deadline)
        yield
        self._expect_ok("Qqemu.PhyMemMode:0", deadline)
        self._physical = False

    def read_memory(self, address: int, size: int, deadline: Deadline) -> bytes | None:
        """Return `size` bytes at `address`; None where QEMU refuses."""
        data = b""
        while len(data) < size:
            count = min(self._chunk, size - len(data))
            answer = self._ask(f"m{address + len(data):x},{count:x}", deadline)
            try:
                part = bytes.fromhex(answer.decode("ascii"))
            except ValueError:
                return None
            if len(part) != count:
                return None
            data += part
        return data

    def monitor(self, command: str, deadline: Deadline) -> str:
        """Return what QEMU's human monitor prints for `command` (`qRcmd`); "" without a monitor."""
        output = b""
        answer = self._ask(f"qRcmd,{command.encode().hex()}", deadline)
        while answer[:1] == b"O" and answer != b"OK":
            with contextlib.suppress(ValueError):
                output += bytes.fromhex(answer[1:].decode("ascii", "replace"))
            answer = self.wire.receive(deadline)
        return output.decode(errors="replace")

    def stop(self, deadline: Deadline) -> None:
        """Stop the VM; do nothing when it is stopped already."""
        if self.state is State.STOPPED:
            return
        self.state = State.UNSURE
        self.wire.interrupt(deadline)
        answer = self.wire.receive(deadline)
        if answer[:1] in (b"W", b"X"):
            raise MachineError(f"{self.address}: the VM has ended")
        if answer[:1] not in (b"T", b"S"):
            raise MachineError(f"{self.address}: the VM does not stop: {answer[:40]!r}")
        self.state = State.STOPPED

    def resume(self, deadline: Deadline) -> None:
        """Let the VM run; from then on the first byte sent to the stub stops it again."""
        if self.state is State.RUNNING:
            return
        self.state = State.UNSURE
        self.wire.send(b"c", deadline)
        self.state = State.RUNNING

    def close(self) -> None:
        """Leave the VM running and disconnect; never raise. Do nothing when not connected."""
        if self._wire is None:
            return
        wire, self._wire = self._wire, None
        try:
            if self.state is not State.RUNNING and wire.is_stub:
                self._leave(wire, Deadline(LEAVE_SECONDS))
        finally:
            self.state = State.CLOSED
            wire.close()

    def _leave(self, wire: Wire, deadline: Deadline) -> None:
        """Reset physical mode and detach (`D`), which makes QEMU continue.

        Where an exchange was cut off, the bytes are right whatever state the stub is in: 0x03
        stops a VM that may run (it would swallow a packet's first byte), and `#00` ends a packet
        that was not sent to its end.
        """
        requests = [b"Qqemu.PhyMemMode:0"] if self._physical else []
        requests.append(b"D")
        if self.state is State.STOPPED and wire.idle:
            with contextlib.suppress(MachineError):
                for request in requests:
                    wire.exchange(request, deadline.at_most(deadline.seconds / 2))
                return
        packets = b"".join(frame(request) + b"+" for request in requests)
        wire.leave(b"\x03#00+" + packets, deadline)
