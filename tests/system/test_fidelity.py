# SPDX-License-Identifier: GPL-2.0-only
"""The calibration guest, really built and really run on the QEMU the project uses."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.arm.bits import bits
from harness.base.deadline import Deadline
from harness.base.errors import BuildError, MachineError
from harness.guests.calibrate import guest
from harness.guests.calibrate.fidelity import Fidelity, calibrate, command_line, identify, limits
from harness.guests.calibrate.report import Mapping, interpret, parse_report
from harness.hosts.qemu.binary import QemuBinary, find_qemu
from harness.kernel.toolchain import cross_prefix

# Guests that are none: what they do is all that the harness gets to know of them.
BAD_GUESTS = {
    "silent": "1: wfi; b 1b",
    "stuck": "mov w1, #'x'; ldr x0, =0x09000000; str w1, [x0]; 1: b 1b",
    "flood": "mov w1, #0x80; ldr x0, =0x09000000; 1: str w1, [x0]; b 1b",
    "off": "ldr w0, =0x84000008; smc #0",
}


OLDEST = (1,)
qemu = functools.cache(find_qemu)


def measure(
    cpu: str = "max",
    smp: int = 2,
    *,
    el2: bool = True,
    icount: bool = False,
    binary: QemuBinary | None = None,
) -> Fidelity:
    binary = binary or qemu()
    return calibrate(
        binary.path,
        binary.args,
        cpu=cpu,
        smp=smp,
        el2=el2,
        icount=icount,
        accel="tcg",
        deadline=Deadline(60),
    )


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of this module's own, so that nothing comes from an earlier run. Only QEMU does:
    a backport is not to be fetched again.
    """
    assert qemu() and qemu(OLDEST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def version(found: Fidelity) -> tuple[int, int]:
    match = re.search(r"version (\d+)\.(\d+)", found.qemu_version)
    assert match
    return int(match[1]), int(match[2])


def aligned_device(found: Fidelity) -> bool:
    """Whether this QEMU is known to check the alignment of Device accesses (docs/fidelity.md)."""
    if version(found) < (9, 0):
        return False
    return version(found) >= (10, 2) or (found.smp > 1 and not found.icount)


@pytest.mark.parametrize("cpu", ["max", "cortex-a72", "cortex-a76"])
@pytest.mark.parametrize("smp", [1, 2])
def test_a_machine_with_el2(cpu: str, smp: int) -> None:
    found = measure(cpu, smp)
    facts = found.facts
    assert facts.device_alignment_fault is aligned_device(found)
    assert facts.s2_device_fault is aligned_device(found)
    assert facts.s1_device_over_s2_normal_first is aligned_device(found)
    assert facts.nc_unaligned_ok is True
    assert facts.s2_nc_ok is True
    assert facts.fwb is (cpu == "max")
    assert facts.vhe is (cpu != "cortex-a72")
    assert facts.lse is (cpu != "cortex-a72")
    assert "4K" in facts.granules.split(",")
    assert facts.cntfrq > 0
    assert len(found.mappings()) == 7 + 7 * 13 + (7 * 7 if cpu == "max" else 0)
    if facts.s2_device_fault:
        esr = int(facts.s2_device_esr, 16)
        assert (bits(esr, 31, 26), bits(esr, 5, 0)) == (0x24, 0x21)
    else:
        assert facts.s2_device_esr == "none"


def takes_nc_for_ngnre(m: Mapping) -> bool:
    """A fault of QEMU's combined_attrs_nofwb(): of MAIR's byte 0x44 (Normal-NC) it looks at the
    low half alone where the other stage is Device, and 4 is Device-nGnRE's.
    """
    inner_nc = m.stage1 == "NC" if m.stage2_is_device else (m.memattr or 0) & 3 == 1
    reordering = m.stage1 in ("nGRE", "GRE") or m.memattr in (2, 3)
    return not m.fwb and inner_nc and reordering and m.attr == 0x04


@pytest.mark.parametrize("cpu", ["max", "cortex-a72"])
def test_the_emulator_combines_both_stages_as_the_architecture_says(cpu: str) -> None:
    assert [m for m in measure(cpu).disagreements() if not takes_nc_for_ngnre(m)] == []


def test_a_qemu_that_is_older_than_the_project_wants() -> None:
    """The system's own, where it is another one: 7.2 on Debian 12, without alignment faults."""
    found = measure(binary=qemu(OLDEST))
    assert found.qemu == str(qemu(OLDEST).path)
    assert found.facts.device_alignment_fault is aligned_device(found)
    assert found.facts.s2_device_fault is aligned_device(found)
    assert found.facts.nc_unaligned_ok is True


def test_only_what_is_device_faults() -> None:
    for mapping in measure().mappings():
        device = "nG" in mapping.stage1 or mapping.stage1 == "GRE" or mapping.stage2_is_device
        assert device or mapping.loads == "wwww", mapping


def test_icount_has_no_alignment_faults_where_one_thread_has_none() -> None:
    found = measure(icount=True)
    assert found.facts.device_alignment_fault is aligned_device(found)
    assert ("device-alignment" in limits(found)) is not aligned_device(found)


def test_a_machine_without_el2_knows_nothing_of_stage_2() -> None:
    found = measure(el2=False)
    assert found.facts.device_alignment_fault is aligned_device(found)
    assert found.facts.nc_unaligned_ok is True
    assert found.facts.s2_device_fault == found.facts.fwb == "unknown: machine has no EL2"
    assert limits(found)["s2-alignment"].endswith("machine has no EL2")


@pytest.fixture
def counted(tmp_path: Path) -> tuple[Path, Path]:
    """A QEMU that notes every start (but for --version) in a file."""
    real = " ".join([str(qemu().path), *qemu().args])
    wrapper, notes = tmp_path / "qemu", tmp_path / "notes"
    note = f'case "$*" in *--version*) ;; *) echo started >> {notes} ;; esac'
    wrapper.write_text(f'#!/bin/sh\n{note}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    notes.touch()
    return wrapper, notes


def test_a_finding_is_measured_once(
    counted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper, notes = counted
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))

    def starts(smp: int = 1) -> int:
        found = calibrate(
            wrapper,
            [],
            cpu="cortex-a72",
            smp=smp,
            el2=False,
            icount=False,
            accel="tcg",
            deadline=Deadline(60),
        )
        assert (found.smp, found.facts.nc_unaligned_ok) == (smp, True)
        return len(notes.read_text().splitlines())

    assert starts() == 1
    assert starts() == 1
    assert starts(smp=2) == 2
    os.utime(wrapper, (1, 1))  # another binary
    assert starts() == 3
    for finding in (tmp_path / "cache/fidelity").glob("*.json"):
        finding.write_text(finding.read_text()[:100])
    assert starts() == 4
    left = sorted(p.suffix for p in (tmp_path / "cache/fidelity").iterdir())
    assert left == ["", ".elf", ".json", ".json", ".json"]


def test_two_at_once_find_the_same(tmp_path: Path) -> None:
    binary, args = qemu().path, qemu().args
    program = (
        "import sys; from pathlib import Path; from harness.base.deadline import Deadline\n"
        "from harness.guests.calibrate.fidelity import calibrate\n"
        f"print(calibrate(Path({str(binary)!r}), {args!r}, cpu='max', smp=2, el2=True,\n"
        "    icount=False, accel='tcg', deadline=Deadline(60)).model_dump_json())"
    )
    env = {**os.environ, "S2EVAL_CACHE": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert Fidelity.model_validate_json(said[0]).facts.nc_unaligned_ok is True


def bad_guest(name: str, folder: Path) -> Path:
    source, image = folder / f"{name}.S", folder / f"{name}.elf"
    source.write_text(f".global _start\n_start: {BAD_GUESTS[name]}\n")
    link = ["-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x40200000", "-Wl,--build-id=none"]
    gcc = f"{cross_prefix()}gcc"
    subprocess.run([gcc, *link, "-o", str(image), str(source)], check=True)
    return image


def run(image: Path, seconds: float = 60.0, *, el2: bool = True) -> str:
    """What a guest says on a machine that has never been calibrated."""
    machine = identify(
        qemu().path,
        qemu().args,
        cpu="cortex-a72",
        smp=1,
        el2=el2,
        icount=False,
        accel="tcg",
    )
    try:
        return guest.run_guest(command_line(machine, image), Deadline(seconds))
    finally:
        with pytest.raises(ChildProcessError):  # QEMU is gone, and has been waited for
            os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("silent", "did not power off within {} s: it said nothing"),
        ("stuck", "did not power off within {} s: its last line was 'x'"),
        ("flood", f"more than {guest.OUTPUT_LIMIT} bytes"),
    ],
)
def test_a_guest_that_does_not_end_is_named(name: str, says: str, tmp_path: Path) -> None:
    image = bad_guest(name, tmp_path)
    told = ""
    for seconds in (1, 8, 64):  # a busy machine needs more until the guest says a word
        with pytest.raises(MachineError) as error:
            run(image, seconds)
        told = str(error.value)
        if says.format(seconds) in told:
            return
    raise AssertionError(told)


