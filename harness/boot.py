# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval boot`: a kernel in a shell, with the device, on this terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from harness.cell import guest_archive
from harness.errors import MachineError
from harness.guest.launch import GuestFiles, command_line, l2_script, make_files
from harness.guest.machine import load_machine, unusable
from harness.guest.qemu import die_with_parent
from harness.guest.qemubin import find_qemu
from harness.kernel.build import build
from harness.kernel.spec import resolve
from harness.plan import CellRequest
from harness.probe.suite import load_suite
from harness.report.progress import Progress

_MOTD = """
{kernel} on {machine}. Ctrl-A X leaves, Ctrl-A C is QEMU's monitor; `poweroff -f` ends it too.
{more}
"""
_MOTD_NESTED = """\
`sh /share/l2` gives the device to vfio-pci and runs the suite {suite} in L2, on this terminal.
Ctrl-A Ctrl-A X ends L2, also one that KVM has given up: its QEMU stays, paused.
"""

APPEND = "quiet root=/dev/vda ro init=/s2eval/init s2eval.shell"


def _l2_chardev(name: str) -> str:
    """L2's serial port is this terminal, its results are printed there as well."""
    if name == "console":
        return "stdio,id=console,mux=on,signal=off"
    return f"null,id={name}" if name == "kmsg" else f"file,id={name},path=/dev/console"


def _chardev(name: str) -> str:
    return "stdio,id=console,mux=on,signal=off" if name == "console" else f"null,id={name}"


def boot(kernel: str, machine_name: str, suite_name: str, *, quiet: bool = False) -> None:
    """Build what is missing, boot, and leave the terminal to the guest.

    UsageError for unknown names, MachineError when this host cannot run the machine or QEMU fails.
    """
    request = CellRequest(resolve(kernel), load_machine(machine_name), load_suite(suite_name))
    machine = request.machine
    reason = unusable(machine)
    if reason:
        raise MachineError(f"machine {machine.name}: {reason}")
    with Progress(quiet=quiet) as progress:
        progress.phase(request.name, "build")
        built = build(request.kernel, progress=progress.note)
        archive = guest_archive(request, built)
    with tempfile.TemporaryDirectory(prefix="s2eval-boot-") as tmp:
        files = GuestFiles(Path(tmp), built.image, archive)
        nested = machine.topology == "nested"
        make_files(machine, files, l2_script(machine, _l2_chardev, "") if nested else None)
        more = _MOTD_NESTED.format(suite=suite_name) if nested else ""
        motd = _MOTD.format(kernel=built.record.version, machine=machine.name, more=more)
        files.share.mkdir(exist_ok=True)
        (files.share / "motd").write_text(motd)
        command = command_line(machine, find_qemu(), files, _chardev, append=APPEND, userland=True)
        command += ["-mon", "chardev=console"]
        _run(command)


def _run(command: list[str]) -> None:
    """QEMU on this terminal, which is afterwards as it was, even when QEMU was killed.

    No session of its own: the guest needs the terminal.
    """
    terminal = sys.stdin.fileno() if sys.stdin.isatty() else None
    kept = termios.tcgetattr(terminal) if terminal is not None else None
    try:
        done = subprocess.run(command, check=False, preexec_fn=die_with_parent)
    except OSError as error:
        raise MachineError(f"{command[0]}: {error.strerror}") from None
    finally:
        if terminal is not None and kept is not None:
            os.set_blocking(terminal, True)
            termios.tcsetattr(terminal, termios.TCSADRAIN, kept)
    if done.returncode:
        raise MachineError(f"QEMU ended with {done.returncode}")
