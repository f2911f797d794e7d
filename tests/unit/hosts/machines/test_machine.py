# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import platform
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest

from harness.base.errors import UsageError
from harness.evaluate.cell.reproduce import script
from harness.guests.placement import flat, host, nested, placement_of
from harness.guests.usable import unusable
from harness.guests.vmm import vmm_of
from harness.hosts.machines.machine import (
    Machine,
    list_devices,
    list_machines,
    load_device,
    load_machine,
    render,
)
from harness.hosts.qemu.binary import QemuBinary
from harness.hosts.qemu.command import BootFiles, command_line

QEMU = QemuBinary(Path("/opt/q,1/qemu"), ("-L", "/opt/q,1/share"), "10.0.2", (10, 0, 2))
FOLDER, IMAGE, ARCHIVE = Path("/a b,c"), Path("/cache/Image"), Path("/cache/initrd.cpio")


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    for module in (flat, host, nested):
        monkeypatch.setattr(module, "l1_root", lambda: Path("/cache/root.cpio"))


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder qemu-configs of the current folder: one of the user's own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "qemu-configs"
    folder.mkdir()
    return folder


def chardev(name: str) -> str:
    return f"null,id={name}"


def files(machine: Machine) -> BootFiles:
    return placement_of(machine).boot_files(FOLDER, IMAGE, ARCHIVE)


def l2_script(machine: Machine) -> str:
    script = placement_of(machine).guest_script(machine, vmm_of(machine).port, "")
    assert script is not None
    return script


@pytest.mark.parametrize("name", list_machines())
def test_every_machine_renders(name: str) -> None:
    made = load_machine(name)
    words = command_line(made, QEMU, files(made), chardev, gdb_socket=Path("/run/gdb"))
    assert words[:3] == ["/opt/q,1/qemu", "-L", "/opt/q,1/share"]
    assert words[words.index("-cpu") + 1] == made.cpu
    assert words[words.index("-accel") + 1] == made.accel
    device = next(
        w for w in words if w.startswith(made.device.name.removesuffix("-unbacked") + ",")
    )
    assert f"addr={made.device_slot}" in device
    assert ("mem-path=/a b,,c/bar" in " ".join(words)) == made.device.host_file
    assert (str(files(made).trace) in words) == bool(made.device.traced)
    assert ("-icount" in words) == made.icount
    chardevs = {w.split("id=")[1] for w in words if w.startswith("null,id=")}
    used = {w.split("chardev=")[1].split(",")[0] for w in words if "chardev=" in w}
    used |= {w.removeprefix("chardev:") for w in words if w.startswith("chardev:")}
    assert chardevs == used
    guest = placement_of(made).guest_script(made, vmm_of(made).port, "")
    assert (guest is not None) == placement_of(made).needs_userland


def words(name: str) -> list[str]:
    machine = load_machine(name)
    return command_line(machine, QEMU, files(machine), chardev)


def test_topologies_differ_in_what_they_need() -> None:
    nested = " ".join(words("nested-tcg"))
    flat = " ".join(words("flat-tcg"))
    assert "virtualization=on,iommu=smmuv3" in nested and "-initrd /cache/root.cpio" in nested
    assert "virtualization=on" not in flat and "-initrd /cache/initrd.cpio" in flat


def test_a_machine_extends_another_and_keeps_the_rest() -> None:
    base, small = load_machine("nested-tcg"), load_machine("nested-tcg-cortex-a72")
    assert small.cpu == "cortex-a72" and small.template == base.template
    icount = load_machine("nested-tcg-icount")
    assert icount.l2 and base.l2 and icount.l2.smp == 1
    assert icount.l2.memory_mib == base.l2.memory_mib


def test_a_machine_of_the_users_own_comes_first_and_extends_the_projects(machines: Path) -> None:
    (machines / "mine.toml").write_text('extends = "nested-tcg"\ncpu = "neoverse-n2"\n')
    (machines / "nested-tcg.toml").write_text('extends = "nested-tcg"\nsmp = 3\n')
    assert (load_machine("mine").cpu, load_machine("mine").smp) == ("neoverse-n2", 3)
    assert load_machine("nested-tcg-cortex-a72").smp == 3, "the project's extend it, too"
    assert load_machine("flat-tcg").smp != 3
    assert {"mine", "nested-tcg", "flat-tcg"} <= set(list_machines())


def test_a_file_extends_one_beside_it(machines: Path, tmp_path: Path) -> None:
    (machines / "base.toml").write_text('extends = "flat-tcg"\nsmp = 3\n')
    (tmp_path / "mine.toml").write_text('extends = "./qemu-configs/base.toml"\n')
    assert load_machine(f"{tmp_path}/mine.toml").smp == 3


def test_a_template_of_the_users_own_uses_the_projects(machines: Path) -> None:
    made = load_machine("flat-tcg")
    (machines / "x.j2").write_text("{% import 'common.j2' as common %}-m {{ machine.memory_mib }}")
    assert render("x.j2", made, chardev=chardev, files={}) == ["-m", str(made.memory_mib)]
    (machines / "common.j2").write_text("{% macro a() %}-a{% endmacro %}")
    (machines / "y.j2").write_text("{% import 'common.j2' as common %}{{ common.a() }}")
    assert render("y.j2", made, chardev=chardev, files={}) == ["-a"]


