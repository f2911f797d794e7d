# SPDX-License-Identifier: GPL-2.0-only
"""A reader that leaves early changes nothing of how a command ends."""

from __future__ import annotations

import subprocess
import sys

PRINTING = """
import sys
from harness.cli.output import reader_may_leave
sys.stdin.readline()
with reader_may_leave():
    print("a line")
print("another one")
sys.exit(7)
"""


def test_a_reader_that_has_left_changes_no_exit_code() -> None:
    command = [sys.executable, "-c", PRINTING]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as started:
        assert started.stdin and started.stdout and started.stderr
        started.stdout.close()
        started.stdin.write(b"\n")
        started.stdin.close()
        told = started.stderr.read()
    assert (started.returncode, told) == (7, b"")
