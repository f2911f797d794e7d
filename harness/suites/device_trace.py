# SPDX-License-Identifier: GPL-2.0-only
"""Accesses that reach a device: QEMU's own trace of every access to a BAR that QEMU emulates.

A suite brackets each accessor with writes of a marker and states on a `trace` line which accesses
the device must get (docs/probes.md). Pure but for trace_observations(), which reads the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.results.records import Observation, Status
from harness.suites.facts import Trace
from harness.suites.ktap import parse_lines
from harness.suites.pattern import pattern

_ACCESS = re.compile(
    r"memory_region_ops_(?P<kind>read|write) .*addr (?P<address>0x[0-9a-f]+)"
    r" value (?P<value>0x[0-9a-f]+) size (?P<size>[1248]) name '(?P<region>[^']*)'"
)
_CONFIG = re.compile(
    r"pci_cfg_write \S+ (?P<bdf>[0-9a-f:.]+) @(?P<offset>0x[0-9a-f]+) <- (?P<value>0x[0-9a-f]+)"
)
COMMAND = 4  # include/uapi/linux/pci_regs.h: PCI_COMMAND, of which bit 1 is PCI_COMMAND_MEMORY
DECODES = 1 << 1
FLR = 1 << 15  # PCI_EXP_DEVCTL_BCR_FLR
MARKER_SIZE = 4  # bytes
END = 1 << 16  # set in the marker after an accessor, which else equals the marker before
# The limit of a PASS about an order: on a bus, posted writes may be reordered, these cannot.
IN_ORDER = (
    "QEMU carries out accesses one by one, as they come: only software can change their order"
)
NAMED = 5  # problems that a reason names


@dataclass(frozen=True)
class Access:
    """An access as the device got it: `address` is L1's physical address, `size` is in bytes."""

    write: bool
    address: int
    value: int
    size: int
    region: str

    @property
    def data(self) -> bytes:
        """Return the bytes of the value in the device's order (little-endian)."""
        return (self.value % (1 << 8 * self.size)).to_bytes(self.size, "little")


@dataclass(frozen=True)
class Config:
    """A write to the device's own configuration space."""

    offset: int
    value: int


Event = Access | Config


def events(lines: Iterable[str], region: str, bdf: str) -> Iterator[Event]:
    """Yield the accesses to the memory region `region` and to the configuration of `bdf`, in order.

    All other lines are passed over. `bdf` has a domain (DDDD:), which the trace leaves out.
    """
    name_part, bdf_part = f"name '{region}'", f" {bdf.partition(':')[2]} @"
    for line in lines:
        if name_part in line and (match := _ACCESS.search(line)):
            yield Access(
                match["kind"] == "write",
                int(match["address"], 16),
                int(match["value"], 16),
                int(match["size"]),
                region,
            )
        elif bdf_part in line and (match := _CONFIG.search(line)):
            yield Config(int(match["offset"], 16), int(match["value"], 16))


@dataclass
class Bracket:
    """The events between two markers, and the `late` accesses behind the second marker.

    Late accesses are collected until the second marker comes again, or another bracket begins.
    `base` is the address of the BAR, computed from the marker's own address. Not `closed`: the
    guest died in between, or the second marker never came.
    """

    base: int
    events: list[Event] = field(default_factory=list)
    late: list[Access] = field(default_factory=list)
    closed: bool = False

    @property
    def inside(self) -> list[Access]:
        """Return the accesses to the BAR between the markers."""
        return [event for event in self.events if isinstance(event, Access)]


def brackets(trace: Iterable[Event], facts: Sequence[Trace]) -> dict[int, Bracket]:
    """Return the brackets of `facts` in a trace, by marker, without those that never began."""
    offsets = {fact.marker: fact.at for fact in facts}
    by_marker: dict[int, Bracket] = {}
    current: Bracket | None = None
    for event in trace:
        if isinstance(event, Access) and event.write and event.size == MARKER_SIZE:
            marker = event.value & ~END
            if marker in offsets and event.value == marker:
                current = by_marker[marker] = Bracket(event.address - offsets[marker])
                continue
            if current is not None and current is by_marker.get(marker):
                if current.closed:
                    current = None
                else:
                    current.closed = True
                continue
        if current is None:
            continue
        if not current.closed:
            current.events.append(event)
        elif isinstance(event, Access):
            current.late.append(event)
    return by_marker


def widths(accesses: Sequence[Access]) -> str:
    """Return `4` for one access of 4 bytes, `8x8` for eight of 8, `8x8+1x4` for mixed ones."""
    counts = Counter(access.size for access in accesses)
    if len(accesses) == 1:
        return str(accesses[0].size)
    return "+".join(f"{count}x{size}" for size, count in sorted(counts.items(), reverse=True))


