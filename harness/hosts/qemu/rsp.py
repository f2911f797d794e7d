# SPDX-License-Identifier: GPL-2.0-only
"""Packets of gdb's remote serial protocol: framing, checksums, retransmission.

Source: the gdb manual, "Remote Protocol: Overview" and "Packet Acknowledgment".
"""

from __future__ import annotations

import contextlib
import re
import socket

from harness.base.deadline import Deadline
from harness.base.errors import MachineError

ATTEMPTS = 5  # sends of one packet, and receptions of one reply
JUNK_LIMIT = 1 << 20  # bytes outside packets, or in one packet, before the peer is given up


def checksum(body: bytes) -> bytes:
    """Return two hex digits: the sum of the bytes modulo 256."""
    return b"%02x" % (sum(body) & 0xFF)


def frame(payload: bytes) -> bytes:
    """Return the packet `$BODY#CHECKSUM`, with the four special bytes escaped."""
    body = re.sub(rb"[#$}*]", lambda m: b"}" + bytes([m[0][0] ^ 0x20]), payload)
    return b"$" + body + b"#" + checksum(body)


def unescape(body: bytes) -> bytes:
    """Return a received body's payload: run lengths (`x*n`) expanded, `}x` unescaped."""
    out = bytearray()
    data = iter(body)
    for byte in data:
        if byte == ord("}"):
            out.append(next(data, 0) ^ 0x20)
        elif byte == ord("*") and out:
            out += out[-1:] * max(0, next(data, 29) - 29)
        else:
            out.append(byte)
    return bytes(out)


class Wire:
    """A connected socket seen as a stream of packets. `name` is the address, for messages.

    Every method but leave() and close() raises MachineError when the peer is gone, is silent past
    the deadline, or is no gdb stub.
    """

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name = name
        self.acknowledge = True
        self.is_stub = True  # until the peer has shown that it is none
        self.idle = True  # no exchange was cut off in the middle
        self._socket = connection
        self._buffer = bytearray()

    def greet(self, payload: bytes, deadline: Deadline) -> bytes:
        """Send the first request, return its answer.

        A peer whose first byte begins neither a packet nor an ack is no gdb stub.
        """
        self._write(frame(payload), deadline)
        try:
            if self._peek(deadline) not in b"+-$":
                self.is_stub = False
                begin = bytes(self._buffer[:40])
                raise MachineError(f"{self.name}: not a gdb stub: it said {begin!r}")
            return self._answer(payload, deadline)
        except TimeoutError:
            raise MachineError(
                f"{self.name}: no answer in {deadline.seconds:.1f} s:"
                " not a gdb stub, or another debugger is connected to it"
            ) from None

    def exchange(self, payload: bytes, deadline: Deadline) -> bytes:
        """Send a request, return its answer."""
        self.idle = False
        self._write(frame(payload), deadline)
        try:
            answer = self._answer(payload, deadline)
        except TimeoutError:
            raise self._silent(payload, deadline) from None
        self.idle = True
        return answer

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """Send a request that is answered later (`c`)."""
        self._write(frame(payload), deadline)
        try:
            self._await_ack(payload, deadline)
        except TimeoutError:
            raise self._silent(payload, deadline) from None

    def receive(self, deadline: Deadline) -> bytes:
        """Return the next packet's payload."""
        try:
            return self._packet(deadline)
        except TimeoutError:
            raise self._silent(b"", deadline) from None

    def interrupt(self, deadline: Deadline) -> None:
        """Send the byte that stops a running target, which is no packet."""
        self._write(b"\x03", deadline)

    def leave(self, parting: bytes, deadline: Deadline) -> None:
        """Send `parting` and wait until the peer has read all of it and closed; never raise.

        So the requests in `parting` are carried out when this returns.
        """
        with contextlib.suppress(OSError, MachineError):
            self._write(parting, deadline)
            self._socket.shutdown(socket.SHUT_WR)
            while self._fill(deadline):
                self._buffer.clear()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _silent(self, payload: bytes, deadline: Deadline) -> MachineError:
        what = f" to {payload[:30].decode('latin-1')}" if payload else ""
        return MachineError(
            f"{self.name}: the gdb stub did not answer{what} in {deadline.seconds:.1f} s"
        )

    def _answer(self, payload: bytes, deadline: Deadline) -> bytes:
        self._await_ack(payload, deadline)
        return self._packet(deadline)

    def _await_ack(self, payload: bytes, deadline: Deadline) -> None:
        """Wait for `+`; send again on `-`.

        A packet that comes before is dropped: QEMU before 8 sends a stop reply on connecting.
        """
        refusals = 0
        while self.acknowledge:
            sign = self._peek(deadline)
            if sign == b"$":
                self._packet(deadline)
                continue
            del self._buffer[:1]
            if sign == b"+":
                return
            if sign == b"-":
                refusals += 1
                if refusals == ATTEMPTS:
                    raise MachineError(
                        f"{self.name}: the gdb stub refused"
                        f" {payload[:30].decode('latin-1')} {ATTEMPTS} times"
                    )
                self._write(frame(payload), deadline)

    def _packet(self, deadline: Deadline) -> bytes:
        """Return the next packet whose checksum is right; refuse those with a wrong checksum."""
        for _ in range(ATTEMPTS):
            body, check = self._raw_packet(deadline)
            good = check.lower() == checksum(body)
            if self.acknowledge:
                self._write(b"+" if good else b"-", deadline)
            elif not good:
                break
            if good:
                return unescape(body)
        raise MachineError(f"{self.name}: the gdb stub's answers have wrong checksums")

    def _raw_packet(self, deadline: Deadline) -> tuple[bytes, bytes]:
        """Return body and checksum of the next `$BODY#CC`; drop all bytes before it."""
        while True:
            start = self._buffer.find(b"$")
            end = self._buffer.find(b"#", start) if start >= 0 else -1
            if end >= 0 and len(self._buffer) >= end + 3:
                body = bytes(self._buffer[start + 1 : end])
                check = bytes(self._buffer[end + 1 : end + 3])
                del self._buffer[: end + 3]
                return body, check
            if len(self._buffer) > JUNK_LIMIT:
                self.is_stub = False
                raise MachineError(f"{self.name}: not a gdb stub: {JUNK_LIMIT} bytes of garbage")
            self._need(deadline)

    def _peek(self, deadline: Deadline) -> bytes:
        while not self._buffer:
            self._need(deadline)
        return bytes(self._buffer[:1])

    def _need(self, deadline: Deadline) -> None:
        if not self._fill(deadline):
            raise self._gone("closed the connection")

    def _fill(self, deadline: Deadline) -> int:
        """Read into the buffer; return the number of bytes, 0 at the end of the stream.

        Raise TimeoutError past the deadline.
        """
        if deadline.over:
            raise TimeoutError
        try:
            self._socket.settimeout(deadline.left() or 0.001)
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._gone(str(error.strerror or error)) from None
        self._buffer += data
        return len(data)

    def _write(self, data: bytes, deadline: Deadline) -> None:
        try:
            self._socket.settimeout(max(0.001, deadline.left()))
            self._socket.sendall(data)
        except TimeoutError:
            raise self._gone("does not read what it is sent") from None
        except OSError as error:
            raise self._gone(str(error.strerror or error)) from None

    def _gone(self, how: str) -> MachineError:
        return MachineError(f"{self.name}: the gdb stub went away: {how}")
