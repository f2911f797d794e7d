# SPDX-License-Identifier: GPL-2.0-only
"""tools.toml, how its tools are looked for, and the doctor's report."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness.app.doctor import (
    GIB,
    DoctorReport,
    HostState,
    MachineState,
    QemuState,
    ToolState,
    doctor,
    render,
)
from harness.base import tools
from harness.base.errors import ExitCode
from harness.base.tools import (
    Tool,
    ToolFinding,
    as_tuple,
    check,
    install_command,
    load_tools,
    version_in,
)
from harness.guests.calibrate import fidelity
from harness.hosts.machines import kvm

# First lines as Debian 12's tools print them (gcc: -dumpfullversion).
PRINTED = {
    "12.2.0": ["12.2.0"],
    "4.3": ["GNU Make 4.3"],
    "3.8.2": ["bison (GNU Bison) 3.8.2"],
    "1.07.1": ["bc 1.07.1"],
    "2.13": ["cpio (GNU cpio) 2.13"],
    "30": ["kmod version 30"],
    "1.21.22": ["Debian 'dpkg-deb' package archive backend version 1.21.22 (amd64)."],
    "14.0.6": [
        "Debian clang version 14.0.6",
        "Debian LLD 14.0.6 (compatible with GNU linkers)",
        "llvm-objcopy, compatible with GNU objcopy\nDebian LLVM version 14.0.6",
    ],
    "7.2.22": ["QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)"],
    "": ["no number here", "x86_64-linux-gnu"],
}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_each_tool_says_what_it_is_for(machine: str) -> None:
    listed = load_tools(machine=machine)
    names = [tool.name for tool in listed]
    assert len(names) == len(set(names))
    for tool in listed:
        assert tool.purpose, tool.name
        assert tool.package, tool.name
        assert tool.need in ("required", "wanted", "test", "optional")
        assert not tool.minimum or tool.version, f"{tool.name}: only a version has a minimum"
        assert not tool.minimum or as_tuple(tool.minimum)


def test_the_compiler_is_the_native_one_on_arm64() -> None:
    on_x86 = {tool.package for tool in load_tools(machine="x86_64")}
    on_arm64 = {tool.package for tool in load_tools(machine="aarch64")}
    assert on_x86 - on_arm64 == {"gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"}
    assert on_arm64 <= on_x86
    assert "gcc" in on_arm64


def test_a_tool_without_a_check_is_refused(tmp_path: Path) -> None:
    table = '[[tool]]\nname = "x"\npurpose = "y"\npackage = "z"\n'
    (tmp_path / "t.toml").write_text(table)
    with pytest.raises(ValueError, match="x needs one of version, header and library"):
        load_tools(tmp_path / "t.toml")


@pytest.mark.parametrize(("version", "texts"), PRINTED.items())
def test_versions_are_read_from_what_tools_print(version: str, texts: list[str]) -> None:
    assert [version_in(text) for text in texts] == [version] * len(texts)


def test_versions_compare_by_number() -> None:
    assert as_tuple("10.0.2") == (10, 0, 2)
    assert as_tuple("9.2") < as_tuple("10")
    assert as_tuple("") == ()


def script(folder: Path, name: str, body: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("body", "state", "version"),
    [
        ("echo tool 4.1", "ok", "4.1"),
        ("echo tool 4.0", "ok", "4.0"),
        ("echo tool 3.81 >&2", "too old", "3.81"),
        ("echo tool 5.0; exit 1", "missing", ""),
    ],
)
def test_a_tool_is_run(body: str, state: str, version: str, tmp_path: Path) -> None:
    program = script(tmp_path, "tool", body)
    tool = Tool("tool", "test", "tool", minimum="4.0", version=(str(program), "--version"))
    found = check(tool)
    assert (found.state, found.version) == (state, version)


def test_a_tool_that_cannot_be_started_is_missing(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    assert check(Tool("tool", "test", "tool", version=(str(program),))).state == "missing"
    assert check(Tool("tool", "test", "tool", version=("no-such-tool",))).state == "missing"


def test_every_tool_is_missed_on_a_machine_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A shell that asks a tool must not hide that the tool is not there."""
    for name in ("sh", "sed", "head"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    off_path = ("postgres", "mke2fs")
    asked = [tool for tool in load_tools() if tool.version and tool.name not in off_path]
    monkeypatch.setenv("PATH", str(tmp_path))
    there = [tool.name for tool in asked if check(tool).state != "missing"]
    assert there == []


@pytest.mark.parametrize(("header", "state"), [("stdio.h", "ok"), ("no/such/header.h", "missing")])
def test_headers_are_looked_for_by_the_compiler(header: str, state: str) -> None:
    assert check(Tool("h", "test", "p", header=header)).state == state
    assert check(Tool("h", "test", "p", header=header, compiler="no-such-gcc")).state == "missing"


@pytest.mark.parametrize(("library", "state"), [("libc.a", "ok"), ("libnone.a", "missing")])
def test_libraries_are_looked_for_by_the_compiler(library: str, state: str) -> None:
    assert check(Tool("l", "test", "p", library=library)).state == state


def test_only_a_required_tool_is_needed() -> None:
    needs: dict[tools.Need, bool] = {
        "required": True, "wanted": False, "test": False, "optional": False,
    }  # fmt: skip
    for need, needed in needs.items():
        tool = Tool("t", "test", "p", need=need, version=("t",))
        assert ToolFinding(tool, "missing").needed is needed
        assert ToolFinding(tool, "too old", "1").needed is needed
        assert not ToolFinding(tool, "ok", "2").needed


def test_the_install_command_names_each_package_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert install_command(["a", "b", "a"]) == "apt-get install --no-install-recommends a b"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert install_command(["a"]) == "sudo apt-get install --no-install-recommends a"


def test_bootstrap_is_told_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = script(tmp_path, "old", "echo 1.0")
    tables = {
        "none": 'version = ["no-such-tool"]',
        "old": f'version = ["{old}"]\nminimum = "2"',
        "fine": f'version = ["{old}"]',
        "extra": 'version = ["no-such-tool"]\nneed = "optional"',
        "nice": 'version = ["no-such-tool"]\nneed = "wanted"',
        "tried": 'version = ["no-such-tool"]\nneed = "test"',
    }
    text = "".join(
        f'[[tool]]\nname = "{name}"\npurpose = "for {name}"\npackage = "{name}-deb"\n{check}\n'
        for name, check in tables.items()
    )
    (tmp_path / "tools.toml").write_text(text)
    listed = load_tools(tmp_path / "tools.toml")
    monkeypatch.setattr(tools, "load_tools", lambda: listed)
    assert tools.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "none-deb\trequired\tnone missing: for none",
        "old-deb\trequired\told 1.0 is too old: for old",
        "nice-deb\twanted\tnice missing: for nice",
    ]
    assert tools.main("test") == 0
    listed_for_tests = capsys.readouterr().out.splitlines()
    assert listed_for_tests[3:] == ["tried-deb\ttest\ttried missing: for tried"]


