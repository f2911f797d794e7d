# SPDX-License-Identifier: GPL-2.0-only
"""A cell as a shell script that runs by itself: no harness, no Python."""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.base.errors import UsageError
from harness.base.toml import unknown
from harness.guests.placement import placement_of
from harness.guests.vmm import vmm_of
from harness.hosts.machines.machine import Machine
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.command import command_line
from harness.results.records import Run
from harness.results.store import cell_path

SCRIPT = "reproduce.sh"

_HEAD = """\
#!/bin/sh
# Runs {cell} again: {kernel}.
# The guest's console is printed; its results follow when it has ended. Ctrl-C ends one that hangs.
set -eu
image={image}
initrd={initrd}
for file in "$image" "$initrd"; do
	[ -r "$file" ] || {{ echo "$file is gone: s2eval build {kernel_name}" >&2; exit 2; }}
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
truncate -s 4M "$dir/bar"
"""
_SHARE = """\
mkdir "$dir/share"
cp "$image" "$dir/share/Image"
cp "$initrd" "$dir/share/initrd"
cat > "$dir/share/l2" <<'EOF'
{l2}EOF
cat > "$dir/share/autorun" <<'EOF'
{autorun}EOF
"""
# The VMM keeps a VM that KVM cannot run paused, so the script has to end the VMM.
_AUTORUN = """\
sh /share/l2 2>&1 | while IFS= read -r line; do
	echo "$line"
	case $line in
	"error: kvm run failed"*) {{ sleep 1; kill -9 $(pidof {program}); }} & ;;
	esac
done
"""
# QEMU runs in the background: a trap of the shell waits for a program in the foreground.
_WAIT = """\
qemu=$!
trap 'kill $qemu 2> /dev/null || :; wait $qemu || :; exit 130' INT TERM HUP
wait $qemu
"""


def _flat_chardev(name: str) -> str:
    if name == "console":
        return "stdio,id=console,signal=on"
    return f"file,id={name},path=@DIR@/{name}"


def _nested_chardev(name: str) -> str:
    return "stdio,id=console,signal=on" if name == "console" else f"null,id={name}"


def _l2_chardev(name: str) -> str:
    """Return a channel's chardev: all output of L2 but kmsg goes to L1's console."""
    return f"null,id={name}" if name == "kmsg" else f"file,id={name},path=/dev/console"


def script(
    cell: str,
    kernel: str,
    version: str,
    machine: Machine,
    qemu: QemuBinary,
    image: Path,
    archive: Path,
) -> str:
    """Return the script of one cell. Raise UsageError when a template cannot be filled.

    The kernel's image and the initramfs are files of the cache, named by absolute path.
    """
    head = _HEAD.format(
        cell=cell,
        kernel=f"{kernel} ({version})",
        kernel_name=shlex.quote(kernel),
        image=shlex.quote(str(image)),
        initrd=shlex.quote(str(archive)),
    )
    placement = placement_of(machine)
    in_guest = placement.has_guest
    l2 = placement.guest_script(machine, _l2_chardev, "quiet")
    arguments = command_line(
        machine,
        qemu,
        placement.boot_files(Path("@DIR@"), image, archive),
        _nested_chardev if in_guest else _flat_chardev,
        append="quiet s2eval.autorun" if l2 else "",
    )
    command = " ".join(_quoted(argument) for argument in arguments)
    share = ""
    if l2:
        autorun = _AUTORUN.format(program=vmm_of(machine).program)
        share = _SHARE.format(l2=l2, autorun=autorun)
    results = "" if in_guest else 'cat "$dir/results"\n'
    return f"{head}{share}{command} < /dev/null &\n{_WAIT}{results}"


def _quoted(argument: str) -> str:
    """Return an argument quoted for the shell, with the script's own folder for @DIR@."""
    if "@DIR@" not in argument:
        return shlex.quote(argument)
    return '"' + argument.replace("\\", "\\\\").replace("$", "\\$").replace("@DIR@", "$dir") + '"'


def stored_script(run: Run, folder: Path, cell: str) -> str:
    """Return the script that was written when `cell` of `run` ran.

    Raise UsageError when the run has no such cell, or the cell was never started.
    """
    names = [c.name for c in run.cells]
    if cell not in names:
        raise unknown("cell", cell, names)
    path = cell_path(folder, cell) / SCRIPT
    if not path.is_file():
        raise UsageError(f"cell {cell} was never started: there is nothing to reproduce")
    return path.read_text()
