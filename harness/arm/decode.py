# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval decode`: one architectural value as text. Strings in, lines out, no other effect."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.arm.bits import bits
from harness.arm.combine import Attributes, Controls, combine
from harness.arm.memtype import (
    MAIR_BYTES,
    MemType,
    Shareability,
    decode_mair,
    decode_mair_byte,
    decode_memattr,
)
from harness.arm.syndrome import decode_esr
from harness.arm.tables.descriptor import (
    DescriptorKind,
    Granule,
    InvalidDescriptor,
    Layout,
    Stage1Leaf,
    Stage2Leaf,
    TableDescriptor,
    decode_stage1,
    decode_stage2,
    descriptor_kind,
)
from harness.arm.tables.permissions import stage1_access, stage2_access
from harness.base.errors import UsageError

GRANULES = {"4k": Granule.G4K, "16k": Granule.G16K, "64k": Granule.G64K}


@dataclass(frozen=True)
class DecodeOptions:
    """How a value is to be read. `fwb` None shows both settings of HCR_EL2.FWB; `level` None
    takes the lowest level at which the descriptor is a leaf.
    """

    fwb: bool | None = None
    level: int | None = None
    granule: str = "4k"
    mair: str | None = None
    lpa: bool = False


def decode(
    kind: str,
    values: Sequence[str],
    *,
    fwb: bool | None = None,
    level: int | None = None,
    granule: str = "4k",
    mair: str | None = None,
    lpa: bool = False,
) -> list[str]:
    """Return what a value means, one line each.

    `kind` is esr, mair, memattr, s1, s2 (one value) or combine (a stage-1 type by name or MAIR
    byte, and a MemAttr). Numbers are 0x…, 0b… or decimal. `level` (-1 to 3), `granule` (4k, 16k,
    64k), `lpa` (52-bit addresses) and `mair` (MAIR_EL1, to name a stage-1 descriptor's type) are
    for descriptors; `fwb` is for memattr, s2 and combine. Raise UsageError for anything else.
    """
    entry = _KINDS.get(kind)
    if entry is None:
        near = difflib.get_close_matches(kind, _KINDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(_KINDS)}"
        raise UsageError(f"cannot decode {kind!r}: {hint}")
    function, names = entry
    if len(values) != len(names):
        raise UsageError(f"decode {kind} takes {' '.join(names)}, not {len(values)} values")
    if level is not None and not -1 <= level <= 3:
        raise UsageError(f"level {level} does not exist: levels are -1 to 3")
    if granule.lower() not in GRANULES:
        raise UsageError(f"granule {granule!r} does not exist: use 4k, 16k or 64k")
    return function(list(values), DecodeOptions(fwb, level, granule.lower(), mair, lpa))


def _number(text: str, width: int, what: str) -> int:
    """An unsigned number of at most `width` bits."""
    shown = text if len(text) <= 40 else text[:39] + "…"
    try:
        value = int(text, 0)
    except ValueError:
        raise UsageError(f"{what} {shown!r} is not a number: write 0x…, 0b… or decimal") from None
    if not 0 <= value < 1 << width:
        raise UsageError(f"{what} {shown} does not fit in {width} bits")
    return value


def _esr(values: list[str], _options: DecodeOptions) -> list[str]:
    return decode_esr(_number(values[0], 64, "ESR")).lines()


def _mair(values: list[str], _options: DecodeOptions) -> list[str]:
    """A single attribute when written with one or two hexadecimal digits, MAIR_EL1 otherwise."""
    text = values[0].lower()
    value = _number(text, 64, "MAIR")
    if value <= 0xFF and len(text.removeprefix("0x")) <= 2:
        return [f"MAIR byte {value:#04x}: {decode_mair_byte(value).describe()}"]
    lines = [f"MAIR_EL1 {value:#018x}:"]
    for index, memory in enumerate(decode_mair(value)):
        byte = bits(value, 8 * index + 7, 8 * index)
        lines.append(f"  Attr{index} {byte:#04x}  {memory.describe()}")
    return lines


def _settings(options: DecodeOptions) -> tuple[bool, ...]:
    return (False, True) if options.fwb is None else (options.fwb,)


def _memattr_lines(value: int, options: DecodeOptions) -> list[str]:
    return [
        f"MemAttr {value:#x}, FWB {'on' if fwb else 'off'}: "
        f"{decode_memattr(value, fwb=fwb).describe()}"
        for fwb in _settings(options)
    ]


def _memattr(values: list[str], options: DecodeOptions) -> list[str]:
    return _memattr_lines(_number(values[0], 4, "MemAttr"), options)


def _layout(options: DecodeOptions) -> Layout:
    return Layout(GRANULES[options.granule], wide=options.lpa)


def _level(descriptor: int, options: DecodeOptions) -> int:
    """The level asked for, or the lowest at which the descriptor is not reserved."""
    if options.level is not None:
        return options.level
    reserved = descriptor_kind(descriptor, 3, _layout(options)) is DescriptorKind.RESERVED
    return 2 if reserved else 3


def _head(stage: int, descriptor: int, level: int, options: DecodeOptions) -> str:
    size = GRANULES[options.granule].label
    return f"stage-{stage} descriptor {descriptor:#018x}, level {level}, {size} granule:"


