# SPDX-License-Identifier: GPL-2.0-only
"""Start, stop or show the stand-in: python -m tests.lab start|stop|status [FOLDER]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import S2EvalError
from harness.base.paths import cache_dir
from harness.hosts.lab import hostfile
from harness.hosts.lab.link import Link
from tests.lab.machine import StandIn

PATIENCE = 120.0  # seconds for it to boot, on a busy computer


def start(standin: StandIn) -> None:
    """Make the stand-in, start it and wait until its SSH answers."""
    if standin.pid:
        sys.exit(f"it runs already: {standin.host_file}")
    standin.make()
    standin.start()
    standin.wait_up(Deadline(PATIENCE))
    print(f"the stand-in is up: s2eval run -m lab:{standin.host_file}")


def status(standin: StandIn) -> None:
    """Tell whether the stand-in runs, and whether its SSH answers."""
    if not standin.pid:
        sys.exit("it does not run")
    host = hostfile.read(standin.host_file)
    with Link(host) as link:
        link.connect(Deadline(host.limits.connect))
        release = link.run(["uname", "-r"], Deadline(host.limits.command)).out.strip()
    print(f"it runs {release}: {standin.host_file}")


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument("folder", nargs="?", type=Path, help="of its files [in the cache]")
    options = parser.parse_args()
    folder = options.folder or cache_dir("standin")
    standin = StandIn(folder.absolute())
    try:
        if options.action == "start":
            start(standin)
        elif options.action == "stop":
            standin.stop()
        else:
            status(standin)
    except S2EvalError as error:
        sys.exit(f"standin: {error}")


if __name__ == "__main__":
    main()
