# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval boot`: a kernel in a shell, with the device, on this terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import MachineError, UsageError
from harness.base.process import run_on_terminal
from harness.base.scratch import scratch_folder
from harness.evaluate.cell.cell import guest_archive, guest_modules
from harness.evaluate.events import PhaseBegan, notes
from harness.evaluate.plan.plan import CellRequest, request
from harness.guests.placement import placement_of
from harness.guests.usable import unusable
from harness.hosts.l1.userland import busybox, initramfs
from harness.hosts.named import load_machine
from harness.hosts.qemu.binary import find_qemu
from harness.hosts.qemu.command import BootFiles, command_line, folder_options
from harness.kernel.build import Build, build
from harness.kernel.series import readable
from harness.kernel.spec import resolve
from harness.report.terminal.progress import shown_progress
from harness.results.phases import PhaseName
from harness.suites.suite import load_suite

_MOTD = """
{kernel} on {machine}. Ctrl-A X leaves, Ctrl-A C is QEMU's monitor; `poweroff -f` ends it too.
{more}
"""
_MOTD_NESTED = """\
`sh /share/l2` gives the device to vfio-pci and runs the suite {suite} in L2, on this terminal.
Ctrl-A Ctrl-A X ends L2, also one that KVM has given up: its QEMU stays, paused.
"""
_MOTD_HOST = """\
`sh /share/l2` runs the suite {suite} here. Its results go to a virtio port that nobody reads.
"""
_MOTD_L2 = """
L2 of {kernel} on {machine}, with the device. The suite's files are in /: `cat /tests` says what it
would run. Ctrl-A X leaves.
"""
_MOTD_SHARE = "{share} is /host.\n"
# busybox links its own applets; a guest whose mount of the folder fails says so and goes on.
_L2_SHELL = """
shell /bin/busybox --install -s /bin
shell /bin/busybox mkdir -p /host
{mount}
shell /bin/busybox cat /motd
shell /bin/busybox setsid /bin/busybox cttyhack /bin/sh
"""
_L2_MOUNT = "shell /bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L host /host"


@dataclass(frozen=True)
class BootRequest:
    """How to boot: the `level` of the shell, another `cpu`, a folder to `share`, `gdb` or not."""

    level: str = "l1"
    cpu: str | None = None
    share: Path | None = None
    gdb: bool = False


def boot(
    kernel: str, machine_name: str, suite_name: str, options: BootRequest, *, quiet: bool = False
) -> None:
    """Build what is missing, boot, and leave the terminal to the guest until QEMU ends.

    Raise UsageError for unknown names, MachineError when this host cannot run the machine or QEMU
    fails, and the errors of a kernel that does not build.
    """
    machine = load_machine(machine_name, cpu=options.cpu)
    wanted = request(readable(resolve(kernel)), machine, load_suite(suite_name))
    placement = placement_of(machine)
    if options.level == "l2" and not placement.has_guest:
        raise UsageError(f"machine {machine.name} has no L2: take a nested one (s2eval list)")
    qemu = find_qemu()
    reason = unusable(machine, qemu)
    if reason:
        raise MachineError(f"machine {machine.name}: {reason}")
    with shown_progress(quiet=quiet) as progress:
        progress(PhaseBegan(wanted.name, PhaseName.BUILD))
        built = build(wanted.kernel, progress=notes(progress))
        archive = _l2_archive(wanted, built, options) if options.level == "l2" else None
        archive = archive or guest_archive(wanted, built)
    with scratch_folder("s2eval-boot-") as tmp:
        files = placement.boot_files(tmp, built.image, archive, userland=True)
        files.make_bar()
        _fill_share(files, wanted, built, options)
        parameter = "s2eval.autorun" if options.level == "l2" else "s2eval.shell"
        command = command_line(machine, qemu, files, _chardev, append=f"quiet {parameter}")
        command += ["-mon", "chardev=console"]
        if options.share:
            command += folder_options(options.share.resolve(), "host")
        if options.gdb:
            command += _gdb(files.folder / "gdb", built)
        _run(command)


