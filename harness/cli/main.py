# SPDX-License-Identifier: GPL-2.0-only
"""The command `s2eval`. Its commands are the modules in the folders beside this file."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys

import click

from harness.base.signals import end_in_good_order
from harness.cli.group import Command

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Command, context_settings=CONTEXT)
@click.version_option(package_name="s2eval")
def cli() -> None:
    """What does a kernel patch do to device memory in real KVM guests on arm64?

    \b
    s2eval run quickstart     two kernels, one guest each, the difference
    s2eval show               the newest run again
    s2eval doctor             what this machine has and what its emulator can show
    """
    end_in_good_order()


def main() -> None:
    """Run the command line of this process and end it with its exit code."""
    # pydantic searches all installed packages for plugins, which takes 30 ms; none is needed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # On exit Python searches the objects of all modules for garbage cycles, although the process
    # ends anyway. Frozen objects are left out: `list` exits 60 ms earlier, `show` 40, `--help` 10.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):  # the terminal may lack a character
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    cli(prog_name="s2eval")
