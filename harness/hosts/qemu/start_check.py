# SPDX-License-Identifier: GPL-2.0-only
"""Whether a QEMU has all that a machine's command line asks for: QEMU is started and ended.

No instruction of a guest runs (`-S`), so no kernel is needed: the guest's files are stand-ins.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.process import ToolTimeoutError, run_quiet
from harness.base.scratch import scratch_folder
from harness.guests.launch import BAR_SIZE, l2_script
from harness.hosts.machines.machine import Machine, render
from harness.hosts.qemu.binary import PROGRAM, QemuBinary
from harness.hosts.qemu.trace_options import trace_options

MONITOR = "qmp"
STAND_IN_SIZE = 4096  # bytes; QEMU loads anything as a kernel or an initramfs, but nothing empty
ASIDE = ("warning:", "info:")  # how QEMU begins what does not end it


def why_no_start(machine: Machine, qemu: QemuBinary, deadline: Deadline) -> str:
    """Start `machine`'s QEMU for a moment; return QEMU's own words when it fails, else "".

    The guest does not run, and QEMU is gone when this returns. UsageError when a template of the
    machine, or of its L2, cannot be filled.
    """
    if machine.topology == "nested":
        l2_script(machine)
    with scratch_folder("s2eval-start-") as folder:
        command = [str(qemu.path), *qemu.args, *_arguments(machine, folder), "-S"]
        ending = "".join(
            json.dumps({"execute": name}) + "\n" for name in ("qmp_capabilities", "quit")
        )
        try:
            done = run_quiet(command, deadline, stdin=ending)
        except ToolTimeoutError:
            return f"it did not end within {deadline.seconds:.3g} s"
        except MachineError as error:
            return str(error)
    return words_of(done.stderr, done.returncode)


def words_of(printed: str, returncode: int) -> str:
    """QEMU's error of what it `printed`, without its own name; "" where it ended as it was told."""
    if returncode == 0:
        return ""
    named = f"{PROGRAM}: "
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    own = [line.removeprefix(named) for line in lines if line.startswith(named)]
    errors = [line for line in own if not line.startswith(ASIDE)]
    if errors:
        return errors[0]
    if returncode < 0:
        return f"QEMU was ended by {signal.Signals(-returncode).name}"
    return lines[0] if lines else f"QEMU ended with {returncode} and said nothing"


def _arguments(machine: Machine, folder: Path) -> list[str]:
    """The options of `machine` as in a run, with stand-ins in `folder` for the guest's files."""
    stand_in, bar, share = folder / "stand-in", folder / "bar", folder / "share"
    stand_in.write_bytes(bytes(STAND_IN_SIZE))
    share.mkdir()
    with bar.open("wb") as file:
        file.truncate(BAR_SIZE)
    arguments = render(
        machine.template,
        machine,
        chardev=_chardev,
        files={
            "image": stand_in,
            "initrd": stand_in,
            "rootfs": stand_in if machine.topology == "nested" else "",
            "bar_file": bar,
            "share": share,
            "gdb_socket": folder / "gdb",
            "monitor": "1" if machine.topology == "nested" else "",
            "ram": "",
        },
        append=machine.append,
    )
    traced = trace_options(folder / "trace") if machine.device.traced else []
    return [*arguments, *traced]


def _chardev(name: str) -> str:
    """The monitor is QEMU's standard input and output; nobody listens to the other channels."""
    return f"stdio,id={name},signal=off" if name == MONITOR else f"null,id={name}"
