# SPDX-License-Identifier: GPL-2.0-only
"""The facts a guest states on `# s2eval: KIND key=value` lines (docs/guest-protocol.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import cast

from harness.base.text import clean


@dataclass(frozen=True)
class Device:
    """The PCI device that was found; `start` is the guest's physical address of the BAR."""

    bdf: str
    vendor: str
    device: str
    bar: int
    start: int
    size: int


@dataclass(frozen=True)
class Mapping:
    """The guest made a mapping; `par` is PAR_EL1 after AT S1E1R of `va`."""

    name: str
    va: int
    ipa: int
    size: int
    par: int
    mair: int


@dataclass(frozen=True)
class Begin:
    """The guest begins `test`, in which it may die."""

    test: str


@dataclass(frozen=True)
class Value:
    """A result of `test`, a word or a figure; with `unit` it is a measurement."""

    test: str
    name: str
    value: str | int | float
    unit: str | None = None
    samples: tuple[float, ...] = ()
    representative: bool = True


@dataclass(frozen=True)
class Seen:
    """A word of `test` that is recorded and not judged: the effect of one access of several."""

    test: str
    name: str
    value: str


@dataclass(frozen=True)
class Expect:
    """BAR bytes [offset, offset + size) must hold the pattern of `seed`.

    With `fill`, each block of so many bytes holds nothing but the pattern's byte at its start.
    """

    test: str
    offset: int
    size: int
    seed: int
    fill: int = 0


@dataclass(frozen=True)
class Audit:
    """The guest waits until the harness has read the page tables of this mapping."""

    mapping: str
    va: int
    ipa: int
    size: int


@dataclass(frozen=True)
class Trace:
    """The accesses that must reach the device between two writes of `marker` at BAR offset `at`.

    Bit 16 of `marker` is clear. `kind`: `read` or `write`; BAR bytes [offset, offset + size), each
    once, in at most `most` accesses, with the pattern of `seed`; with `size` 0 any accesses, at
    least `least` of them. `last` is the offset of the access that comes last. `reset`: in between
    the device is reset, by a write to Device Control at this offset of its configuration space, or
    (0) its memory decode is switched off.
    """

    test: str
    marker: int
    at: int
    kind: str
    offset: int
    size: int
    most: int
    seed: int | None = None
    last: int | None = None
    reset: int | None = None
    least: int = 0


@dataclass(frozen=True)
class HostAction:
    """The guest waits until the host under test has run the suite's script `host/ACTION.sh`."""

    action: str


@dataclass(frozen=True)
class CommandError:
    """A command of the guest's /suite failed."""

    command: str
    errno: str


@dataclass(frozen=True)
class End:
    """The suite is over."""


Fact = (
    Device
    | Mapping
    | Begin
    | Value
    | Seen
    | Expect
    | Audit
    | Trace
    | HostAction
    | CommandError
    | End
)


def _number(text: str) -> int:
    """Return an integer as C's %#x and %d print it."""
    return int(text, 0)


def _figure(text: str) -> str | int | float:
    """Return a figure when the text reads as one, otherwise the word."""
    for convert in (_number, float):
        try:
            value = convert(text)
        except ValueError:
            continue
        return value if abs(value) < float("inf") else text
    return clean(text)


def _samples(text: str) -> tuple[float, ...]:
    samples = tuple(float(item) for item in text.split(",") if item)
    if any(not abs(item) < float("inf") for item in samples):
        raise ValueError(text)
    return samples


def _truth(text: str) -> bool:
    return {"0": False, "false": False, "1": True, "true": True}[text.lower()]


FactField = str | int | float | tuple[float, ...]  # a bool is an int
Reader = Callable[[str], FactField]


def _fields(text: str = "", numbers: str = "", **others: Reader) -> dict[str, Reader]:
    """Return the reader of each field: fields named in `text` are texts, in `numbers` integers."""
    return {
        **dict.fromkeys(text.split(), clean),
        **dict.fromkeys(numbers.split(), _number),
        **others,
    }


# By KIND of a line: the class of its fact, and how the text of each key is read.
KINDS: dict[str, tuple[type[Fact], dict[str, Reader]]] = {
    "device": (Device, _fields("bdf vendor device", "bar start size")),
    "mapping": (Mapping, _fields("name", "va ipa size par mair")),
    "begin": (Begin, _fields("test")),
    "value": (
        Value,
        _fields("test name unit", value=_figure, samples=_samples, representative=_truth),
    ),
    "seen": (Seen, _fields("test name value")),
    "expect": (Expect, _fields("test", "offset size seed fill")),
    "audit": (Audit, _fields("mapping", "va ipa size")),
    "trace": (Trace, _fields("test kind", "marker at offset size most seed last reset least")),
    "host": (HostAction, _fields("action")),
    "error": (CommandError, _fields("command errno")),
    "end": (End, {}),
}


def make_fact(kind: str, assignments: Iterable[str]) -> Fact:
    """Return the fact of a line `KIND key=value ...`. Raise ValueError when it is invalid."""
    if kind not in KINDS:
        raise ValueError(f"s2eval line of unknown kind '{kind}'")
    fact, readers = KINDS[kind]
    values: dict[str, FactField] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or key not in readers:
            raise ValueError(f"s2eval line '{kind}': '{assignment}' is not one of its fields")
        try:
            values[key] = readers[key](text)
        except (ValueError, KeyError):
            raise ValueError(f"s2eval line '{kind}': {key}={text} is not a value") from None
    try:
        return cast("Callable[..., Fact]", fact)(**values)
    except TypeError:
        missing = [field.name for field in fields(fact) if field.name not in values]
        raise ValueError(f"s2eval line '{kind}' lacks {', '.join(missing)}") from None
