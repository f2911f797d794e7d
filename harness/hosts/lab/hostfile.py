# SPDX-License-Identifier: GPL-2.0-only
"""The file of a lab host: how it is reached, its console and power, its device, how it boots.

Private ones are hosts/NAME.toml in the user's configuration folder, which is searched first;
others, examples among them, are qemu-configs/hosts/NAME.toml in the data folders. docs/lab.md
has a table of all keys.
"""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness.base import paths
from harness.base.errors import UsageError
from harness.base.toml import parse, read_toml, unknown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9a-fA-F:.]+(?:%\w+)?\]|[^@:\s]+)(?::(?P<port>\d{1,5}))?"
)
_RANGES = re.compile(r"0x[0-9a-f]+-0x[0-9a-f]+(?:,\s*0x[0-9a-f]+-0x[0-9a-f]+)*")


class Address(BaseModel):
    """`[USER@]HOST[:PORT]` in its parts; `user` "" and `port` 0 where they are not given."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    host: str
    user: str = ""
    port: int = 0


def parse_address(text: str) -> Address:
    """Return the parts of `[USER@]HOST[:PORT]`. Raise ValueError when `text` is no such address."""
    match = _ADDRESS.fullmatch(text.strip())
    if not match or (match["port"] and not 0 < int(match["port"]) < 1 << 16):
        raise ValueError(f"'{text}' is not [USER@]HOST[:PORT]")
    host = match["host"].strip("[]")
    return Address(host=host, user=match["user"] or "", port=int(match["port"] or 0))


def _address(text: str) -> str:
    parse_address(text)
    return text


def _writable(text: str) -> str:
    if text not in ("nothing", "all") and not _RANGES.fullmatch(text):
        raise ValueError(
            "'nothing', 'all' or ranges of offsets in the BAR, 0x0-0xfff,0x2000-0x2fff"
        )
    return text


class LabDevice(BaseModel):
    """The PCI device under test.

    `bdf` is its address on the machine (DDDD:BB:DD.F), `bar` the number of the BAR that suites
    map, `writable` what they may write to it: "nothing", "all", or ranges of offsets. `driver` is
    the driver that it is given back to, "" for none. `pci` is its vendor and device (1af4:1110), ""
    where the machine is to be asked, `like` the device of qemu-configs/devices that suites take it
    for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    bdf: str = Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
    bar: int = Field(default=0, ge=0, le=5)
    writable: Annotated[str, AfterValidator(_writable)] = "nothing"
    driver: str = ""
    pci: str = Field(default="", pattern=r"^([0-9a-f]{4}:[0-9a-f]{4})?$")
    like: str = ""

    def may_write(self, offset: int, size: int) -> bool:
        """Return whether suites may write `size` bytes at `offset` of the BAR."""
        if self.writable in ("nothing", "all"):
            return self.writable == "all"
        ends = (part.split("-") for part in self.writable.split(","))
        ranges = [(int(first, 16), int(last, 16)) for first, last in ends]
        return any(first <= offset and offset + size - 1 <= last for first, last in ranges)


class PowerCommands(BaseModel):
    """Shell commands of this computer that switch the machine's power; "" where there is none.

    `status` prints whether it is on: a line with the word "on" or "running", or with "off".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    on: str = ""
    off: str = ""
    cycle: str = ""
    status: str = ""


Method = Literal["kexec-initramfs", "kexec-root", "grub-reboot", "efibootmgr", "none"]


class BootMethod(BaseModel):
    """How the kernel under test is booted, always for one boot only.

    `safe` is `uname -r` of the machine's own kernel, to which it always comes back; "" when not
    known. `args` are added to the kernel command line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: Method = "kexec-initramfs"
    safe: str = ""
    args: str = ""