def test_cpu_can_be_replaced() -> None:
    assert load_machine("nested-tcg", cpu="neoverse-n2").cpu == "neoverse-n2"


def test_bad_machines(machines: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'flat-tcg'"):
        load_machine("flat-tgc")
    (machines / "a.toml").write_text('extends = "b"\n')
    (machines / "b.toml").write_text('extends = "a"\n')
    with pytest.raises(UsageError, match="circle"):
        load_machine("a")


def test_a_template_with_an_unknown_name_is_a_usage_error(machines: Path) -> None:
    made = load_machine("flat-tcg")
    (machines / "x.j2").write_text("-m {{ machine.momery }}")
    with pytest.raises(UsageError, match="momery"):
        render("x.j2", made, chardev=chardev, files={})


def test_a_template_is_filled_once(machines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = load_machine("flat-tcg")
    template = machines / "x.j2"
    template.write_text(
        "-a {{ image | arg }} -b f={{ image | value }},on -c {{ chardev('x') }} "
        "{% if share %}-d{% endif %} -m {{ machine.memory_mib }} -e {{ ('k ' ~ append) | arg }}"
    )

    def words(image: str, share: str = "", append: str = "") -> list[str]:
        return render(
            "x.j2", made, chardev=chardev, files={"image": image, "share": share}, append=append
        )

    assert words("a b,c", append="q 'r'") == [
        *("-a", "a b,c", "-b", "f=a b,,c,on", "-c", "null,id=x", "-m", "256", "-e", "k q 'r'")
    ]
    environment = jinja2.Environment
    monkeypatch.setattr(jinja2, "Environment", None)
    assert words("$x", append="s")[:4] == ["-a", "$x", "-b", "f=$x,on"]
    with pytest.raises(TypeError):  # another value is empty
        words("a", share="b", append="s")
    monkeypatch.setattr(jinja2, "Environment", environment)
    template.write_text("-z")
    assert words("a", append="s") == ["-z"]


def test_kvm_needs_an_arm64_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    reason = unusable(load_machine("flat-kvm"))
    assert reason and "x86_64" in reason
    assert unusable(load_machine("flat-tcg")) is None


def test_what_a_suite_says_of_its_device() -> None:
    made = load_machine("flat-tcg-nvme")
    assert made.fill("insmod x.ko device=@device bar=@bar @resume") == (
        "insmod x.ko device=1b36:0010 bar=2 @resume"
    )


def test_a_machine_that_nobody_watches() -> None:
    assert not load_machine("nested-tcg-bochs").unwatched().device.screen
    made = load_machine("flat-tcg-nvme").unwatched()
    words = command_line(made, QEMU, files(made), chardev, gdb_socket=Path("/run/gdb"))
    assert "-trace" not in words
    assert made.device.name == "nvme"


@pytest.mark.parametrize("name", list_devices())
def test_every_device_is_of_a_machine_of_each_topology(name: str) -> None:
    made = [load_machine(machine) for machine in list_machines()]
    assert {m.topology for m in made if m.device.name == name} >= {"flat", "nested"}


def test_a_device_that_needs_a_newer_qemu() -> None:
    made = load_machine("flat-tcg-testdev")
    reason = unusable(made, QEMU)
    assert reason and "needs QEMU 10.1" in reason
    assert unusable(made, replace(QEMU, version_info=(10, 1, 0))) is None
    assert unusable(load_machine("flat-tcg-nvme"), QEMU) is None


def test_bad_devices(machines: Path) -> None:
    (machines / "devices").mkdir()
    (machines / "devices" / "edu.toml").write_text('description = "x"\n')
    with pytest.raises(UsageError, match="did you mean 'edu'"):
        load_device("eud")
    with pytest.raises(UsageError, match=r"edu\.toml"):
        load_device("edu")


def test_a_trapped_bar_is_a_matter_of_l2s_qemu() -> None:
    vmm = l2_script(load_machine("nested-tcg-trapped"))
    assert "vfio-pci,host=0000:00:10.0,x-no-mmap=on" in vmm
    assert "x-no-mmap" not in l2_script(load_machine("nested-tcg-nvme"))


def test_l2_gets_the_device_and_the_ports() -> None:
    text = l2_script(load_machine("nested-tcg"))
    assert "echo vfio-pci > /sys/bus/pci/devices/0000:00:10.0/driver_override" in text
    vmm = shlex.split(text.splitlines()[-1])
    assert vmm[:2] == ["exec", "qemu-system-aarch64"]
    assert "vfio-pci,host=0000:00:10.0" in vmm
    assert "pipe,id=results,path=/run/ports/l2.results" in vmm


@pytest.mark.parametrize("name", ["flat-tcg", "nested-tcg"])
def test_the_reproducer_is_shell_and_names_no_socket(name: str, tmp_path: Path) -> None:
    text = script("cell", "debian-6.1", "6.1.176", load_machine(name), QEMU, IMAGE, ARCHIVE)
    again = tmp_path / "again.sh"
    again.write_text(text)
    assert subprocess.run(["sh", "-n", str(again)], check=False).returncode == 0
    assert "@DIR@" not in text and "socket," not in text
    assert '"$dir/bar' in text or "$dir/bar" in text
