# SPDX-License-Identifier: GPL-2.0-only
"""Why an option is not what a fragment says: the line that won, a dependency, a missing tool.

Kconfig drops or changes an option without a word. This looks at what its files say of the symbol.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.kernel.config.expression import holds, level, macros, symbols, with_values
from harness.kernel.config.kconfig import Definition, KconfigFiles

TOOLS = Path(__file__).with_name("tools.toml")
_DEPTH = 5  # symbols without a prompt that depend on one another
_LEVEL = {"n": 0, "m": 1, "y": 2}


@dataclass(frozen=True)
class Asked:
    """What is known when an option is lost.

    `files` are the kernel's, `config` is what came out (SYMBOL to value), `places` says which line
    of a fragment names a symbol: `CONFIG_A=y (fragment base, line 3)`.
    """

    files: KconfigFiles
    config: Mapping[str, str]
    places: Mapping[str, str]

    def of(self, symbol: str, value: str) -> str:
        """Return why `symbol` has not the value that was asked for, in one clause."""
        reason = self._reason(symbol, value)
        missing = missing_tool(symbol) if value != "n" else ""
        return f"{reason}; {missing}" if missing and missing not in reason else reason

    def _reason(self, symbol: str, value: str) -> str:
        found = self.files.definitions(symbol)
        if not found:
            return "this kernel has no such symbol"
        got = self.config.get(symbol, "n")
        if value == "m" and all(one.kind == "bool" for one in found):
            return "it is no module: it takes y or n"
        if _LEVEL.get(got, 2) > _LEVEL.get(value, 2) or value == "n":
            return self._forced(symbol, found, got)
        lost = [reason for one in found if (reason := self._refused(one, value))]
        if lost:
            return lost[0]
        if got != "n":
            return self._other_value(found, value, got)
        return "kconfig does not tell why"

    def _forced(self, symbol: str, found: Sequence[Definition], got: str) -> str:
        """Why a symbol is on, or more than was asked for."""
        if selector := self._selector(symbol):
            return f"it is {got}: {selector} selects it"
        if all(one.prompt is None for one in found):
            return f"it is {got}: it has no prompt, its value follows from other options"
        hidden = [one.prompt for one in found if one.prompt and not holds(one.prompt, self.config)]
        if hidden:
            return f"it is {got}: its prompt needs {with_values(hidden[0], self.config)}"
        if any(one.choice for one in found):
            prompt = next(one.choice.prompt for one in found if one.choice)
            return f"it is {got}: a choice has one member that is on ({prompt})"
        return f"it is {got}"

    def _selector(self, symbol: str) -> str:
        """The option that selects a symbol, by its line in a fragment where it has one."""
        on = [
            one.symbol
            for one in self.files.selectors(symbol)
            if self.config.get(one.symbol, "n") != "n"
            and any(s == symbol and holds(c, self.config) for s, c in one.selects)
            and all(holds(term, self.config) for term in one.terms)
        ]
        named = [self.places[other] for other in on if other in self.places]
        return (named or on or [""])[0]

    def _refused(self, one: Definition, value: str) -> str:
        """Why a definition did not give y or m; "" when nothing stands in its way."""
        wanted = 1 if value == "m" else 2 if one.kind == "tristate" else 1
        unmet = [term for term in one.terms if level(term, self.config) < wanted]
        if unmet:
            missing = " and ".join(with_values(term, self.config) for term in unmet)
            return f"depends on {missing}{self._behind(unmet)}"
        if one.choice and (rival := self._rival(one)):
            return f"of the choice '{one.choice.prompt}' one member is on: {rival}"
        if one.prompt is None:
            return f"it has no prompt: only other options select it{self._default(one)}"
        if not holds(one.prompt, self.config):
            return f"its prompt needs {with_values(one.prompt, self.config)}"
        if self.config.get(one.symbol, "n") == "n":
            return self._by_macro([*one.terms, one.prompt])
        return ""

    def _rival(self, one: Definition) -> str:
        """The other member of a choice that is on, by its line in a fragment where it has one."""
        if one.choice is None:
            return ""
        for symbol, choice in self.files.choices().items():
            on = self.config.get(symbol) == "y"
            if on and symbol != one.symbol and choice.place == one.choice.place:
                return self.places.get(symbol, f"CONFIG_{symbol}=y, its default")
        return ""

    def _behind(self, unmet: Sequence[str], depth: int = 0) -> str:
        """What an unmet dependency without a prompt waits for itself, down to a missing tool."""
        names = list(dict.fromkeys(name for term in unmet for name in symbols(term)))
        if hint := next((hint for name in names if (hint := _tool(name))), ""):
            return f"; {hint}"
        for name in names:
            if depth >= _DEPTH or self.config.get(name, "n") != "n":
                continue
            found = self.files.definitions(name)
            if not found or any(one.prompt is not None for one in found):
                continue
            for one in found:
                if more := self._default(one, depth + 1):
                    return f", {name}{more}"
        return ""

    def _default(self, one: Definition, depth: int = 0) -> str:
        """Why the default of a symbol without a prompt is n."""
        asked = [*one.terms, *(part for default in one.defaults for part in default)]
        unmet = [term for term in asked if not holds(term, self.config)]
        if unmet:
            missing = " and ".join(with_values(term, self.config) for term in unmet)
            return f" needs {missing}{self._behind(unmet, depth)}"
        reason = self._by_macro(asked)
        return f" {reason}" if reason else ""

    def _by_macro(self, terms: Sequence[str]) -> str:
        """What is left when all else holds: a question to the compiler or the linker."""
        asked = list(dict.fromkeys(macro for term in terms for macro in macros(term)))
        if not asked:
            return ""
        compiler = self.config.get("CC_VERSION_TEXT", "the compiler").strip('"')
        hint = next((h for macro in asked if (h := _tool_of_macro(macro))), "")
        if not hint and self.config.get("CC_IS_GCC") == "y":
            hint = _tool("CC_IS_CLANG")
        return f"needs {' and '.join(asked)}, which {compiler} lacks" + (
            f"; {hint}" if hint else ""
        )

    def _other_value(self, found: Sequence[Definition], value: str, got: str) -> str:
        """Why a number or a string is another one."""
        for one in found:
            for low, high, condition in one.ranges:
                if holds(condition, self.config):
                    limits = " to ".join(with_values(end, self.config) for end in (low, high))
                    return f"it is {got}: its range is {limits}"
        kind = found[0].kind
        if kind == "string" and not value.startswith('"'):
            return f'it is {got}: it is a string, which stands in quotes: "{value}"'
        if kind in {"int", "hex"} and not re.fullmatch(r"-?\d+|0[xX][0-9a-fA-F]+", value):
            return f"it is {got}: it is a number ({kind})"
        return f"it is {got}: it is of the type {kind or 'unknown'}"


def missing_tool(option: str) -> str:
    """Return which program that an option is built with is missing; "" when none is."""
    for row in _tools():
        if option in row["options"] and not shutil.which(str(row["program"])):
            return _way_out(row)
    return ""


@cache
def _tools() -> tuple[dict[str, list[str] | str], ...]:
    return tuple(tomllib.loads(TOOLS.read_text(encoding="utf-8"))["tool"])


def _tool(symbol: str) -> str:
    """What to do about a tool that Kconfig calls `symbol`; "" when it is none."""
    return next((_way_out(row) for row in _tools() if symbol in row["symbols"]), "")


def _tool_of_macro(macro: str) -> str:
    name = macro.removeprefix("$(").partition(",")[0].strip()
    return next((_way_out(row) for row in _tools() if name in row["macros"]), "")


def _way_out(row: Mapping[str, list[str] | str]) -> str:
    program = str(row["program"])
    if shutil.which(program):
        return f"that is {program}: {row['there']}"
    return f"{program} is missing: {row['missing']}"
