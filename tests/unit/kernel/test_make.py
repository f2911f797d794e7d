# SPDX-License-Identifier: GPL-2.0-only
"""make: what is told of a failure, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.base.errors import BuildError, MachineError
from harness.base.files import full_disk_raises
from harness.base.process import run_logged
from harness.kernel.make import failure
from harness.kernel.toolchain import Toolchain, environment

SOURCE = Path("/c/tree")

# Lines of real builds of 6.1 with a fault put in, shortened.
COMPILER = """\
  CC      arch/arm64/kvm/hyp/pgtable.o
/c/tree/arch/arm64/kvm/hyp/pgtable.c: In function 'stage2_set_prot_attr':
/c/tree/arch/arm64/kvm/hyp/pgtable.c:642:9: error: 'x' undeclared (first use)
/c/tree/arch/arm64/kvm/hyp/pgtable.c:650:1: error: expected ';' before '}' token
make[4]: *** [/c/tree/scripts/Makefile.build:250: pgtable.o] Error 1
"""
ASSEMBLER = """\
/c/tree/arch/arm64/kvm/hyp/entry.S: Assembler messages:
/c/tree/arch/arm64/kvm/hyp/entry.S:27: Error: unknown mnemonic `mvo' -- `mvo x0,x1'
make[4]: *** [/c/tree/scripts/Makefile.build:384: arch/arm64/kvm/hyp/entry.o] Error 1
"""
HEADER = """\
make[1]: *** [Makefile:1: early] Error 1
../tree/mm/memory.c:12:10: fatal error: linux/none.h: No such file or directory
"""
TWICE = """\
/c/tree/arch/arm64/kvm/hyp/nvhe/../pgtable.c:21:34: error: 'nothing' undeclared
"""
LINKER = """\
aarch64-linux-gnu-ld: arch/arm64/kvm/mmu.o: in function `user_mem_abort':
mmu.c:(.text+0x11c): undefined reference to `no_such_function'
make[1]: *** [Makefile:1250: vmlinux] Error 2
"""
MODPOST = """\
ERROR: modpost: "no_such" [/tmp/probe.ko] undefined!
make[2]: *** [scripts/Makefile.modpost:127: /tmp/Module.symvers] Error 1
"""
KCONFIG = """\
arch/arm64/Kconfig:3: syntax error
arch/arm64/Kconfig:2: unknown statement "oops"
make[2]: *** [scripts/kconfig/Makefile:77: allnoconfig] Error 1
"""
NO_TOOL = """\
/bin/sh: 1: bc: not found
make[2]: *** [./Kbuild:24: include/generated/timeconst.h] Error 127
"""
NO_PAHOLE = """\
BTF: .tmp_vmlinux.btf: pahole (pahole) is not available
Failed to generate BTF for vmlinux
Try to disable CONFIG_DEBUG_INFO_BTF
make[1]: *** [/c/tree/Makefile:1250: vmlinux] Error 1
"""
RULE = "make[3]: *** No rule to make target 'mm/none.o', needed by 'mm/built-in.a'.  Stop.\n"


@pytest.mark.parametrize(
    ("said", "first"),
    [
        (COMPILER, "arch/arm64/kvm/hyp/pgtable.c:642:9: error: 'x' undeclared (first use"),
        (ASSEMBLER, "arch/arm64/kvm/hyp/entry.S:27: Error: unknown mnemonic"),
        (HEADER, "mm/memory.c:12:10: fatal error: linux/none.h"),
        (TWICE, "arch/arm64/kvm/hyp/pgtable.c:21:34: error: 'nothing'"),
        (LINKER, "mmu.c:(.text+0x11c): undefined reference to `no_such_function'"),
        (MODPOST, 'ERROR: modpost: "no_such" [/tmp/probe.ko] undefined!'),
        (KCONFIG, "arch/arm64/Kconfig:3: syntax error"),
        (NO_TOOL, "/bin/sh: 1: bc: not found"),
        (NO_PAHOLE, "BTF: .tmp_vmlinux.btf: pahole (pahole) is not available"),
        (RULE, "make[3]: *** No rule to make target 'mm/none.o'"),
        ("", "make failed without a message"),
    ],
)
def test_the_first_of_the_most_telling_errors_is_shown(said: str, first: str) -> None:
    error = failure("k", said.splitlines(), [SOURCE], Path("/cache/x.log"))
    assert isinstance(error, BuildError)
    assert str(error).startswith(f"k: {first}")
    assert "/cache/x.log" in str(error)
    assert error.log == Path("/cache/x.log")


def test_a_full_disk_is_the_machines_fault() -> None:
    said = ["x.c:1:1: error: y", "cc1: fatal error: x.o: No space left on device"]
    error = failure("k", said, [SOURCE], Path("/cache/x.log"))
    assert isinstance(error, MachineError)
    assert "no space left" in str(error)


def test_a_full_disk_is_told_wherever_it_shows(tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError, match="no space left in the cache"),
        full_disk_raises("the cache"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x")
    with pytest.raises(FileNotFoundError), full_disk_raises("the cache"):
        (tmp_path / "none").read_text()


def test_output_goes_to_the_log_and_the_status_comes_back(tmp_path: Path) -> None:
    seen: list[str] = []
    log = tmp_path / "log"
    status = run_logged(["sh", "-c", "echo a; echo b >&2; exit 3"], log, os.environ, seen.append)
    assert status == 3
    assert seen == ["a", "b"]
    assert log.read_text().endswith("a\nb\n")


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that waits for its new parent counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_an_exception_ends_the_whole_group(
    trap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.base.process.TERM_SECONDS", 0.5)
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.extend(int(pid) for pid in line.split())
        raise KeyboardInterrupt

    script = f"{trap}sleep 1000 & echo $! $$; wait; wait"
    with pytest.raises(KeyboardInterrupt):
        run_logged(["sh", "-c", script], tmp_path / "log", os.environ, interrupt)
    assert len(pids) == 2
    end = time.monotonic() + 10
    while not all(map(gone, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    left = [pid for pid in pids if not gone(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_a_missing_make_is_told(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no-such-make is missing"):
        run_logged(["no-such-make"], tmp_path / "log", os.environ, print)


def test_the_users_environment_does_not_shape_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KCFLAGS", "KBUILD_BUILD_USER", "LOCALVERSION", "ARCH", "CC", "MAKEFLAGS", "V"):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("CCACHE_DIR", "/kept")
    env = environment()
    assert "foreign" not in env.values()
    assert env["LOCALVERSION"] == ""
    assert env["CCACHE_DIR"] == "/kept"


def test_the_command_hides_every_path() -> None:
    tools = Toolchain(llvm=False, identity="gcc")
    command = tools.make(Path("/a/tree"), Path("/a/out"), "Image", hidden=(Path("/a/m"),))
    flags = next(word for word in command if word.startswith("KCFLAGS="))
    assert flags.split("=", 1)[1].split() == [
        f"-ffile-prefix-map={path}/=" for path in ("/a/tree", "/a/out", "/a/m")
    ]
    assert command[-1] == "Image"
    assert "LLVM=1" in Toolchain(llvm=True, identity="clang").make(Path("/a"), Path("/b"))


OLD = "cmd = @set -e; $(echo-cmd) $(cmd_$(1))"  # Linux 6.1
NEW = "cmd = @$(if $(cmd_$(1)),set -e; $(echo-cmd) $(cmd_$(1)),:)"  # Linux 6.12


@pytest.mark.parametrize(("line", "told"), [(OLD, 1), (NEW, 0), ("", 0)])
def test_an_empty_command_of_kbuild_costs_no_shell(tmp_path: Path, line: str, told: int) -> None:
    include = tmp_path / "scripts" / "Kbuild.include"
    include.parent.mkdir()
    include.write_text(f"{line}\ncmd_make_it = echo made > $(O)/made\n")
    counting = tmp_path / "sh"
    counting.write_text('#!/bin/sh\necho "$2" >> shells\nexec /bin/sh "$@"\n')
    counting.chmod(0o755)
    (tmp_path / "Makefile").write_text(
        f"SHELL := {counting}\ninclude scripts/Kbuild.include\n"
        "Image:\n\t$(call cmd,nothing)\n\t$(call cmd,make_it)\n"
    )
    command = Toolchain(llvm=False, identity="gcc").make(tmp_path, tmp_path, "Image")
    assert len([word for word in command if word.startswith("cmd=")]) == told
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "made").exists() is bool(line)
    shells = (tmp_path / "shells").read_text().splitlines() if line else []
    assert len(shells) == bool(line)  # the other command's
