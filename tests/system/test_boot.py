# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval boot` on a real terminal: a person's shell in L1."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.system.commands import KERNEL, PROGRAM, S2Eval, wait_for

SECONDS = 120
LEAVE = "\x01x"  # Ctrl-A X
LEAVE_L2 = "\x01\x01x"  # L1's QEMU passes a doubled Ctrl-A on
SANE = termios.ICANON | termios.ECHO | termios.ISIG


@pytest.fixture
def terminal(s2eval: S2Eval) -> Iterator[Any]:
    """A function that boots a machine on a new terminal; `sane()` before and after."""
    spawned: list[Any] = []

    def boot(machine: str, *more: str, ready: bool = True) -> Any:
        guest = pexpect.spawn(
            str(PROGRAM),
            ["boot", KERNEL, machine, *more],
            env=s2eval.environment(),
            encoding="utf-8",
            codec_errors="replace",
            timeout=SECONDS,
            dimensions=(24, 100),
        )
        spawned.append(guest)
        assert modes(guest) & SANE == SANE
        if ready:
            guest.expect("Ctrl-A X leaves")
            guest.expect("/ # ")
        return guest

    yield boot
    for guest in spawned:
        guest.close(force=True)


def modes(guest: Any) -> int:
    """The local modes of the guest's terminal."""
    local: int = termios.tcgetattr(guest.child_fd)[3]
    return local


def ask(guest: Any, command: str, answer: str) -> None:
    """Type `command`, wait for `answer`; the echo of the command must not look like it."""
    guest.sendline(command)
    guest.expect(answer)
    guest.expect("/ # ")


def leave(guest: Any, s2eval: S2Eval) -> None:
    """The terminal is looked at while it is still there: through a pty's own end."""
    assert modes(guest) & SANE == 0  # raw: what is typed is the guest's
    guest.send(LEAVE)
    wait_for("the terminal is as it was", lambda: modes(guest) & SANE == SANE)
    guest.expect(pexpect.EOF)
    guest.close()
    assert (guest.exitstatus, guest.signalstatus) == (0, None)
    assert s2eval.leftovers() == []


def test_a_shell_in_a_flat_guest(terminal: Any, s2eval: S2Eval) -> None:
    guest = terminal("flat-tcg")
    ask(guest, "uname -m; echo $((6 * 7))", r"aarch64\s+42\s")
    guest.send("\x03")  # Ctrl-C is the guest's as well
    ask(guest, "echo still $((1 + 1))", r"still 2\s")
    leave(guest, s2eval)


def test_power_off_leaves_as_well(terminal: Any, s2eval: S2Eval) -> None:
    guest = terminal("flat-tcg")
    guest.sendline("poweroff -f")
    guest.expect(pexpect.EOF)
    guest.close()
    assert (guest.exitstatus, s2eval.leftovers()) == (0, [])


def test_l2_runs_from_the_shell_and_one_that_kvm_gave_up_can_be_left(
    terminal: Any, s2eval: S2Eval
) -> None:
    guest = terminal("nested-tcg")
    ask(guest, "cat /sys/bus/pci/devices/0000:00:10.0/vendor", "0x1af4")
    guest.sendline("sh /share/l2")
    guest.expect("KTAP version 1")
    guest.expect("Unsupported FSC: EC=0x24 xFSC=0x21")
    guest.expect("PSTATE")
    guest.send(LEAVE_L2)
    ask(guest, "\necho back in L$((0 + 1))", r"back in L1\s")
    leave(guest, s2eval)


def test_a_shell_in_l2_has_the_device_and_the_users_folder(
    terminal: Any, s2eval: S2Eval, tmp_path: Path
) -> None:
    (tmp_path / "told").write_text("by the user\n")
    guest = terminal("nested-tcg", "--level", "l2", "--share", str(tmp_path))
    ask(guest, "cat /sys/bus/pci/devices/*/vendor", "0x1af4")
    ask(guest, "cat /host/told; cat /tests > /host/tests; sync", "by the user")
    ask(guest, "cat /proc/interrupts | grep -c GICv3", r"\s[1-9]\d*\s")
    ask(guest, "insmod /wcprobe.ko device=1af4:1110 bar=2 only=writel; cat /dev/wcprobe", "ok 1 io")
    assert (tmp_path / "tests").read_text().startswith("insmod wcprobe.ko")
    leave(guest, s2eval)


@pytest.mark.skipif(not shutil.which("gdb-multiarch"), reason="gdb-multiarch is not installed")
def test_gdb_stops_the_kernel_at_its_first_instructions(terminal: Any, s2eval: S2Eval) -> None:
    guest = terminal("flat-tcg", "--gdb", ready=False)
    guest.expect("waits for gdb, and `continue` there: (gdb-multiarch [^\r\n]+)")
    seen = subprocess.run(
        [*shlex.split(guest.match[1]), "-batch"]
        + [word for ex in ("break start_kernel", "continue", "bt") for word in ("-ex", ex)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "in start_kernel ()" in seen.stdout, seen.stdout + seen.stderr
    guest.expect("/ # ")  # gdb has left, the kernel went on
    leave(guest, s2eval)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("flat-tcg", "--level", "l2"), "machine flat-tcg has no L2: take a nested one"),
        (("flat-tcg", "--share", "/nowhere"), "Directory '/nowhere' does not exist"),
    ],
)
def test_what_cannot_be_booted_is_said(s2eval: S2Eval, words: tuple[str, ...], why: str) -> None:
    ran = s2eval("boot", KERNEL, *words)
    assert (ran.code, why in ran.one_line()) == (2, True)


def test_a_signal_gives_the_terminal_back(terminal: Any, s2eval: S2Eval) -> None:
    guest = terminal("flat-tcg")
    guest.kill(signal.SIGTERM)
    wait_for("the terminal is as it was", lambda: modes(guest) & SANE == SANE)
    guest.expect("s2eval: interrupted")
    guest.expect(pexpect.EOF)
    guest.close()
    assert guest.exitstatus == 130
    assert s2eval.leftovers() == []
