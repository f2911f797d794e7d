# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval host list|shell|console|power|release`: lab hosts used by hand."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel

from harness.base.deadline import Deadline
from harness.base.errors import MachineError, UsageError
from harness.base.process import run_on_terminal
from harness.hosts.lab.fault import LabError, Step
from harness.hosts.lab.hostfile import (
    HostFile,
    list_hosts,
    load,
    own_known_hosts,
    parse_address,
    read,
)
from harness.hosts.lab.lease import Holder, force_release, holder, this_owner
from harness.hosts.lab.link import Link
from harness.hosts.lab.power import Action, Power, State

ALIVE = 15  # seconds between questions of ssh whether the machine is there


class HostEntry(BaseModel):
    """A host of `s2eval host list`; `problem` says what is wrong with its file."""

    name: str
    address: str = ""
    device: str = ""
    description: str = ""
    file: str
    problem: str = ""


def entries() -> list[HostEntry]:
    """Return all hosts, also those whose file is wrong."""
    return [_entry(name, path) for name, path in list_hosts().items()]


def _entry(name: str, path: Path) -> HostEntry:
    try:
        host = read(path)
    except UsageError as error:
        return HostEntry(name=name, file=str(path), problem=str(error))
    return HostEntry(
        name=name,
        address=host.address,
        device=host.device.bdf if host.device else "",
        description=host.description,
        file=str(path),
    )


def render(hosts: Sequence[HostEntry]) -> Iterator[str]:
    """Yield the hosts as lines of columns."""
    if not hosts:
        yield "no hosts: s2eval host add NAME --address USER@HOST --device BDF"
        return
    rows = [(e.name, e.address, e.device or "-", e.problem or e.description) for e in hosts]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = (f"{text:<{width}}" for text, width in zip(row, widths, strict=False))
        yield "  ".join([*cells, row[3]]).rstrip()


def shell(name: str, command: Sequence[str] = ()) -> int:
    """Leave this terminal to a shell, or `command`, on the machine; return its exit status.

    Raise MachineError when there is no ssh here.
    """
    host = load(name)
    host.check_owner()
    if not shutil.which("ssh"):
        raise MachineError("ssh is missing: apt-get install openssh-client")
    return run_on_terminal([*ssh_command(host), *command])


def ssh_command(host: HostFile) -> list[str]:
    """Return the line of OpenSSH's client that reaches the machine as Link does."""
    to = host.to
    command = ["ssh", *_ssh_options(host), "-o", f"ServerAliveInterval={ALIVE}"]
    if host.jump:
        gate = parse_address(host.jump)
        # Not -J: a jump host would not heed these options.
        proxy = [
            "ssh",
            *_ssh_options(host),
            *_target(gate.user, gate.port),
            "-W",
            "%h:%p",
            gate.host,
        ]
        command += [
            "-o",
            f"ProxyCommand={shlex.join(proxy).replace(shlex.quote('%h:%p'), '%h:%p')}",
        ]
    return [*command, *_target(to.user, to.port), to.host]


def _target(user: str, port: int) -> list[str]:
    return [*(["-l", user] if user else []), *(["-p", str(port)] if port else [])]


def _ssh_options(host: HostFile) -> list[str]:
    known = f'"{own_known_hosts()}" "{Path(host.known_hosts).expanduser()}"'
    strict = "yes" if host.host_key == "strict" else "accept-new"
    options = ["-o", f"UserKnownHostsFile={known}", "-o", f"StrictHostKeyChecking={strict}"]
    if host.key:
        options += ["-i", str(Path(host.key).expanduser()), "-o", "IdentitiesOnly=yes"]
    if host.ssh_config != HostFile.model_fields["ssh_config"].default:
        options += ["-F", str(Path(host.ssh_config).expanduser()) if host.ssh_config else "none"]
    return options


def console(name: str) -> int:
    """Leave this terminal to the command of the machine's console; return its exit status.

    Raise UsageError when its file names none.
    """
    host = load(name)
    host.check_owner()
    if not host.console:
        raise UsageError(f"{name} has no console: the key `console` in its file")
    return run_on_terminal(["sh", "-c", host.console])


def power(name: str, action: Action | None, *, force: bool, say: Callable[[str], object]) -> State:
    """Switch the machine's power unless somebody else has its lease; return its state.

    `action` None only looks. `say` gets what cannot be asked. Raise LabError when the lease is
    another one's and not `force`, or switching fails.
    """
    host = load(name)
    host.check_owner()
    switch = Power(host)
    if action and not force:
        _refuse_to_others(host, say)
    limit = Deadline(2 * host.limits.power)
    if action:
        {"on": switch.on, "off": switch.off, "cycle": switch.cycle}[action](limit)
    elif not host.power.status:
        raise UsageError(f"{name} has no status command: status in [power] of its file")
    return switch.status(limit)


def _refuse_to_others(host: HostFile, say: Callable[[str], object]) -> None:
    """Raise LabError when somebody else has the machine's lease; who has it is asked over SSH."""
    try:
        with Link(host) as link:
            link.connect(Deadline(host.limits.connect))
            held = holder(link, Deadline(host.limits.command))
    except LabError as error:
        say(f"nobody knows who has the machine: {error}")
        return
    if held and held.owner != this_owner():
        raise _held_by(host, held)


def _held_by(host: HostFile, held: Holder) -> LabError:
    cause = f"held by {held.described()}: wait, or --force"
    return LabError(host.name, Step.LEASE, cause)


def release(name: str, *, force: bool) -> Holder | None:
    """Remove this user's lease, with `force` anybody's; return who had it, None for nobody.

    Raise LabError when somebody else has it, or the machine does not answer.
    """
    host = load(name)
    host.check_owner()
    with Link(host) as link:
        link.connect(Deadline(host.limits.connect))
        held = holder(link, Deadline(host.limits.command))
        if held is None:
            return None
        if held.owner != this_owner() and not force:
            raise _held_by(host, held)
        return force_release(link, Deadline(host.limits.command))
