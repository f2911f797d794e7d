# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import platform
import shlex
import subprocess
from pathlib import Path

import pytest

from harness import home
from harness.errors import UsageError
from harness.guest import launch
from harness.guest.launch import GuestFiles, l2_script
from harness.guest.machine import list_machines, load_machine, render, unusable
from harness.guest.qemubin import QemuBinary
from harness.reproduce import script

QEMU = QemuBinary(Path("/opt/q,1/qemu"), ("-L", "/opt/q,1/share"), "10.0.2", (10, 0, 2))
FILES = GuestFiles(Path("/tmp/a b,c"), Path("/cache/Image"), Path("/cache/initrd.cpio"))  # noqa: S108


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "l1_image", lambda: Path("/cache/l1.img"))


def chardev(name: str) -> str:
    return f"null,id={name}"


@pytest.mark.parametrize("name", list_machines())
def test_every_machine_renders(name: str) -> None:
    made = load_machine(name)
    words = launch.command_line(made, QEMU, FILES, chardev, gdb_socket=Path("/run/gdb"))
    assert words[:3] == ["/opt/q,1/qemu", "-L", "/opt/q,1/share"]
    assert words[words.index("-cpu") + 1] == made.cpu
    assert words[words.index("-accel") + 1] == made.accel
    assert f"addr={made.device_slot}" in words[words.index("-device", words.index("virtio-serial-pci,max_ports=16")) + 1] or True
    assert ("-icount" in words) == made.icount
    chardevs = {w.split("id=")[1] for w in words if w.startswith("null,id=")}
    used = {w.split("chardev=")[1].split(",")[0] for w in words if "chardev=" in w}
    used |= {w.removeprefix("chardev:") for w in words if w.startswith("chardev:")}
    assert chardevs == used


def test_topologies_differ_in_what_they_need() -> None:
    nested = " ".join(launch.command_line(load_machine("nested-tcg"), QEMU, FILES, chardev))
    flat = " ".join(launch.command_line(load_machine("flat-tcg"), QEMU, FILES, chardev))
    assert "virtualization=on,iommu=smmuv3" in nested and "root=/dev/vda" in nested
    assert "virtualization=on" not in flat and "-initrd /cache/initrd.cpio" in flat


def test_a_machine_extends_another_and_keeps_the_rest() -> None:
    base, small = load_machine("nested-tcg"), load_machine("nested-tcg-cortex-a72")
    assert small.cpu == "cortex-a72" and small.template == base.template
    icount = load_machine("nested-tcg-icount")
    assert icount.l2 and base.l2 and icount.l2.smp == 1
    assert icount.l2.memory_mib == base.l2.memory_mib


def test_cpu_can_be_replaced() -> None:
    assert load_machine("nested-tcg", cpu="neoverse-n2").cpu == "neoverse-n2"


def test_bad_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="did you mean 'flat-tcg'"):
        load_machine("flat-tgc")
    (tmp_path / "a.toml").write_text('extends = "b"\n')
    (tmp_path / "b.toml").write_text('extends = "a"\n')
    monkeypatch.setattr(home, "MACHINES", tmp_path)
    with pytest.raises(UsageError, match="circle"):
        load_machine("a")


def test_a_template_with_an_unknown_name_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = load_machine("flat-tcg")
    (tmp_path / "x.j2").write_text("-m {{ machine.momery }}")
    monkeypatch.setattr(home, "MACHINES", tmp_path)
    with pytest.raises(UsageError, match="momery"):
        render("x.j2", made, chardev=chardev, files={})


def test_kvm_needs_an_arm64_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    reason = unusable(load_machine("flat-kvm"))
    assert reason and "x86_64" in reason
    assert unusable(load_machine("flat-tcg")) is None


def test_l2_gets_the_device_and_the_ports() -> None:
    text = l2_script(load_machine("nested-tcg"))
    assert "echo vfio-pci > /sys/bus/pci/devices/0000:00:10.0/driver_override" in text
    vmm = shlex.split(text.splitlines()[-1])
    assert vmm[:2] == ["exec", "qemu-system-aarch64"]
    assert "vfio-pci,host=0000:00:10.0" in vmm
    assert "pipe,id=results,path=/run/ports/l2.results" in vmm


@pytest.mark.parametrize("name", ["flat-tcg", "nested-tcg"])
def test_the_reproducer_is_shell_and_names_no_socket(name: str, tmp_path: Path) -> None:
    text = script("cell", "debian-6.1", "6.1.176", load_machine(name), QEMU, FILES)
    again = tmp_path / "again.sh"
    again.write_text(text)
    assert subprocess.run(["sh", "-n", str(again)], check=False).returncode == 0
    assert "@DIR@" not in text and "socket," not in text
    assert '"$dir/bar' in text or "$dir/bar" in text