def damage(fact: Trace, bracket: Bracket) -> list[str]:
    """Return the problems of the accesses that one accessor made at the device; [] without any."""
    if not bracket.closed:
        return ["the accessor never came to its end"]
    problems: list[str] = []
    expected = [a for a in bracket.inside if a.write == (fact.kind == "write")]
    if odd := len(bracket.inside) - len(expected):
        problems.append(f"{odd} accesses are not {fact.kind}s")
    if late := [a for a in bracket.late if a.write and _within(fact, bracket.base, a)]:
        problems.append(f"{len(late)} stores came after what must come after them")
    if fact.size and len(expected) > fact.most:
        text = f"{len(expected)} accesses ({widths(expected)}) instead of at most {fact.most}"
        problems.append(text)
    if len(expected) < fact.least:
        problems.append(f"{len(expected)} accesses instead of at least {fact.least}")
    if fact.size:
        problems += _bytes(fact, bracket.base, expected)
    problems += _resets(fact, bracket.events)
    last = expected[-1].address - bracket.base if expected else None
    if fact.last is not None and last != fact.last:
        problems.append(f"the access at {fact.last:#x} was not the last one")
    return problems


def _within(fact: Trace, base: int, access: Access) -> bool:
    start = base + fact.offset
    return access.address < start + fact.size and start < access.address + access.size


def _resets(fact: Trace, trace: Sequence[Event]) -> Iterator[str]:
    """Yield problems: a reset that did not come, accesses while the device was reset or off."""
    off = flr = False
    astray = times = in_flight = 0
    for event in trace:
        if isinstance(event, Access):
            astray += off and not in_flight
            in_flight = 0
        elif event.offset == COMMAND:
            if not off and not event.value & DECODES:
                times += 1
                # Where another CPU stores, QEMU may be carrying out one of its stores meanwhile.
                in_flight = not fact.size
            off = not event.value & DECODES
        elif event.offset == fact.reset and event.value & FLR:
            flr = off = True
    if astray:
        yield f"{astray} accesses reached a device that was being reset or switched off"
    if fact.reset is not None and not (flr if fact.reset else times):
        yield "the device was not reset" if fact.reset else "the device was not switched off"


def _bytes(fact: Trace, base: int, accesses: Sequence[Access]) -> Iterator[str]:
    """Yield problems: bytes not exactly once, bytes elsewhere, with a seed wrong content."""
    start = base + fact.offset
    counts: Counter[int] = Counter()
    content = bytearray(fact.size)
    for access in accesses:
        for offset, byte in enumerate(access.data, access.address - start):
            counts[offset] += 1
            if 0 <= offset < fact.size:
                content[offset] = byte
    missing = [offset for offset in range(fact.size) if not counts[offset]]
    double = [offset for offset in range(fact.size) if counts[offset] > 1]
    outside = [offset for offset in counts if not 0 <= offset < fact.size]
    for offsets, how_often in ((missing, "never"), (double, "more than once")):
        if offsets:
            first = offsets[0] + fact.offset
            yield f"{len(offsets)} bytes reached the device {how_often}, from {first:#x}"
    if outside:
        yield f"{len(outside)} bytes elsewhere, from {outside[0] + fact.offset:#x}"
    if fact.seed is not None and not missing and content != pattern(fact.seed, fact.size):
        yield "the bytes are not those that were written"


def observe_trace(
    suite: str, facts: Sequence[Trace], lines: Iterable[str] | None, region: str, bdf: str
) -> list[Observation]:
    """Return three observations a fact: `.count` and `.widths` (DONE), verdict `.device`.

    Without a trace (`lines` None) the verdict is the only one, SKIP.
    """
    if lines is None:
        reason = "the machine's device is not one whose accesses QEMU carries out"
        return [_verdict(suite, fact, Status.SKIP, reason) for fact in facts]
    by_marker = brackets(events(lines, region, bdf), facts)
    observations = []
    for fact in facts:
        bracket = by_marker.get(fact.marker)
        if bracket is None:
            reason = "the trace has no marker of this test"
            observations.append(_verdict(suite, fact, Status.MISS, reason))
            continue
        path = f"{suite}.{fact.test}"
        count = Observation(path=f"{path}.count", status=Status.DONE, value=len(bracket.inside))
        count.unit = "accesses"
        width = Observation(path=f"{path}.widths", status=Status.DONE)
        width.value = widths(bracket.inside) or "none"
        problems = damage(fact, bracket)
        status = Status.FAIL if problems else Status.PASS
        verdict = _verdict(suite, fact, status, "; ".join(problems[:NAMED]))
        if fact.last is not None or fact.reset is not None:
            verdict.detail["limit"] = IN_ORDER
        observations += [count, width, verdict]
    return observations


def _verdict(suite: str, fact: Trace, status: Status, reason: str) -> Observation:
    verdict = Observation(path=f"{suite}.{fact.test}.device", status=status)
    if reason:
        verdict.detail["reason"] = reason
    return verdict


def trace_observations(
    suite: str, lines: Sequence[str], path: Path, region: str, bdf: str
) -> list[Observation]:
    """Return the observations of a guest's `trace` lines from the trace at `path`; [] without any.

    `region` is the memory region that QEMU traces, "" on a machine without a trace. Raise OSError
    when the trace cannot be read.
    """
    if not any(
        "trace" in line for line in lines
    ):  # parsing takes time, and few suites have such lines
        return []
    facts = [fact for fact in parse_lines(lines).facts if isinstance(fact, Trace)]
    if not facts:
        return []
    if not region:
        return observe_trace(suite, facts, None, region, bdf)
    with path.open(encoding="utf-8", errors="replace") as text:
        return observe_trace(suite, facts, text, region, bdf)