def test_kvm_needs_an_arm64_host() -> None:
    assert "this one is x86_64" in (kvm.why_no_kvm(machine="x86_64") or "")
    assert "this one is x86_64" in (kvm.why_no_nested_kvm(machine="x86_64") or "")


def test_kvm_needs_its_device(tmp_path: Path) -> None:
    absent = tmp_path / "kvm"
    assert f"{absent} is missing" in (kvm.why_no_kvm(absent, "aarch64") or "")
    absent.touch()
    assert kvm.why_no_kvm(absent, "aarch64") is None
    # A plain file answers no KVM ioctl.
    assert "Inappropriate ioctl" in (kvm.why_no_nested_kvm(absent, "aarch64") or "")


@pytest.mark.parametrize(("capability", "said"), [(0, "FEAT_NV2"), (1, None)])
def test_nested_kvm_is_asked_of_the_kernel(
    capability: int, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(kvm, "check_extension", lambda *_: capability)
    reason = kvm.why_no_nested_kvm(device, "aarch64")
    assert (reason is None) if said is None else (said in (reason or ""))


def report(**changes: object) -> DoctorReport:
    """A report of a host on which all is well but for `changes`."""
    label = "QEMU 10.0.2 with max and 2 CPUs"
    timing = {"timing": f"{label} emulates the CPU"}
    values: dict[str, object] = {
        "ok": True,
        "tools": [
            tool_state("gcc", "ok", "12.2.0"),
            tool_state("clang", "missing", "", "optional"),
            tool_state("pg", "missing", "", "test"),
        ],
        "install": "",
        "host": HostState(
            system="Debian",
            machine="x86_64",
            cpus=2,
            memory=8 * GIB,
            cache="/cache",
            cache_free=20 * GIB,
            kvm="no",
            nested_kvm="no",
        ),
        "caches": {"qemu": 84 * 2**20, "sources": 3 * GIB},
        "qemu": QemuState(path="/q", version="10.0.2"),
        "machines": [
            MachineState(name="flat", label=label, shows=["lse"], limits=timing),
            MachineState(
                name="nested",
                label=label,
                limits={"mte": f"{label}: mte is unknown: no EL2"} | timing,
            ),
            MachineState(name="metal", skipped="no arm64 here"),
        ],
        "warnings": [],
    }
    return DoctorReport.model_validate(values | changes)


def tool_state(
    name: str, state: tools.State, version: str, need: tools.Need = "required"
) -> ToolState:
    return ToolState(
        name=name,
        state=state,
        version=version,
        minimum="8.1",
        need=need,
        purpose=f"for {name}",
        package=f"{name}-deb",
    )


def test_a_report_of_a_host_on_which_all_is_well() -> None:
    lines = render(report())
    assert "  gcc    ok         12.2.0          for gcc" in lines
    assert "  clang  not there                  for clang (optional)" in lines
    assert "  pg     not there                  for pg (./bootstrap test)" in lines
    assert "  cache /cache: 20.0 GiB free; qemu 84.0 MiB, sources 3.0 GiB" in lines
    assert "  metal: SKIP, no arm64 here" in lines
    assert lines[-1] == "All that is needed is there."
    assert report().exit_code == ExitCode.OK


def test_what_no_machine_shows_is_said_once() -> None:
    lines = render(report())
    start = lines.index("  flat (QEMU 10.0.2 with max and 2 CPUs)")
    assert lines[start : start + 8] == [
        "  flat (QEMU 10.0.2 with max and 2 CPUs)",
        "    shows lse",
        "  nested (QEMU 10.0.2 with max and 2 CPUs)",
        "    shows nothing",
        "    not mte: unknown: no EL2",
        "  metal: SKIP, no arm64 here",
        "  all of them",
        "    not timing: emulates the CPU",
    ]


def test_a_report_of_what_is_missing() -> None:
    bad = report(
        ok=False,
        tools=[tool_state("gcc", "too old", "7.5.0"), tool_state("bc", "missing", "")],
        install="apt-get install gcc-deb bc-deb",
        qemu=QemuState(problem="QEMU is missing"),
        machines=[MachineState(name="flat", problem="calibration failed: it said nothing")],
        warnings=["/cache has 1.0 GiB left"],
    )
    lines = render(bad)
    assert "  gcc  too old    7.5.0 (< 8.1)   for gcc" in lines
    assert "  bc   missing                    for bc" in lines
    assert "  flat: calibration failed: it said nothing" in lines
    assert "warning: /cache has 1.0 GiB left" in lines
    assert "QEMU: QEMU is missing" in lines
    assert "Missing; install with: apt-get install gcc-deb bc-deb" in lines
    assert lines[-1] == "Not ready: see above."
    assert bad.exit_code == ExitCode.UNDECIDED


def test_without_a_qemu_nothing_is_calibrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("S2EVAL_QEMU", "/no/such/qemu")
    monkeypatch.setattr(fidelity, "calibrate", lambda *_, **__: pytest.fail("calibrated"))
    (tmp_path / "cache/sources").mkdir(parents=True)
    (tmp_path / "cache/sources/file").write_bytes(b"x" * 100_000)
    seen: list[str] = []
    found = doctor(seen.append)
    assert not found.ok
    assert found.qemu.problem.startswith("S2EVAL_QEMU=/no/such/qemu: no such program")
    assert all(state.skipped for state in found.machines)
    assert found.caches["sources"] >= 100_000
    assert found.host.cache == str(tmp_path / "cache")
    assert found.host.cpus >= 1
    assert [line for line in seen if line.startswith("machine ")]
