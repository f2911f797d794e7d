# SPDX-License-Identifier: GPL-2.0-only
"""The state of a lab machine: which kernel runs there, since which boot, and in which KVM mode."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.link import Link

BOOT_WORD = "s2eval.boot"  # on the command line of a kernel that s2eval has booted
_ASK = """
cat /proc/sys/kernel/random/boot_id
uname -r
cat /proc/version
tr '\\n' ' ' < /proc/cmdline; echo
od -An -v -tx1 /sys/kernel/notes | tr -d ' \\n'; echo
cat /proc/device-tree/compatible /sys/class/dmi/id/sys_vendor 2>/dev/null | tr '\\0\\n' '  '; echo
dmesg 2>/dev/null | grep -o 'kvm \\[[0-9]*\\]: .*mode initialized successfully' | tail -n 1
"""
_VIRTUAL = re.compile(r"linux,dummy-virt|QEMU|VMware|Amazon EC2(?!.*metal)|Parallels|Apple Virtual")
# arch/arm64/kvm/arm.c, by the value of kvm-arm.mode=
_MODES = {
    "nvhe": r"(Hyp nVHE|nVHE|Hyp) mode",
    "protected": r"Protected .*mode",
    "nested": r"VHE\+NV2 mode",
}


@dataclass(frozen=True)
class MachineState:
    """What runs on the machine: `release` is `uname -r`, `banner` /proc/version.

    `notes` has the kernel's ELF notes, with its build id; `kvm` is KVM's line on its mode, "" when
    there is none. `virtual`: the machine is a virtual one, as its firmware says.
    """

    boot_id: str
    release: str
    banner: str
    cmdline: str
    notes: bytes
    virtual: bool
    kvm: str

    @property
    def token(self) -> str:
        """Return the word of s2eval's on the command line; "" on a kernel booted otherwise."""
        found = re.search(rf"(?:^|\s){re.escape(BOOT_WORD)}=(\S+)", self.cmdline)
        return found[1] if found else ""


def read_state(link: Link, deadline: Deadline) -> MachineState:
    """Return the machine's state. Raise LabError when it cannot be read."""
    done = link.shell(_ASK, deadline, repeat=True)
    lines = [*done.out.splitlines(), "", "", "", "", "", "", ""]
    boot_id, release, banner, cmdline, notes, firmware, kvm = lines[:7]
    if not banner:
        reason = done.err.strip() or "it answers nothing"
        raise LabError(link.host.name, Step.COMMAND, f"its kernel cannot be asked for: {reason}")
    virtual = bool(_VIRTUAL.search(firmware))
    return MachineState(
        boot_id, release, banner, cmdline, bytes.fromhex(notes), virtual, kvm.strip()
    )


def check_kernel(host: str, state: MachineState, image: Path, token: str, asked: str) -> None:
    """Raise LabError unless the kernel of `image` runs, booted with `token`, in KVM's mode.

    Banner and build id are compared with those in the image itself; `asked` is the command line,
    whose kvm-arm.mode= counts. All that is no fault of the kernel under test.
    """
    data = image.read_bytes()
    banner = state.banner.strip().encode()
    if state.token != token:
        found = f"with {BOOT_WORD}={state.token}" if state.token else "by somebody else"
        cause = f"{state.release} runs, booted {found}, instead of the kernel sent"
        raise LabError(host, Step.KERNEL, cause)
    if banner not in data or (state.notes and state.notes not in data):
        raise LabError(host, Step.KERNEL, f"another kernel runs than was sent: {state.banner}")
    mode = re.search(r"kvm-arm\.mode=(\w+)", asked)
    wanted = _MODES.get(mode[1]) if mode else None
    if wanted and not re.search(wanted, state.kvm):
        found = state.kvm or "no KVM"
        raise LabError(host, Step.KERNEL, f"KVM is not in the mode {mode and mode[1]}: {found}")