def _hint(descriptor: int, level: int, options: DecodeOptions) -> list[str]:
    if options.level is None and level == 3 and descriptor & 0b11 == 0b11:
        return ["  at any other level this is a table descriptor: give the level"]
    return []


def _leaf_lines(leaf: Stage1Leaf | Stage2Leaf, lpa2: bool) -> list[str]:
    """The fields that both stages have."""
    flags = {
        "contiguous": leaf.contiguous,
        "DBM": leaf.dbm,
        "nT": leaf.nt,
    }
    said = [name for name, value in flags.items() if value]
    return [
        f"  {leaf.kind.value} of {leaf.size:#x} bytes at {leaf.address:#x}",
        f"  shareability: {'in TCR_EL1 or VTCR_EL2 (FEAT_LPA2)' if lpa2 else leaf.sh.label}",
        f"  access flag: {int(leaf.af)}{'' if leaf.af else ' (an access faults)'}",
        *([f"  {', '.join(said)}"] if said else []),
    ]


def _stage1(values: list[str], options: DecodeOptions) -> list[str]:
    descriptor = _number(values[0], 64, "descriptor")
    mair = None if options.mair is None else _number(options.mair, 64, "MAIR")
    level = _level(descriptor, options)
    layout = _layout(options)
    entry = decode_stage1(descriptor, level, layout)
    head = _head(1, descriptor, level, options)
    if isinstance(entry, InvalidDescriptor | TableDescriptor):
        return [head, f"  {entry.describe()}"]
    memory = f"  type: MAIR_EL1 Attr{entry.attr_index}"
    if mair is not None:
        memory += f" = {decode_mair(mair)[entry.attr_index].describe()}"
    el1, el0 = stage1_access(entry.ap, uxn=entry.uxn, pxn=entry.pxn)
    return [
        head,
        *_leaf_lines(entry, layout.lpa2),
        memory,
        f"  EL1 {el1.label}, EL0 {el0.label} "
        f"(AP[2:1]={entry.ap:#04b}, UXN={int(entry.uxn)}, PXN={int(entry.pxn)})",
        f"  nG={int(entry.ng)}, NS={int(entry.ns)}, GP={int(entry.guarded)}",
        *_hint(descriptor, level, options),
    ]


def _stage2(values: list[str], options: DecodeOptions) -> list[str]:
    descriptor = _number(values[0], 64, "descriptor")
    level = _level(descriptor, options)
    layout = _layout(options)
    entry = decode_stage2(descriptor, level, layout)
    head = _head(2, descriptor, level, options)
    if isinstance(entry, InvalidDescriptor | TableDescriptor):
        return [head, f"  {entry.describe()}"]
    el1, el0 = stage2_access(entry.s2ap, entry.xn)
    return [
        head,
        *_leaf_lines(entry, layout.lpa2),
        *(f"  {line}" for line in _memattr_lines(entry.memattr, options)),
        f"  EL1 {el1.label}, EL0 {el0.label} (S2AP={entry.s2ap:#04b}, XN[1:0]={entry.xn:#04b})",
        *(["  FnXS"] if entry.fnxs else []),
        *_hint(descriptor, level, options),
    ]


def _stage1_type(text: str) -> MemType:
    """A type by its name, in any case, or by its MAIR byte."""
    names = {name.lower(): byte for name, byte in MAIR_BYTES.items()}
    if text.lower() in names:
        return decode_mair_byte(names[text.lower()])
    if text[:1].isdigit():
        return decode_mair_byte(_number(text, 8, "MAIR byte"))
    near = difflib.get_close_matches(text.lower(), names, 1)
    spelled = {name.lower(): name for name in MAIR_BYTES}
    hint = f"did you mean {spelled[near[0]]}?" if near else f"use one of {', '.join(MAIR_BYTES)}"
    raise UsageError(f"memory type {text!r} does not exist: {hint}")


def _combine(values: list[str], options: DecodeOptions) -> list[str]:
    stage1 = _stage1_type(values[0])
    memattr = _number(values[1], 4, "MemAttr")
    lines = []
    for fwb in _settings(options):
        stage2 = decode_memattr(memattr, fwb=fwb)
        # Non-shareable on both sides: what is shareable then is so by its type.
        attributes = Attributes(stage1, Shareability.NON)
        result = combine(attributes, memattr, Shareability.NON, Controls(fwb=fwb))
        types = " or ".join(reading.type.describe() for reading in result.readings)
        note = f" ({result.note})" if result.note else ""
        lines.append(
            f"{stage1.describe()} over MemAttr {memattr:#x} [{stage2.describe()}], "
            f"FWB {'on' if fwb else 'off'}: {types or 'reserved'}{note}"
        )
    return lines


_KINDS: dict[str, tuple[Callable[[list[str], DecodeOptions], list[str]], tuple[str, ...]]] = {
    "esr": (_esr, ("VALUE",)),
    "mair": (_mair, ("VALUE",)),
    "memattr": (_memattr, ("VALUE",)),
    "s1": (_stage1, ("DESCRIPTOR",)),
    "s2": (_stage2, ("DESCRIPTOR",)),
    "combine": (_combine, ("S1TYPE", "MEMATTR")),
}
KINDS = tuple(_KINDS)
