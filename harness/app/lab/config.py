# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval host config`: keep the kernel configuration of a machine, for kernels that fit it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.files import write_atomic
from harness.base.paths import host_config
from harness.hosts.lab.boot.state import read_state
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import load
from harness.hosts.lab.link import Link
from harness.kernel.config.machine import MachineConfig, machine_config

# What is built in has no state (Documentation/ABI/testing/sysfs-module).
_MODULES = 'cd /sys/module && for name in */initstate; do echo "${name%/initstate}"; done'
_OPTIONS = """
if [ -r /proc/config.gz ]; then zcat /proc/config.gz; else cat "/boot/config-$(uname -r)"; fi
"""


def keep_config(name: str, say: Callable[[str], object]) -> Path:
    """Write the configuration of the kernel that a machine runs to its file; return the file.

    `say` gets what was found. Raise LabError when the machine cannot be asked, runs a kernel under
    test, or does not tell its configuration.
    """
    host = load(name)
    host.check_owner()
    with Link(host) as link:
        link.connect(Deadline(host.limits.connect, key=host.key_of("connect")))
        state = read_state(link, Deadline(host.limits.command))
        if state.token:
            cause = f"{state.release}, a kernel under test, runs: s2eval host check {name}"
            raise LabError(host.name, Step.KERNEL, cause)
        config = _ask(link)
    file = host_config(host.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, config.text)
    say(f"{state.release}: {len(config.modules)} modules loaded, {file}")
    return file


def _ask(link: Link) -> MachineConfig:
    limit = link.host.limits.command
    modules = link.shell(_MODULES, Deadline(limit), repeat=True).check().out.split()
    done = link.shell(_OPTIONS, Deadline(limit), repeat=True)
    try:
        return machine_config(done.out, modules)
    except ValueError:
        cause = "neither /proc/config.gz (modprobe configs) nor a readable /boot/config-$(uname -r)"
        raise LabError(link.host.name, Step.KERNEL, f"no configuration: {cause}") from None
