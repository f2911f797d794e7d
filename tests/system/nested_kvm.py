# SPDX-License-Identifier: GPL-2.0-only
"""Nested KVM without silicon: L0, an emulated machine with FEAT_NV2, runs L1, which runs L2.

L0 stands for an arm64 host. Its user land has Debian sid's QEMU beside L1's: it takes
`virtualization=on` with KVM, which QEMU can since 10.1. L1 runs by itself (s2eval.autorun), and all
that L2 says comes on L1's console.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.base import apt
from harness.base.deadline import Deadline
from harness.base.paths import cache_dir
from harness.base.process import run_tool
from harness.evaluate.cell.cell import guest_archive
from harness.evaluate.cell.reproduce import _AUTORUN
from harness.evaluate.plan.plan import request
from harness.guests.placement import placement_of
from harness.guests.vmm import vmm_of
from harness.guests.vmm.vmm import VMM_OUTPUT
from harness.hosts.events import Event
from harness.hosts.host import Job
from harness.hosts.l1.host import L1Host
from harness.hosts.l1.userland import l1_root
from harness.hosts.machines.machine import load_machine
from harness.kernel.build import Build
from harness.kernel.spec import resolve
from harness.suites.facts import Fact
from harness.suites.ktap import Parser
from harness.suites.suite import load_suite

SID = "/sid"  # where L0 has the newer QEMU and its libraries
LIBRARIES = f"{SID}/usr/lib/aarch64-linux-gnu"
LOADER = f"{LIBRARIES}/ld-linux-aarch64.so.1 --library-path {LIBRARIES}"
QEMU = f"{LOADER} {SID}/usr/bin/qemu-system-aarch64"
ANSWER = 240.0  # seconds for L0 to copy files or start a program; it only ends a hang

# L1 has EL2, the in-kernel GICv3 that it needs, an SMMU, and the device.
L1 = f"""\
{QEMU} -name s2eval-l1 -nodefaults -no-user-config -display none -no-reboot \
-machine virt,gic-version=3,virtualization=on,acpi=off,iommu=smmuv3 -accel kvm -cpu host \
-smp 1 -m 512 -serial stdio \
-fsdev local,id=share,path=/l1,security_model=none,readonly=on \
-device virtio-9p-pci,fsdev=share,mount_tag=share \
-object memory-backend-ram,id=bar,size=4M,share=on \
-device ivshmem-plain,memdev=bar,master=on,addr=0x10 \
-kernel /l1/Image -initrd /l1root \
-append 'console=ttyAMA0 earlycon panic=-1 quiet s2eval.autorun @APPEND@' < /dev/null"""


def l0_root() -> Path:
    """Return L1's root with sid's QEMU added, made when it is not in the cache."""
    base = l1_root()
    debs = apt.download_closure(
        ["qemu-system-arm"], cache_dir("userland", "debs"), ["sid"], "arm64"
    )
    names = f"{base}{sorted(deb.name for deb in debs)}{Path(__file__).read_text()}"
    folder = cache_dir("userland") / f"l0-{hashlib.sha256(names.encode()).hexdigest()[:16]}"
    archive = folder / "root.cpio"
    if archive.is_file():
        return archive
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="tmp-") as tmp:
        packages, root, made = (Path(tmp, name) for name in ("packages", "root", "made"))
        # sid's packages are usr-merged.
        for name in ("lib", "bin", "sbin"):
            (packages / "usr" / name).mkdir(parents=True)
            (packages / name).symlink_to(f"usr/{name}")
        for deb in debs:
            apt.unpack(deb, packages)
        copied = root / SID.lstrip("/")
        for name in ("usr/lib/aarch64-linux-gnu", "usr/bin"):
            shutil.copytree(packages / name, copied / name, symlinks=True)
        made.mkdir()
        files = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
        command = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", str(made / "more")]
        run_tool(command, "L0's QEMU", cwd=root, text=files)
        with (made / archive.name).open("wb") as out:
            for part in (base, made / "more"):  # the kernel unpacks one after the other
                out.write(part.read_bytes())
                out.write(bytes(-out.tell() % 512))
        (made / "more").unlink()
        made.rename(folder)
    return archive


def start_l1(host: L1Host, kernel: Build, suite: str, append: str = "") -> Nested:
    """Start L1 with `kernel` on L0; return what it says."""
    machine = load_machine("nested-tcg")
    wanted = request(resolve(kernel.record.name), machine, load_suite(suite))

    def chardev(name: str) -> str:
        return f"null,id={name}" if name == "kmsg" else f"file,id={name},path=/dev/console"

    script = placement_of(machine).guest_script(machine, chardev, "quiet s2eval.audit=1")
    assert script
    paths = host.put(
        {
            "Image": kernel.image,
            "root": l1_root(),
            "initrd": guest_archive(wanted, kernel),
            "l2": script,
            "autorun": _AUTORUN.format(program=vmm_of(machine).program),
        }
    )
    root = paths.pop("root")
    copies = "; ".join(f"cp {path} /l1/{name}" for name, path in paths.items())
    host.run(f"mkdir -p /l1; cp {root} /l1root; {copies}", Deadline(ANSWER)).check()
    return Nested(host, host.start(L1.replace("@APPEND@", append), VMM_OUTPUT, Deadline(ANSWER)))


class Nested:
    """L1 on L0, from its start to its end; `lines` are L1's console, with all that L2 says."""

    def __init__(self, host: L1Host, job: Job) -> None:
        self._host = host
        self._job = job
        self._parser = Parser()
        self.lines: list[str] = []

    def run(self, deadline: Deadline, see: Callable[[Fact], object]) -> bool:
        """Hand L2's facts to `see` until L1 has ended. Return False when the deadline is over."""
        return bool(self._host.wait(lambda event: self._take(event, see), deadline))

    @property
    def passed(self) -> int:
        """Return how many tests of L2 were ok."""
        return sum(line.lstrip().startswith("ok ") for line in self.lines)

    @property
    def failed(self) -> list[str]:
        """Return the lines of L2's tests that were not ok."""
        return [line for line in self.lines if line.lstrip().startswith("not ok ")]

    def _take(self, event: Event, see: Callable[[Fact], object]) -> bool | None:
        if self._job.status is not None:
            return True
        if event.source != VMM_OUTPUT or event.line is None:
            return None
        line = event.line.rstrip()
        self.lines.append(line)
        if "# s2eval:" in line:
            for fact in self._parser.line(line[line.index("# s2eval:") :]):
                see(fact)
        return None
