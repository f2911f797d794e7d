# SPDX-License-Identifier: GPL-2.0-only
"""What QEMU said when it did not start, without what it says besides."""

from __future__ import annotations

import pytest

from harness.hosts.qemu.start_check import error_of

ROM = '-device bochs-display,addr=0x10: failed to find romfile "vgabios-bochs-display.bin"'
MACHINE = 'unsupported machine type: "vert"'


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (f"qemu-system-aarch64: {ROM}\n", ROM),
        (
            f"qemu-system-aarch64: {MACHINE}\nUse -machine help to list supported machines\n",
            MACHINE,
        ),
        (f"qemu-system-aarch64: warning: slow\nqemu-system-aarch64: {ROM}\n", ROM),
        ("bash: libz.so: not there\n", "bash: libz.so: not there"),
        ("qemu-system-aarch64: warning: slow\n", "qemu-system-aarch64: warning: slow"),
        ("\n", "QEMU ended with 1 and said nothing"),
    ],
)
def test_the_first_error_is_told(printed: str, said: str) -> None:
    assert error_of(printed, 1) == said


def test_a_qemu_that_ended_as_it_was_told_has_no_error() -> None:
    assert error_of("qemu-system-aarch64: warning: slow\n", 0) == ""


def test_a_qemu_that_was_killed_is_said_to_be() -> None:
    assert error_of("", -9) == "QEMU was ended by SIGKILL"
    assert error_of("Killed by something\n", -6) == "QEMU was ended by SIGABRT"