def test_a_guest_that_says_nothing_gives_no_facts(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="printed no report"):
        parse_report(run(bad_guest("off", tmp_path)))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the guest's sources to break."""
    copy = tmp_path / "sources"
    shutil.copytree(guest.SOURCES, copy)
    return copy


@pytest.mark.parametrize("el2", [True, False])
def test_an_unexpected_exception_is_reported(el2: bool, sources: Path, tmp_path: Path) -> None:
    main = sources / "main.c"
    text = main.read_text()
    assert text.count("\tmake_window();\n") == 1
    main.write_text(text.replace("\tmake_window();\n", '\tasm volatile("brk #7");\n'))
    image = guest.build_image(tmp_path, Deadline(60), sources)
    said = run(image, el2=el2)
    with pytest.raises(MachineError, match=r"unexpected exception: .*esr=0x00000000f2000007"):
        parse_report(said)


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        # No access flag in stage 1: a load neither works nor is misaligned.
        ("type = DESC_PAGE |", "type = (DESC_PAGE & ~(1ul << 10)) |", "el1,000000009600000b"),
        # Stage 2 leads to another page: the load works, the data is not the target's.
        ("(uint64_t)target_page | DESC_PAGE | S2", "(uint64_t)s2_l2 | DESC_PAGE | S2", "el0,"),
    ],
)
def test_a_mapping_that_is_wrong_gives_no_facts(
    right: str, wrong: str, says: str, sources: Path, tmp_path: Path
) -> None:
    main = sources / "main.c"
    text = main.read_text()
    assert text.count(right) == 1
    main.write_text(text.replace(right, wrong))
    said = run(guest.build_image(tmp_path, Deadline(60), sources))
    with pytest.raises(MachineError, match=f"neither data nor an alignment fault: {says}"):
        interpret(parse_report(said))


