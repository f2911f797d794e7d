# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's configuration: everything off (allnoconfig) but what the fragments name.

A fragment has kconfig's own syntax. A comment may stand behind a value; it may begin with a mark
for the kernels that the line is meant for:

    CONFIG_VFIO_CONTAINER=y # since 6.2
    CONFIG_PREEMPT_VOLUNTARY=y # until 6.18
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import BuildError, UsageError, machine_error
from harness.base.text import clean
from harness.kernel.config.kconfig import KconfigFiles
from harness.kernel.config.reason import Asked, missing_tool
from harness.kernel.spec import find_fragment

_LINE = re.compile(
    r'(?:CONFIG_(?P<symbol>\w+)=(?P<value>"(?:[^"\\]|\\.)*"|[^\s"#]+)'
    r"|# CONFIG_(?P<off>\w+) is not set)"
    r"(?:\s+# ?(?P<mark>since|until) v?(?P<major>\d+)\.(?P<minor>\d+)(?!\.?\w)"
    r"|\s*\Z|\s+#(?!\s*(?:since|until)\s+v?\d)).*"  # a mark that is none is no comment
)
_NUMBER = re.compile(r"\d+|0[xX][0-9a-fA-F]+")


@dataclass(frozen=True)
class Option:
    """One line of a fragment. `value` is `y`, `m`, `n`, a number or a quoted string."""

    symbol: str
    value: str
    fragment: str
    line: int

    def __str__(self) -> str:
        if self.value == "n":
            return f"# CONFIG_{self.symbol} is not set"
        return f"CONFIG_{self.symbol}={self.value}"

    @property
    def place(self) -> str:
        """Return the line with its place, as messages have it."""
        return f"{self} (fragment {self.fragment}, line {self.line})"


def read(fragments: Iterable[str], version: tuple[int, int]) -> dict[str, Option]:
    """Return the options for a kernel of `version` by symbol; later fragments override earlier.

    They are in the order of the lines that count. Raise UsageError for a line that is neither an
    option nor a comment.
    """
    options: dict[str, Option] = {}
    for name in fragments:
        path = find_fragment(name)
        for number, line in enumerate(_lines(path), start=1):
            match = _LINE.fullmatch(line)
            if match is None or not (match["value"] or "").isprintable():
                if match or (line.strip() and not line.lstrip().startswith("#")):
                    raise UsageError(f"{path}:{number}: not a config line: {clean(line)}")
                continue
            symbol = match["symbol"] or match["off"]
            if _meant_for(match, version):
                value = match["value"] if match["symbol"] else "n"
                options.pop(symbol, None)  # in a choice, the last line counts
                options[symbol] = Option(symbol, value, name, number)
    return options


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise UsageError(str(machine_error(error, path))) from None


def parse(text: str) -> dict[str, str]:
    """Return a .config as SYMBOL to value; what is off is absent."""
    return {match[1]: match[2] for match in re.finditer(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE)}


def settled(options: Mapping[str, Option], files: KconfigFiles) -> dict[str, Option]:
    """Return `options` without the members of a choice for which a later line names another one."""
    choices = files.choices()
    last = {
        choices[option.symbol].place: option.symbol
        for option in options.values()
        if option.value == "y" and option.symbol in choices
    }
    return {
        symbol: option
        for symbol, option in options.items()
        if option.value != "y" or symbol not in choices or last[choices[symbol].place] == symbol
    }


def check(
    options: Mapping[str, Option],
    resolved: Mapping[str, str],
    files: KconfigFiles,
    kernel: str,
) -> None:
    """Raise BuildError when a line of the fragments is not in the resolved configuration.

    So it does for one that is, when the tool that it is built with is missing.
    """
    lost = [o for o in options.values() if not _same(o.value, resolved.get(o.symbol, "n"))]
    if not lost:
        for option in options.values():
            if option.value != "n" and (missing := missing_tool(option.symbol)):
                raise BuildError(clean(f"{kernel}: {option.place}: {missing}", limit=1000))
        return
    first = lost[0]
    asked = Asked(files, resolved, {symbol: option.place for symbol, option in options.items()})
    reason = asked.of(first.symbol, first.value)
    more = f" (and {len(lost) - 1} more: {' '.join(o.symbol for o in lost[1:])})"
    raise BuildError(
        clean(f"{kernel}: {first.place} did not survive: {reason}{more if len(lost) > 1 else ''}",
              limit=1000)
    )  # fmt: skip


def _same(wanted: str, got: str) -> bool:
    """Whether two values are one: kconfig writes hexadecimal numbers in its own way."""
    if _NUMBER.fullmatch(wanted) and _NUMBER.fullmatch(got):
        return _number(wanted) == _number(got)
    return wanted == got


def _number(text: str) -> int:
    return int(text, 16 if "x" in text.lower() else 10)


def _meant_for(match: re.Match[str], version: tuple[int, int]) -> bool:
    if not match["mark"]:
        return True
    marked = (int(match["major"]), int(match["minor"]))
    return version >= marked if match["mark"] == "since" else version <= marked
