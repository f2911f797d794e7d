# SPDX-License-Identifier: GPL-2.0-only
"""Bad input and a machine that lacks something: one line, an exit code, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.base.paths import PROJECT
from tests.system.commands import KERNEL, S2Eval, cache_without

QUICKSTART = str(PROJECT / "plans/quickstart.toml")
PLAN = 'kernels = ["debian-6.1"]\nmachines = ["flat-tcg"]\nsuites = ["wcprobe"]\n'

# command, what its one line says
USAGE = [
    ("run -k debian-6.2", "unknown kernel 'debian-6.2': did you mean 'debian-6.12'?"),
    (
        "run -k debian-6.1+stage2-nc",
        "unknown series or fragment 'stage2-nc': did you mean 'stage2-normal-nc'?",
    ),
    (f"run -k {KERNEL} -m nested-tgc", "unknown machine 'nested-tgc': did you mean 'nested-tcg'?"),
    (f"run -k {KERNEL} -s wcprob", "unknown suite 'wcprob': did you mean 'wcprobe'?"),
    (f"run -k {KERNEL} -m ./none.toml", "none.toml: no such file"),
    (f"run -k {KERNEL} -s ./none", "none/suite.toml: no such file"),
    ("run -k tree:/none@HEAD", "/none is not a folder"),
    ("run", "nothing to run: name a plan file or at least --kernel (s2eval list)"),
    (f"run {QUICKSTART} -k {KERNEL}", "not both"),
    ("run none.toml", "none.toml: no such file"),
    ("run /", "/: Is a directory"),
    ("run --jason", "No such option '--jason'."),
    ("rnu", "unknown command 'rnu': did you mean 'run'?"),
    ("--versoin", "No such option '--versoin'."),
    ("build", "Missing argument 'KERNEL...'."),
    ("build debain-6.1", "unknown kernel 'debain-6.1': did you mean 'debian-6.1'?"),
    (f"boot {KERNEL} flat-tgc", "unknown machine 'flat-tgc': did you mean 'flat-tcg'?"),
    ("show", "start one with 's2eval run PLAN'"),
    ("completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
]


@pytest.mark.parametrize(("command", "words"), USAGE)
def test_what_cannot_be_meant(s2eval: S2Eval, command: str, words: str) -> None:
    ran = s2eval(*command.split())
    assert words in ran.one_line()
    assert (ran.code, ran.out) == (2, "")
    assert not s2eval.results.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('["flat-tcg"]', "3", "plan.toml:2: machines: input should be a valid list"),
        ("suites", "siutes", "plan.toml:3: unknown key 'siutes': did you mean 'suites'?"),
        ('"wcprobe"]', '"wcprobe"', "plan.toml: "),
        ("kernels", "#", "kernels: field required"),
        ("debian-6.1", "debian-6.3", "unknown kernel 'debian-6.3'"),
    ],
)
def test_a_bad_plan_names_file_and_line(s2eval: S2Eval, old: str, new: str, words: str) -> None:
    (s2eval.home / "plan.toml").write_text(PLAN.replace(old, new))
    ran = s2eval("run", "plan.toml")
    assert words in ran.one_line()
    assert (ran.code, ran.out) == (2, "")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[[expect]]\npath = "a"\nvalue = "b"\nkernel = "debian-6.2"\n', "expect a: no cell"),
        ('[[compare]]\nbase = "debian-6.2"\npatched = "debian-6.1"\n', "to compare 'debian-6.2'"),
    ],
)
def test_what_would_never_be_looked_at_is_an_error(s2eval: S2Eval, more: str, words: str) -> None:
    (s2eval.home / "plan.toml").write_text(PLAN + more)
    ran = s2eval("run", "plan.toml")
    assert words in ran.one_line()
    assert ran.code == 2


def test_a_results_folder_that_cannot_be_written(s2eval: S2Eval) -> None:
    (s2eval.home / "file").touch()
    ran = s2eval("run", "-k", KERNEL, S2EVAL_RESULTS=str(s2eval.home / "file" / "below"))
    assert "set S2EVAL_RESULTS to a folder" in ran.one_line()
    assert ran.code == 2


def test_a_cache_that_cannot_be_written(s2eval: S2Eval) -> None:
    (s2eval.home / "file").touch()
    ran = s2eval("run", "-k", KERNEL, S2EVAL_CACHE=str(s2eval.home / "file" / "below"))
    assert "file/below" in ran.one_line() and "Not a directory" in ran.err
    assert ran.code == 125


def fake_qemu(path: Path, version: str) -> str:
    path.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version}'\n")
    path.chmod(0o755)
    return str(path)


def test_a_qemu_that_is_not_there_or_none_or_too_old(s2eval: S2Eval) -> None:
    old = fake_qemu(s2eval.home / "qemu-old", "7.2.22")
    for program, words in (("/none", "no such"), ("/bin/true", "no qemu"), (old, "7.2.22 is too")):
        ran = s2eval("run", "-k", KERNEL, S2EVAL_QEMU=program)
        assert words in ran.one_line() and f"S2EVAL_QEMU={program}" in ran.err
        assert "of at least 10.0" in ran.err
        assert (ran.code, ran.out) == (2, "")


def test_no_qemu_at_all(s2eval: S2Eval) -> None:
    """A PATH with everything but QEMU."""
    tools = s2eval.home / "bin"
    tools.mkdir()
    for name in ("git", "make", "aarch64-linux-gnu-gcc", "apt-config"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    ran = s2eval("run", "-k", KERNEL, PATH=str(tools))
    assert "qemu-system-aarch64 is missing" in ran.one_line()
    assert ran.code == 125


def test_a_machine_that_this_host_cannot_boot(s2eval: S2Eval) -> None:
    if os.uname().machine == "aarch64":
        other = s2eval("boot", KERNEL, "nested-kvm")
        assert other.code in (0, 125)
        return
    ran = s2eval("boot", KERNEL, "flat-kvm")
    assert "KVM runs arm64 guests on arm64 hosts only" in ran.one_line()
    assert ran.code == 125


# Whoever may mount: root, anybody in a namespace of their own, or whoever may use sudo.
MOUNTERS = (
    ("unshare", "--mount"),
    ("unshare", "--map-root-user", "--mount"),
    ("sudo", "-n", "--preserve-env", "unshare", "--mount"),
)


def on_a_tiny_disk(folder: Path) -> tuple[str, ...]:
    """What to put before a command so that `folder` is a disk of 64 KiB, for it alone."""
    folder.mkdir()
    script = f'mount -t tmpfs -o size=64k tiny {folder} && exec "$@"'
    for mounter in MOUNTERS:
        prefix = (*mounter, "sh", "-c", script, "sh")
        with contextlib.suppress(OSError):
            if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
                return prefix
    raise AssertionError("nobody may mount here")


def test_no_space_left_for_the_results(s2eval: S2Eval) -> None:
    """The logs do not fit, and then the record does not either."""
    prefix = on_a_tiny_disk(s2eval.results)
    ran = s2eval("run", "-q", "-k", KERNEL, "-m", "flat-tcg", prefix=prefix)
    assert "No space left on device: free some space" in ran.one_line()
    assert ran.code == 125


def test_no_space_left_for_the_guests_files(s2eval: S2Eval) -> None:
    """L1's /share has no room for a kernel. An L1 that is restored would need none."""
    tiny = s2eval.home / "tiny"
    prefix = on_a_tiny_disk(tiny)
    command = ("run", "-k", KERNEL, "-m", "nested-tcg", "--fresh")
    ran = s2eval(*command, prefix=prefix, TMPDIR=str(tiny))
    assert ran.code == 125 and "Traceback" not in ran.err
    (cell,) = s2eval.run().cells
    assert cell.failure and cell.failure.kind == "disk-full"
    assert "No space left on device" in cell.failure.summary


def test_no_space_left_in_the_cache(s2eval: S2Eval) -> None:
    """The guest's initramfs does not fit."""
    cache = cache_without(s2eval.home / "cache", "initramfs")
    prefix = on_a_tiny_disk(Path(cache) / "initramfs")
    ran = s2eval("run", "-k", KERNEL, "-m", "flat-tcg", prefix=prefix, S2EVAL_CACHE=cache)
    assert ran.code == 125 and "Traceback" not in ran.err
    (cell,) = s2eval.run().cells
    assert cell.failure and cell.failure.kind == "disk-full"
    assert "No space left on device" in cell.failure.summary


def test_a_temporary_folder_whose_name_no_socket_can_have(s2eval: S2Eval) -> None:
    deep = s2eval.scratch / ("d" * 90)
    deep.mkdir()
    ran = s2eval("run", "-k", KERNEL, "-m", "flat-tcg", TMPDIR=str(deep))
    assert ran.code == 125
    assert "set TMPDIR to a shorter path" in " ".join(ran.out.split())
    assert list(deep.iterdir()) == []
    deep.rmdir()