def test_sources_that_do_not_build_are_named(sources: Path, tmp_path: Path) -> None:
    (sources / "main.c").write_text("int main(void)\n{\n\treturn nothing;\n}\n")
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(BuildError, match=r"main\.c:3:\d+: error: .*nothing"):
        guest.build_image(folder, Deadline(60), sources)
    assert list(folder.iterdir()) == []


def test_a_compiler_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="gcc not found: install"):
        guest.build_image(tmp_path, Deadline(60))
    assert list(tmp_path.iterdir()) == []


def test_the_image_is_the_same_every_time(sources: Path, tmp_path: Path) -> None:
    images = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        images.append(guest.build_image(tmp_path / name, Deadline(60), sources))
    assert images[0].read_bytes() == images[1].read_bytes()
    (sources / "main.c").write_text((sources / "main.c").read_text() + "\n")
    assert guest.build_image(tmp_path / "a", Deadline(60), sources) != images[0]


def test_a_cpu_that_qemu_does_not_know_is_named() -> None:
    with pytest.raises(MachineError, match=r"with cortex-a999 and 2 CPUs: QEMU ended .*a999"):
        measure("cortex-a999")


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", "/proc/nothing")
    with pytest.raises(MachineError, match=r"cache of calibrations cannot be used: .*/proc"):
        measure()
