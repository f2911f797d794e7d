# SPDX-License-Identifier: GPL-2.0-only
"""kexec into the kernel under test, with s2eval's own user land or with the machine's root.

With s2eval's own the disk of the machine is not mounted, let alone written to, while that kernel
runs. Files that do not change (the user land) stay in s2eval's folder on the machine.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from harness.base.deadline import Deadline
from harness.hosts.host import Completed
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.link import Link
from harness.hosts.lab.userland.root import LabRoot

PREPARE = Path(__file__).with_name("prepare.sh")
IN_PLACE = Path(__file__).with_name("in-place.sh")
NO_FILE_LOAD = 3  # of guest-tests/init/kexec.c
_ROOT = re.compile(r"(root|rootfstype|rootflags|rootwait|rootdelay|init|ro|rw)(=|$)")
KEPT = 4  # kernels, suites and roots that stay on the machine, each
# FOLDER FILE NUMBER: whether FILE is there; if not, only the newest of its folder stay.
_LOOK = """
mkdir -p "$1" && touch -c "$2" && [ -s "$2" ] && exit
rm -f $(ls -t "$1"/* 2>/dev/null | tail -n +"$3")
exit 3
"""
# A service manager ends what runs and unmounts the disks; without one they are made
# read-only one by one: sysrq's remount goes on while kexec takes the disks away, and both hang.
_RUN = """
sync
if [ -d /run/systemd/system ]; then systemctl kexec; exit; fi
(
	sleep 0.3
	while read -r disk folder _ options _; do
		case $disk,$options in /dev/*,rw*) mount -o remount,ro "$folder" ;; esac
	done < /proc/mounts
	sync
	exec "$1" run
) < /dev/null > /dev/console 2>&1 &
"""


class Kexec:
    """What both ways have in common, on the machine of `link`."""

    def __init__(self, link: Link, root: LabRoot) -> None:
        self._link = link
        self._root = root
        self._folder = link.host.folder

    def run(self, deadline: Deadline) -> None:
        """Leave the running kernel for the loaded one; return before that happens."""
        argv = ["sh", "-c", _RUN, "run", f"{self._folder}/kexec"]
        self._refuse(self._link.run(argv, deadline))

    def _put_programs(self, deadline: Deadline) -> str:
        """Copy the user land and its static programs; return the path of its archive there."""
        root = self._put("root", self._root.archive, deadline)
        for program in (self._root.busybox, self._root.kexec):
            self._put_program(program, deadline)
        return root

    def _load(self, kernel: str, initrd: str, cmdline: str, root: str, deadline: Deadline) -> None:
        """Load `kernel`, by kexec-tools where the running kernel cannot load files itself."""
        argv = [f"{self._folder}/kexec", "load", kernel, initrd, cmdline]
        done = self._link.run(argv, deadline)
        if done.status == NO_FILE_LOAD:
            script = IN_PLACE.read_text(encoding="utf-8")
            tools = ["/sbin/kexec", "-c", "-l", self._in_place(kernel)]
            tools += [f"--initrd={self._in_place(initrd)}"] if initrd else []
            tools.append(f"--command-line={cmdline}")
            argv = ["sh", "-c", script, "in-place", self._folder, root, *tools]
            done = self._link.run(argv, deadline)
        self._refuse(done)

    def _in_place(self, path: str) -> str:
        """Return the path of a file of s2eval's folder for a program run by in-place.sh."""
        return f"/mnt{path.removeprefix(self._folder)}"

    def _put(self, kind: str, file: Path, deadline: Deadline) -> str:
        """Copy a file to the machine unless it is there; return its path. Others grow old."""
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()[:24]
        folder = f"{self._folder}/{kind}"
        path = f"{folder}/{digest}"
        argv = ["sh", "-c", _LOOK, "look", folder, path, str(KEPT)]
        there = self._link.run(argv, deadline, repeat=True)
        if there.status:
            self._link.put(file, path, self._enough(file, deadline))
        return path

    def _put_program(self, program: Path, deadline: Deadline) -> None:
        path = f"{self._folder}/{program.name}"
        with program.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        same = f'[ "$(sha256sum < {path} 2>/dev/null)" = "{digest}  -" ]'
        if self._link.shell(same, deadline, repeat=True).status:
            self._link.put(program, path, self._enough(program, deadline), mode="700")

    def _enough(self, file: Path, deadline: Deadline) -> Deadline:
        """Return a deadline for the copy of `file` at the least speed of the host's file."""
        limits = self._link.host.limits
        return deadline.at_most(limits.command + file.stat().st_size / 1024 / limits.rate)

    def _refuse(self, done: Completed) -> None:
        """Raise LabError when the command has failed."""
        if done.status:
            lines = (done.err or done.out).strip().splitlines() or ["no message"]
            step = Step.DISK if "No space left" in done.err else Step.BOOT
            raise LabError(self._link.host.name, step, lines[-1])


class KexecInitramfs(Kexec):
    """With s2eval's own user land as initramfs."""

    def files_there(self, image: Path, archive: Path) -> dict[Path, str]:
        """Return where the kernel booted has the files that it came with."""
        return {image: "/share/Image", archive: "/share/initrd"}

    def load(self, image: Path, archive: Path, cmdline: str, deadline: Deadline) -> None:
        """Copy what is not there yet, and have the running kernel load `image`.

        Raise LabError when that fails.
        """
        root = self._put_programs(deadline)
        kernel = self._put("kernel", image, deadline)
        suite = self._put("suite", archive, deadline)
        user = self._link.host.to.user or "root"
        prepare = PREPARE.read_text(encoding="utf-8")
        argv = ["sh", "-c", prepare, "prepare", self._folder, root, kernel, suite, user]
        boot = f"{self._folder}/boot"
        try:
            self._refuse(self._link.run(argv, deadline))
            self._load(kernel, f"{boot}/initrd", cmdline, root, deadline)
        finally:
            self._link.run(["rm", "-rf", boot], deadline)  # it has the machine's keys


class KexecRoot(Kexec):
    """With the root of the machine's own system, which the kernel must be able to mount alone."""

    def files_there(self, image: Path, archive: Path) -> dict[Path, str]:
        """Return nothing: the files that guests boot are copied when they are needed."""
        return {}

    def load(self, image: Path, archive: Path, cmdline: str, deadline: Deadline) -> None:
        """Copy what is not there yet, and have the running kernel load `image`.

        Raise LabError when that fails, or when only an initramfs finds the machine's root.
        """
        words = self._link.run(["cat", "/proc/cmdline"], deadline, repeat=True).out.split()
        kept = [word for word in words if _ROOT.match(word)]
        named = next((word for word in kept if word.startswith("root=")), "")
        if not re.match(r"root=(/dev/(?!mapper/)|PARTUUID=|\d+:\d+)", named):
            cause = f"the kernel alone does not find '{named or 'no root='}' (kexec-initramfs does)"
            raise LabError(self._link.host.name, Step.BOOT, cause)
        root = self._put_programs(deadline)
        kernel = self._put("kernel", image, deadline)
        self._load(kernel, "", " ".join([*kept, cmdline]), root, deadline)
