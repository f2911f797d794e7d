# SPDX-License-Identifier: GPL-2.0-only
"""The configuration of a machine, from which a kernel for that machine is made.

`s2eval host config` writes it: the machine's own .config, and in a first line the modules that it
has loaded. Kconfig's localmodconfig (scripts/kconfig/streamline_config.pl) takes the other modules
away; those that stay are built in, so that the kernel needs no /lib/modules.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import BuildError, UsageError, machine_error
from harness.base.toml import read_toml
from harness.kernel.config.fragments import Option, parse
from harness.kernel.make import Maker

MODULES = "# s2eval: modules loaded:"
_NAME = re.compile(r"\w+")
_NOT_ITS_OWN = Path(__file__).with_name("machine.toml")


@dataclass(frozen=True)
class MachineConfig:
    """A machine's configuration: the text of its .config, and the names of its loaded modules."""

    options: str
    modules: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def text(self) -> str:
        """Return the text of its file."""
        return f"{MODULES} {' '.join(self.modules)}\n{self.options}"


def machine_config(options: str, modules: Iterable[str]) -> MachineConfig:
    """Return a configuration, of which only options and names of modules are kept.

    Raise ValueError when there is no option in it.
    """
    lines = [line for line in options.splitlines() if re.match(r"(# )?CONFIG_\w+[= ]", line)]
    if not lines:
        raise ValueError("no line of it is an option of a kernel")
    names = sorted({name for name in modules if _NAME.fullmatch(name)})
    return MachineConfig("".join(f"{line}\n" for line in lines), tuple(names))


def read(path: Path) -> MachineConfig:
    """Return the configuration of a file. Raise UsageError when the file is none."""
    try:
        first, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    except OSError as error:
        raise UsageError(str(machine_error(error, path))) from None
    if not first.startswith(MODULES):
        raise UsageError(f"{path}: not written by s2eval host config: its first line is another")
    try:
        return machine_config(rest, first.removeprefix(MODULES).split())
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def configure(machine: MachineConfig, options: Mapping[str, Option], maker: Maker) -> list[str]:
    """Leave a configuration for the machine, with `options` on top, in the O= folder.

    Return the symbols that the machine's has on and the kernel's has not. Raise BuildError when
    kconfig cannot make one.
    """
    target = maker.out / ".config"
    target.write_text(machine.options)
    maker.make("olddefconfig")
    loaded = maker.out / "modules.loaded"
    loaded.write_text("".join(f"{name} 0 0\n" for name in ("Module", *machine.modules)))
    maker.make(f"LSMOD={loaded}", "localmodconfig")
    reduced = re.sub(r"(?m)=m$", "=y", target.read_text())
    before = parse(reduced)
    if not before:
        raise BuildError(f"{maker.name}: localmodconfig has left no options (log: {maker.log})")
    not_its_own = read_toml(_NOT_ITS_OWN)["options"]
    known = set(re.findall(r"(?m)^(?:# )?CONFIG_(\w+)(?:=| is not set$)", reduced))
    on_top = {symbol: value for symbol, value in not_its_own.items() if symbol in known}
    on_top |= {option.symbol: option.value for option in options.values()}
    # Of two lines for a symbol the last one counts.
    target.write_text(reduced + "".join(f"{_line(*item)}\n" for item in on_top.items()))
    maker.make("olddefconfig")
    got = parse(target.read_text())
    return [symbol for symbol, value in before.items() if value == "y" and symbol not in got]


def _line(symbol: str, value: str) -> str:
    return f"# CONFIG_{symbol} is not set" if value == "n" else f"CONFIG_{symbol}={value}"