class LabLimits(BaseModel):
    """Seconds, but for `rate` and `lease`.

    `connect`: until SSH answers. `command`: of a command of s2eval's own. `boot`: from the order
    to boot until SSH answers. `silence`: of the console, while the machine boots or a guest runs.
    `power`: of a power command, and until its effect shows. `rate` is the least speed of a copied
    file in KiB/s, `lease` the minutes that the machine stays reserved when s2eval does not come
    back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    connect: float = Field(default=20, gt=0)
    command: float = Field(default=60, gt=0)
    boot: float = Field(default=300, gt=0)
    silence: float = Field(default=120, gt=0)
    power: float = Field(default=60, gt=0)
    rate: float = Field(default=64, gt=0)
    lease: float = Field(default=15, ge=1)


class Tuning(BaseModel):
    """What is set for measurements and given back afterwards; empty and 0 leave it as it is.

    `hugepages` is their number (of the default size), `cpus` the CPUs that guests are pinned to, as
    taskset names them ("2-5"), `governor` the governor of cpufreq.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    hugepages: int = Field(default=0, ge=0)
    cpus: str = Field(default="", pattern=r"^[0-9,-]*$")
    governor: str = Field(default="", pattern=r"^[a-z_]*$")


class HostFile(BaseModel):
    """A lab host, NAME.toml.

    `address` and `jump` are [USER@]HOST[:PORT]; the file `ssh_config` ("" for none) says what they
    do not. `key` is the file of a private key, "" for the agent's and the user's usual ones.
    `host_key` "strict" takes only a machine whose key is in `known_hosts` or was taken by `s2eval
    host add`, "accept-new" also one that was never seen. `console` is the shell command of this
    computer that shows the machine's serial console. `folder` is s2eval's own on the machine,
    `sudo` runs all there with `sudo -n`. `virtual`: it is a virtual machine, so that no figure of
    it counts. `owners` are the users (of this computer) who may use it, all when empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    description: str = ""
    address: Annotated[str, AfterValidator(_address)]
    jump: Annotated[str, AfterValidator(_address)] | None = None
    key: str = ""
    host_key: Literal["strict", "accept-new"] = "strict"
    known_hosts: str = "~/.ssh/known_hosts"
    ssh_config: str = "~/.ssh/config"
    sudo: bool = False
    virtual: bool = False
    folder: str = Field(default="/var/lib/s2eval", pattern=r"^/[\w./-]*[\w-]$")
    console: str = ""
    power: PowerCommands = PowerCommands()
    device: LabDevice | None = None
    boot: BootMethod = BootMethod()
    limits: LabLimits = LabLimits()
    tuning: Tuning = Tuning()
    owners: tuple[str, ...] = ()

    @property
    def to(self) -> Address:
        """Return the address in its parts."""
        return parse_address(self.address)

    def key_of(self, *names: str) -> str:
        """Return where a user can change these limits, for a message."""
        return f"{' and '.join(names)} in [limits] of the host {self.name}"

    def check_owner(self) -> None:
        """Raise UsageError when this user may not use the machine."""
        user = getpass.getuser()
        if self.owners and user not in self.owners:
            owners = ", ".join(self.owners)
            raise UsageError(f"{self.name} is not for {user}: owners are {owners} (its file)")


def own_known_hosts() -> Path:
    """Return the file with the host keys that `s2eval host add` has taken; it need not be there."""
    return Path(platformdirs.user_config_dir("s2eval")) / "known_hosts"


def list_hosts() -> dict[str, Path]:
    """Return the file of each host by its name, the user's own before others of the same name."""
    private = {path.stem: path for path in paths.private_hosts().glob("*.toml")}
    return dict(sorted({**paths.HOSTS.files(), **private}.items()))


def load(name: str) -> HostFile:
    """Return the host `name`; a name with a slash is the path of a host's file.

    Raise UsageError when there is no such host or its file is wrong.
    """
    if "/" in name:
        return read(Path(name).expanduser().absolute())
    known = list_hosts()
    if name not in known:
        raise unknown("host", name, known)
    return read(known[name])


def read(path: Path) -> HostFile:
    """Return the host of a file. Raise UsageError when the file is wrong."""
    return parse(HostFile, path, {**read_toml(path), "name": path.stem})
