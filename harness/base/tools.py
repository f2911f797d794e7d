# SPDX-License-Identifier: GPL-2.0-only
"""The tools of tools.toml: what is there, what is missing and how it is installed.

Standard library only: `./bootstrap` runs this file before the project's dependencies are there.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.base.deadline import Deadline
from harness.base.errors import MachineError
from harness.base.process import run_quiet

TOOLS = Path(__file__).with_name("tools.toml")
CHECK_SECONDS = 20.0

Need = Literal["required", "wanted", "test", "optional"]
State = Literal["ok", "missing", "too old"]


@dataclass(frozen=True)
class Tool:
    """One table of tools.toml, which says what the fields mean."""

    name: str
    purpose: str
    package: str
    need: Need = "required"
    minimum: str = ""
    arm64_host: bool | None = None
    version: tuple[str, ...] = ()
    header: str = ""
    library: str = ""
    compiler: str = "gcc"


@dataclass(frozen=True)
class ToolFinding:
    """A tool as it is here; `version` is empty where the tool has none or says none."""

    tool: Tool
    state: State
    version: str = ""

    @property
    def needed(self) -> bool:
        """Whether s2eval cannot do its work because of this."""
        return self.state != "ok" and self.tool.need == "required"


def load_tools(path: Path = TOOLS, machine: str = "") -> list[Tool]:
    """Return the tools that `machine` (default: `uname -m` here) needs, in the file's order.

    Raise ValueError for a tool without exactly one check.
    """
    arm64 = (machine or platform.machine()) in ("aarch64", "arm64")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]
    tools = [Tool(**{**table, "version": tuple(table.get("version", ()))}) for table in tables]
    for tool in tools:
        if [bool(tool.version), bool(tool.header), bool(tool.library)].count(True) != 1:
            raise ValueError(f"{path}: {tool.name} needs one of version, header and library")
    return [tool for tool in tools if tool.arm64_host in (None, arm64)]


def version_in(text: str) -> str:
    """Return the first number of `text` that stands by itself, e.g. `12.2.0`; empty without one."""
    number = re.search(r"(?<![\w.-])\d+(?:\.\d+)*", text)
    return number[0] if number else ""


def as_tuple(version: str) -> tuple[int, ...]:
    """Return `10.0.2` as (10, 0, 2)."""
    return tuple(int(part) for part in version.split(".")) if version else ()


def check(tool: Tool) -> ToolFinding:
    """Return how one tool is here. It is run, since what is on PATH may be a broken wrapper."""
    if tool.header:
        output = _output([tool.compiler, "-E", "-x", "c", "-include", tool.header, os.devnull])
        return ToolFinding(tool, "missing" if output is None else "ok")
    if tool.library:
        output = _output([tool.compiler, f"-print-file-name={tool.library}"])
        # The compiler prints the bare name of a library that it does not find.
        return ToolFinding(
            tool, "ok" if output and Path(output.strip()).is_absolute() else "missing"
        )
    output = _output(list(tool.version))
    if output is None:
        return ToolFinding(tool, "missing")
    version = version_in(output)
    old = as_tuple(version) < as_tuple(tool.minimum)
    return ToolFinding(tool, "too old" if old else "ok", version)


def check_all(tools: Iterable[Tool]) -> list[ToolFinding]:
    """Return how each of the tools is here, in their order."""
    return [check(tool) for tool in tools]


def install_command(packages: Iterable[str]) -> str:
    """Return the command that installs Debian packages, for a user to copy."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends {' '.join(dict.fromkeys(packages))}"


def _output(command: list[str]) -> str | None:
    """What a tool prints, on either stream; None when it is not there or fails."""
    if not shutil.which(command[0]):
        return None
    try:
        env = {**os.environ, "LC_ALL": "C"}
        done = run_quiet(command, Deadline(CHECK_SECONDS), env=env, writes=False)
    except (MachineError, OSError):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None


def main(verb: str = "run") -> int:
    """Print a line `PACKAGE<TAB>NEED<TAB>what is wrong` for each tool bootstrap would install.

    `verb` is what bootstrap is to do, `run` or `test`.
    """
    unasked = ("optional",) if verb == "test" else ("optional", "test")
    for finding in check_all(tool for tool in load_tools() if tool.need not in unasked):
        if finding.state != "ok":
            tool = finding.tool
            state = f"{finding.version} is too old" if finding.version else finding.state
            print(tool.package, tool.need, f"{tool.name} {state}: {tool.purpose}", sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