def _chardev(name: str) -> str:
    return "stdio,id=console,mux=on,signal=off" if name == "console" else f"null,id={name}"


def _l2_chardev(name: str) -> str:
    """Return the backend of one of L2's serial ports: its console and results are this terminal."""
    if name == "console":
        return "stdio,id=console,mux=on,signal=off"
    return f"null,id={name}" if name == "kmsg" else f"file,id={name},path=/dev/console"


def _fill_share(files: BootFiles, wanted: CellRequest, built: Build, options: BootRequest) -> None:
    """Fill the folder that L1 sees as /share with L2's files and the text that greets the user."""
    machine = wanted.machine
    files.share.mkdir()
    host_folder = folder_options(Path("/host"), "host") if options.share else []
    parameters = "quiet" if options.level == "l2" else ""
    hint = ""
    if script := placement_of(machine).guest_script(machine, _l2_chardev, parameters, host_folder):
        shutil.copyfile(files.image, files.share / "Image")
        shutil.copyfile(files.archive, files.share / "initrd")
        (files.share / "l2").write_text(script)
        motd = _MOTD_NESTED if placement_of(machine).has_guest else _MOTD_HOST
        hint = motd.format(suite=wanted.suite.name)
    hint += _MOTD_SHARE.format(share=options.share) if options.share else ""
    motd = _MOTD.format(kernel=built.record.version, machine=machine.name, more=hint)
    (files.share / "motd").write_text(motd)
    (files.share / "autorun").write_text("sh /share/l2\n")
    if options.share:
        (files.share / "host").touch()


def _l2_archive(wanted: CellRequest, built: Build, options: BootRequest) -> Path:
    """Return an initramfs with a shell, the suite's modules, and its script to read as /tests."""
    files = guest_modules(wanted, built)
    motd = _MOTD_L2.format(kernel=built.record.version, machine=wanted.machine.name)
    motd += _MOTD_SHARE.format(share=options.share) if options.share else ""
    with tempfile.TemporaryDirectory() as tmp:
        for name, text in {"motd": motd, "tests": wanted.machine.fill(wanted.suite.script)}.items():
            files[name] = Path(tmp, name)
            files[name].write_text(text)
        script = _L2_SHELL.format(mount=_L2_MOUNT if options.share else "")
        return initramfs({**files, "bin/busybox": busybox()}, script)


def _gdb(socket: Path, built: Build) -> list[str]:
    """Return QEMU's options to wait for gdb; print how to start gdb once QEMU listens."""
    vmlinux = built.image.with_name("vmlinux")
    line = shlex.join(["gdb-multiarch", str(vmlinux), "-ex", f"target remote {socket}"])
    threading.Thread(target=_print_when_ready, args=(socket, line), daemon=True).start()
    return ["-gdb", f"unix:{socket},server=on,wait=off", "-S"]


def _print_when_ready(socket: Path, line: str) -> None:
    """Print the command that starts gdb as soon as QEMU listens on `socket`."""
    while not socket.exists():
        time.sleep(0.02)
    print(f"s2eval: waits for gdb, and `continue` there: {line}", file=sys.stderr, flush=True)


def _run(command: list[str]) -> None:
    """Run QEMU on this terminal and restore the terminal's settings, even if QEMU was killed.

    QEMU gets no session of its own, because the guest needs the terminal. Raise MachineError when
    QEMU cannot be started or fails.
    """
    terminal = sys.stdin.fileno() if sys.stdin.isatty() else None
    settings = termios.tcgetattr(terminal) if terminal is not None else None
    try:
        status = run_on_terminal(command)
    except OSError as error:
        raise MachineError(f"{command[0]}: {error.strerror}") from None
    finally:
        if terminal is not None and settings is not None:
            os.set_blocking(terminal, True)
            termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
    if status:
        raise MachineError(f"QEMU ended with {status}")
