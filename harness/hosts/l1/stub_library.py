# SPDX-License-Identifier: GPL-2.0-only
"""Stubs of shared libraries that a program is linked with and does not use.

The loader takes longer for these libraries than for all the rest: most of its work is to find
symbols. A stub has the library's name and the functions that the program needs, each of which
prints a line and ends the program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import MachineError
from harness.base.process import run_tool
from harness.kernel.toolchain import cross_prefix

# readelf(1): "12: 0000000000000000 0 FUNC GLOBAL DEFAULT UND name@VERSION (5)"
_SYMBOL = re.compile(
    r"^\s*\d+: [0-9a-f]+\s+\S+ (?P<kind>\w+)\s+\w+\s+\w+\s+(?P<section>\w+) "
    r"(?P<name>[^@\s]+)(?:@@?(?P<version>\S+))?"
)
_LINKED = re.compile(r"\(NEEDED\).*\[(.+)\]|program interpreter: (.+)\]")
_HEAD = """\
int dprintf(int fd, const char *format, ...);
long getrandom(void *data, unsigned long size, unsigned int flags);
void abort(void);

static void gone(const char *name)
{
	dprintf(2, "s2eval: %s of LIBRARY is called, for which L1 has a stub only\\n", name);
	abort();
}

"""


@dataclass(frozen=True)
class Symbol:
    """A dynamic symbol of a file; `version` is empty for a symbol without version."""

    name: str
    version: str
    is_code: bool
    is_undefined: bool  # the file needs it from a library


def linked(file: Path) -> list[str]:
    """Return the shared libraries that a file names, and its interpreter's path if it has one.

    Raise MachineError when readelf fails.
    """
    return [library or path for library, path in _LINKED.findall(_readelf("-dl", file))]


def make_stub(library: Path, program: Path, called: Mapping[str, str], target: Path) -> None:
    """Write the stub of `library` for `program` to the file `target`.

    The stub's functions end `program`, but for those in `called`, which maps names to bodies in C
    with the arguments a, b and c. Raise MachineError when `program` uses data of the library, or
    the compiler fails.
    """
    wanted = {symbol.name: symbol for symbol in _symbols(program) if symbol.is_undefined}
    defined = {
        symbol.name: symbol
        for symbol in _symbols(library)
        if symbol.name in wanted and not symbol.is_undefined
    }
    if data := [symbol.name for symbol in defined.values() if not symbol.is_code]:
        raise MachineError(f"L1's root: {program.name} uses data of {library.name}: {data[0]}")
    source = _HEAD.replace("LIBRARY", library.name)
    versions: dict[str, list[str]] = {}
    for name in defined:
        body = called.get(name, f'gone("{name}"); return 0;')
        source += f"long {name}(long a, long b, long c) {{ {body} }}\n"
        versions.setdefault(wanted[name].version, []).append(name)
    nodes = [f"{v} {{ {'; '.join(names)}; }};\n" for v, names in versions.items() if v]
    script = target.with_name(f"{target.name}.map")
    script.write_text("".join(nodes))
    command = [f"{cross_prefix()}gcc", "-shared", "-nostdlib", "-fPIC", "-fno-builtin", "-Os", "-s"]
    command += [f"-Wl,-soname,{library.name}"]
    command += [f"-Wl,--version-script={script}"] if nodes else []
    command += ["-o", str(target), "-x", "c", "-"]
    try:
        run_tool(command, f"the stub of {library.name}", text=source)
    finally:
        script.unlink()


def _readelf(option: str, file: Path) -> str:
    return run_tool([f"{cross_prefix()}readelf", "-W", option, str(file)], "L1's root")


def _symbols(file: Path) -> list[Symbol]:
    matches = [_SYMBOL.match(line) for line in _readelf("--dyn-syms", file).splitlines()]
    return [
        Symbol(m["name"], m["version"] or "", m["kind"] in ("FUNC", "IFUNC"), m["section"] == "UND")
        for m in matches
        if m
    ]
