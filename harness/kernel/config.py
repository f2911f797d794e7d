# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's configuration: everything off (allnoconfig) but what the fragments name.

A fragment has kconfig's own syntax. A line may end in a mark for the kernels it is meant for:

    CONFIG_VFIO_CONTAINER=y # since 6.2
    CONFIG_PREEMPT_VOLUNTARY=y # until 6.18
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import BuildError, UsageError
from harness.kernel import kconfig
from harness.kernel.spec import find_fragment

_LINE = re.compile(
    r"(?:CONFIG_(?P<symbol>\w+)=(?P<value>.+?)|# CONFIG_(?P<off>\w+) is not set)"
    r"(?:\s+# (?P<mark>since|until) (?P<major>\d+)\.(?P<minor>\d+))?\s*"
)


@dataclass(frozen=True)
class Option:
    """One line of a fragment. `value` is `y`, `n`, a number or a quoted string."""

    symbol: str
    value: str
    fragment: str
    line: int

    def __str__(self) -> str:
        if self.value == "n":
            return f"# CONFIG_{self.symbol} is not set"
        return f"CONFIG_{self.symbol}={self.value}"


def read(fragments: Iterable[str], version: tuple[int, int]) -> dict[str, Option]:
    """Return the options for a kernel of `version` by symbol; later fragments override earlier.

    Raise UsageError for a line that is neither an option nor a comment.
    """
    options: dict[str, Option] = {}
    for name in fragments:
        path = find_fragment(name)
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            match = _LINE.fullmatch(line)
            if match is None:
                if line.strip() and not line.startswith("#"):
                    raise UsageError(f"{path}:{number}: not a config line: {line.strip()}")
                continue
            symbol = match["symbol"] or match["off"]
            if _meant_for(match, version):
                value = match["value"] if match["symbol"] else "n"
                options[symbol] = Option(symbol, value, name, number)
    return options


def parse(text: str) -> dict[str, str]:
    """Return a .config as SYMBOL to value; what is off is absent."""
    return {match[1]: match[2] for match in re.finditer(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE)}


def check(
    options: Mapping[str, Option], resolved: Mapping[str, str], work: Path, kernel: str
) -> None:
    """Raise BuildError when a line of the fragments is not in the resolved configuration."""
    lost = [o for o in options.values() if resolved.get(o.symbol, "n") != o.value]
    if not lost:
        return
    first = lost[0]
    got = resolved.get(first.symbol, "n")
    if got == "n":
        reason = kconfig.why(work, first.symbol, resolved)
    else:
        reason = f"it is {got}: another option selects it or its range does not allow the value"
    more = f" (and {len(lost) - 1} more: {' '.join(o.symbol for o in lost[1:])})"
    raise BuildError(
        f"{kernel}: {first} (fragment {first.fragment}, line {first.line}) did not survive: "
        f"{reason}{more if len(lost) > 1 else ''}"
    )


def _meant_for(match: re.Match[str], version: tuple[int, int]) -> bool:
    if not match["mark"]:
        return True
    marked = (int(match["major"]), int(match["minor"]))
    return version >= marked if match["mark"] == "since" else version <= marked
