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
    """The guest waits until the harness has read the page tables of this mapping.

    `vmm` is the address at which the guest's VMM has mapped the same memory, which is read as well;
    0 where nobody asks for it.
    """

    mapping: str
    va: int
    ipa: int
    size: int
    vmm: int = 0


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
class Vcpu:
    """How one run of a vCPU ended, by the VMM of a suite that runs VMs itself.

    `outcome` is a word (docs/guest-protocol.md), `memslot` is `accepted` or an errno's name, `run`
    KVM_RUN's errno (`0`: none; `none`: it never ran), `exit` KVM's exit reason (KVM_EXIT_*) and
    `address` that of KVM_EXIT_MMIO. `esr` and `far` are the guest's, of an exception that it took.
    """

    test: str
    outcome: str
    memslot: str
    run: str
    exit: int
    address: int
    esr: int
    far: int


@dataclass(frozen=True)
class Leaf:
    """The types and the stage-2 leaf of the address under test, added by the harness.

    `stage2` is NO_LEAF where accesses trap, UNREAD where the tables could not be read. `access` is
    EL1's at stage 2 (`rw-`), `size` the leaf's in bytes. `vmm` is the type in the VMM's own tables,
    empty where it was not asked for or its host keeps it elsewhere.
    """

    test: str
    stage2: str
    stage1: str = ""
    combined: str = ""
    access: str = ""
    size: int = 0
    contiguous: bool = False
    level: int = 0
    descriptor: int = 0
    pa: int = 0
    fwb: bool = False
    vmm: str = ""


NO_LEAF, UNREAD = "none", "unread"


def leaf_line(test: str, **values: str | int) -> str:
    """Return the line of a Leaf; blanks in names of types become `_`, as values have none."""
    texts = {
        key: f"{value:#x}" if key in ("descriptor", "pa") else str(value).replace(" ", "_")
        for key, value in values.items()
    }
    return " ".join([f"# s2eval: leaf test={test}", *(f"{k}={v}" for k, v in texts.items())])


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
    | Vcpu
    | Leaf
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


def _type_name(text: str) -> str:
    """Return a memory type's name as leaf_line() was given it."""
    return clean(text.replace("_", " "))


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
    "audit": (Audit, _fields("mapping", "va ipa size vmm")),
    "trace": (Trace, _fields("test kind", "marker at offset size most seed last reset least")),
    "host": (HostAction, _fields("action")),
    "vcpu": (Vcpu, _fields("test outcome memslot run", "exit address esr far")),
    "leaf": (
        Leaf,
        _fields(
            "test access",
            "size level descriptor pa",
            **dict.fromkeys(("stage1", "stage2", "combined", "vmm"), _type_name),
            **dict.fromkeys(("contiguous", "fwb"), _truth),
        ),
    ),
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
