# SPDX-License-Identifier: GPL-2.0-only
"""The compiler, and all that a `make` of the kernel is told: the same inputs, the same Image."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.process import ToolMissingError, run_quiet

VERSION_SECONDS = 60.0

# What the kernel would otherwise take from the clock, the user, the host and the state of the
# git tree (Documentation/kbuild/reproducible-builds.rst).
FIXED = {
    "KBUILD_BUILD_TIMESTAMP": "1970-01-01 00:00:00 UTC",
    "KBUILD_BUILD_USER": "s2eval",
    "KBUILD_BUILD_HOST": "s2eval",
    "KBUILD_BUILD_VERSION": "1",
    "LOCALVERSION": "",
}
# Variables that would shape a kernel build if a user's environment had them.
# fmt: off
_FOREIGN = {
    "ARCH", "C", "CC", "CFLAGS", "CROSS_COMPILE", "KAFLAGS", "KCFLAGS", "KCPPFLAGS", "LANGUAGE",
    "LD", "LLVM", "M", "MAKEFLAGS", "MAKELEVEL", "MO", "O", "V", "W",
}
# fmt: on
_FOREIGN_PREFIXES = ("KBUILD_", "KCONFIG_", "INSTALL_")

# Kbuild calls a command for every object that is nearly always empty (force_checksrc). Old trees
# start a shell for it even then, newer ones do as below: a sixth of a make with little to do.
_KBUILD_INCLUDE = "scripts/Kbuild.include"
_CMD = re.compile(r"^cmd = @(set -e; .*\$\(cmd_\$\(1\)\))$", re.MULTILINE)
_EMPTY_IS_NOTHING = "cmd=@$(if $(cmd_$(1)),{},:)"


def cross_prefix() -> str:
    """Return the prefix of the GNU tools for arm64: empty on an arm64 machine."""
    return "" if platform.machine() in {"aarch64", "arm64"} else "aarch64-linux-gnu-"


def jobs() -> str:
    """Return the option by which make uses all the cores that this process may use."""
    return f"-j{len(os.sched_getaffinity(0))}"


@dataclass(frozen=True)
class Toolchain:
    """GNU tools, or LLVM's. `identity` names the compiler and linker with their versions."""

    llvm: bool
    identity: str

    def make(
        self, source: Path, out: Path, *targets: str, hidden: tuple[Path, ...] = ()
    ) -> list[str]:
        """Return the command that makes `targets` of `source` into the O= folder `out`.

        Paths below these two and below `hidden` show in no object: results do not depend on
        where the cache is.
        """
        tools = ["LLVM=1"] if self.llvm else [f"CROSS_COMPILE={cross_prefix()}"]
        maps = " ".join(f"-ffile-prefix-map={path}/=" for path in (source, out, *hidden))
        flags = [f"KCFLAGS={maps}", f"KAFLAGS={maps}", *self._compiler()]
        base = ["make", "-C", str(source), f"O={out}", jobs(), "ARCH=arm64"]
        return [*base, *tools, *flags, *_empty_commands(source), *targets]

    def _compiler(self) -> list[str]:
        """CC through ccache where there is one."""
        if not shutil.which("ccache"):
            return []
        return [f"CC=ccache {'clang' if self.llvm else f'{cross_prefix()}gcc'}"]


def _empty_commands(source: Path) -> list[str]:
    """What keeps make from starting a shell for an empty command, for a tree that does."""
    try:
        found = _CMD.search((source / _KBUILD_INCLUDE).read_text(errors="replace"))
    except OSError:  # make will tell
        return []
    return [_EMPTY_IS_NOTHING.format(found[1])] if found else []


def toolchain(*, llvm: bool) -> Toolchain:
    """Return the tools of this machine. Raise MachineError when one is missing."""
    names = ["clang", "ld.lld"] if llvm else [f"{cross_prefix()}{tool}" for tool in ("gcc", "ld")]
    return Toolchain(llvm, ", ".join(_version(shutil.which(name) or name) for name in names))


def environment() -> dict[str, str]:
    """Return the environment of every make: the fixed values, nothing else that shapes results."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in _FOREIGN and not key.startswith(_FOREIGN_PREFIXES)
    }
    # The kernel's Makefile drops LC_ALL; errors are to be in the language we look for.
    english = dict.fromkeys(("LC_ALL", "LANG", "LC_CTYPE", "LC_MESSAGES"), "C")
    # In depend mode a miss costs ccache no run of the preprocessor.
    return {**kept, **english, "CCACHE_DEPEND": "1", **FIXED}


@functools.cache  # of one command; it is asked for once a kernel and step
def _version(tool: str) -> str:
    """The first line of `tool --version`."""
    try:
        done = run_quiet([tool, "--version"], Deadline(VERSION_SECONDS), writes=False)
    except ToolMissingError as error:
        raise ToolMissingError(
            f"{tool} is missing: the kernel cannot be built (s2eval doctor)"
        ) from error
    if done.returncode:
        raise MachineError(f"{tool} --version fails: exit status {done.returncode}")
    return done.stdout.splitlines()[0]
