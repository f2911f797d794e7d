# SPDX-License-Identifier: GPL-2.0-only
"""The calibration guest (guest-tests/calibrate): builds it and runs it."""

from __future__ import annotations

import hashlib
import os
import selectors
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.base import paths
from harness.base.deadline import Deadline
from harness.base.errors import BuildError, MachineError
from harness.base.process import ToolMissingError, ToolTimeoutError, run_quiet, start
from harness.kernel.toolchain import cross_prefix

SOURCES = paths.own_program("calibrate")
SOURCE_FILES = ("Makefile", "calibrate.ld", "main.c", "start.S")

# The guest's whole output is about 7 KB.
OUTPUT_LIMIT = 256 * 1024


def source_hash(sources: Path = SOURCES) -> str:
    """Return a SHA-256 over the names and contents of the guest's sources."""
    digest = hashlib.sha256()
    for name in SOURCE_FILES:
        content = (sources / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def build_image(folder: Path, deadline: Deadline, sources: Path = SOURCES) -> Path:
    """Return the guest's ELF file in `folder`, built unless one of the same sources is there.

    The caller holds the folder's lock. Raise BuildError, with the compiler's first error, when
    the guest does not build.
    """
    image = folder / f"calibrate-{source_hash(sources)[:16]}.elf"
    if image.is_file():
        return image
    prefix = cross_prefix()
    if not shutil.which(f"{prefix}gcc"):
        raise BuildError(f"{prefix}gcc not found: install gcc-aarch64-linux-gnu (s2eval doctor)")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name in SOURCE_FILES:
            shutil.copyfile(sources / name, Path(scratch, name))
        make = ["make", "-s", f"CROSS_COMPILE={prefix}", "OUT=calibrate.elf"]
        try:
            done = run_quiet(make, deadline, cwd=Path(scratch), env={**os.environ, "LC_ALL": "C"})
        except ToolMissingError:
            raise BuildError("make not found: install make") from None
        except ToolTimeoutError:
            raise BuildError("the calibration guest was not built in time") from None
        if done.returncode != 0:
            lines = done.stderr.splitlines() or ["make said nothing"]
            first = next((line for line in lines if "error" in line.lower()), lines[0])
            raise BuildError(f"the calibration guest does not build: {first}")
        Path(scratch, "calibrate.elf").replace(image)
    return image


def run_guest(command: Sequence[str], deadline: Deadline) -> str:
    """Run a QEMU whose guest writes to standard output until it powers off; return the output.

    Raise MachineError when QEMU fails, when the deadline passes or when the guest writes more
    than OUTPUT_LIMIT bytes. QEMU is gone afterwards, also after an exception.
    """
    try:
        qemu = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise MachineError(f"{command[0]}: {error.strerror or error}") from None
    with qemu:
        try:
            output, errors = _collect(qemu, deadline)
        finally:
            if qemu.poll() is None:
                qemu.kill()
    if qemu.returncode != 0:
        lines = errors.decode(errors="replace").splitlines() or ["no message"]
        raise MachineError(f"QEMU ended with {qemu.returncode}: {lines[0]}")
    return output.decode("ascii", errors="replace")


def _collect(qemu: subprocess.Popen[bytes], deadline: Deadline) -> tuple[bytes, bytes]:
    """Return standard output and error of `qemu`, read until QEMU has ended.

    Raise MachineError when the deadline passes, or after more than OUTPUT_LIMIT bytes.
    """
    assert qemu.stdout and qemu.stderr  # noqa: S101 - both are pipes
    received = {qemu.stdout.fileno(): bytearray(), qemu.stderr.fileno(): bytearray()}
    output, errors = received.values()
    with selectors.DefaultSelector() as selector:
        for stream in received:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline.left())
            if not ready and deadline.over:
                raise MachineError(_timeout_text(output, deadline))
            for key, _ in ready:
                chunk = os.read(key.fd, 65536)
                received[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
                if len(received[key.fd]) > OUTPUT_LIMIT:
                    raise MachineError(
                        f"the calibration guest printed more than {OUTPUT_LIMIT} bytes"
                    )
    try:
        qemu.wait(deadline.left())
    except subprocess.TimeoutExpired:
        raise MachineError(_timeout_text(output, deadline)) from None
    return bytes(output), bytes(errors)


def _timeout_text(output: bytearray, deadline: Deadline) -> str:
    lines = output.decode("ascii", errors="replace").splitlines()
    last = f"its last line was {lines[-1][:60]!a}" if lines else "it said nothing"
    return f"the calibration guest did not power off within {deadline.seconds:.3g} s: {last}"
