# SPDX-License-Identifier: GPL-2.0-only
"""Hugepages and governor of a lab host while guests are measured, given back afterwards.

What was there before is kept in a file on the machine, so that the next user gives it back where
s2eval was killed. A boot gives it back as well.
"""

from __future__ import annotations

from pathlib import Path

from harness.base.deadline import Deadline
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.link import Link

SCRIPT = Path(__file__).with_name("tuning.sh")


def tune(link: Link, deadline: Deadline) -> None:
    """Set what [tuning] of the host's file names. Raise LabError when a setting does not take."""
    tuning = link.host.tuning
    if not tuning.hugepages and not tuning.governor:
        return
    for path, wanted, found in _call(link, "set", deadline):
        if not path.endswith("nr_hugepages"):
            cause = f"the governor stays {found or 'unknown'}, [tuning] asks for {wanted}"
        elif found:
            cause = f"{found} hugepages are to be had, [tuning] asks for {wanted}"
        else:
            cause = f"{path} is not there: hugepages need CONFIG_HUGETLBFS"
        restore(link, deadline)
        raise LabError(link.host.name, Step.TUNING, cause)


def restore(link: Link, deadline: Deadline) -> None:
    """Give back what tune() has changed in this boot of the machine. Raise LabError."""
    _call(link, "restore", deadline)


def _call(link: Link, action: str, deadline: Deadline) -> list[list[str]]:
    """Run the script; return path, wanted and found of each setting that did not take."""
    tuning = link.host.tuning
    file = f"{link.host.folder}/tuning"
    command = ["sh", "-c", SCRIPT.read_text(), "tuning", action, file, str(tuning.hugepages)]
    done = link.run([*command, tuning.governor], deadline, repeat=True)
    if done.status:
        cause = (done.err.strip().splitlines() or ["no message"])[-1]
        raise LabError(link.host.name, Step.TUNING, cause)
    return [line.split(" ", 2) for line in done.out.splitlines()]
