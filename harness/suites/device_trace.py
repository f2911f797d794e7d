# SPDX-License-Identifier: GPL-2.0-only
"""What reaches a device: QEMU's own trace of every access to a BAR that it carries out itself.

A suite brackets each accessor with writes of a marker and says on a `trace` line what the device
must see (docs/probes.md). Pure but for trace_observations(), which reads the file.
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
END = 1 << 16  # the marker after an accessor is that before it, plus this bit
# What a PASS about an order is worth: on a bus, posted writes may do what these cannot.
IN_ORDER = (
    "QEMU carries out accesses one by one, as they come: only software can change their order"
)
TOLD = 5  # findings that a reason names


@dataclass(frozen=True)
class Access:
    """One access as the device got it: `address` as L1 sees it, `size` in bytes."""

    write: bool
    address: int
    value: int
    size: int
    region: str

    @property
    def data(self) -> bytes:
        return (self.value % (1 << 8 * self.size)).to_bytes(self.size, "little")


@dataclass(frozen=True)
class Config:
    """A write to the device's own configuration space."""

    offset: int
    value: int


Event = Access | Config


def events(lines: Iterable[str], region: str, bdf: str) -> Iterator[Event]:
    """The accesses to the memory region `region` and to the configuration of `bdf`, in order.

    What else a trace tells is passed over. `bdf` has a domain, which the trace has not.
    """
    wanted, own = f"name '{region}'", f" {bdf.partition(':')[2]} @"
    for line in lines:
        if wanted in line and (found := _ACCESS.search(line)):
            yield Access(
                found["kind"] == "write",
                int(found["address"], 16),
                int(found["value"], 16),
                int(found["size"]),
                region,
            )
        elif own in line and (found := _CONFIG.search(line)):
            yield Config(int(found["offset"], 16), int(found["value"], 16))


@dataclass
class Bracket:
    """What happened between two markers, and the `late` accesses behind the second one.

    Late ones are looked for until the second marker comes again, or another bracket begins.
    `base` is the address of the BAR, as the marker's own address tells. Not `closed`: the guest
    died in between, or the second marker never came.
    """

    base: int
    events: list[Event] = field(default_factory=list)
    late: list[Access] = field(default_factory=list)
    closed: bool = False

    @property
    def inside(self) -> list[Access]:
        return [event for event in self.events if isinstance(event, Access)]


def brackets(seen: Iterable[Event], facts: Sequence[Trace]) -> dict[int, Bracket]:
    """The brackets of `facts`, by marker; one that never began is not there."""
    offsets = {fact.marker: fact.at for fact in facts}
    found: dict[int, Bracket] = {}
    current: Bracket | None = None
    for event in seen:
        if isinstance(event, Access) and event.write and event.size == MARKER_SIZE:
            marker = event.value & ~END
            if marker in offsets and event.value == marker:
                current = found[marker] = Bracket(event.address - offsets[marker])
                continue
            if current is not None and current is found.get(marker):
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
    return found


def widths(seen: Sequence[Access]) -> str:
    """`4` for one access of 4 bytes, `8x8` for eight of 8, `8x8+1x4` for mixed ones."""
    counts = Counter(access.size for access in seen)
    if len(seen) == 1:
        return str(seen[0].size)
    return "+".join(f"{count}x{size}" for size, count in sorted(counts.items(), reverse=True))


def damage(fact: Trace, bracket: Bracket) -> list[str]:
    """What is wrong with what the device saw of one accessor; none: it is as it must be."""
    if not bracket.closed:
        return ["the accessor never came to its end"]
    found: list[str] = []
    mine = [a for a in bracket.inside if a.write == (fact.kind == "write")]
    if odd := len(bracket.inside) - len(mine):
        found.append(f"{odd} accesses are not {fact.kind}s")
    if late := [a for a in bracket.late if a.write and _within(fact, bracket.base, a)]:
        found.append(f"{len(late)} stores came after what must come after them")
    if fact.size and len(mine) > fact.most:
        found.append(f"{len(mine)} accesses ({widths(mine)}) instead of at most {fact.most}")
    if len(mine) < fact.least:
        found.append(f"{len(mine)} accesses instead of at least {fact.least}")
    if fact.size:
        found += _bytes(fact, bracket.base, mine)
    found += _resets(fact, bracket.events)
    if fact.last is not None and (not mine or mine[-1].address != bracket.base + fact.last):
        found.append(f"the access at {fact.last:#x} was not the last one")
    return found


def _within(fact: Trace, base: int, access: Access) -> bool:
    start = base + fact.offset
    return access.address < start + fact.size and start < access.address + access.size


def _resets(fact: Trace, seen: Sequence[Event]) -> Iterator[str]:
    """A reset that did not come, and accesses between one and the device's being back."""
    off = flr = False
    astray = times = in_flight = 0
    for event in seen:
        if isinstance(event, Access):
            astray += off and not in_flight
            in_flight = 0
        elif event.offset == COMMAND:
            if not off and not event.value & DECODES:
                times += 1
                # Where another CPU stores, QEMU may be carrying out a store of it at this moment.
                in_flight = not fact.size
            off = not event.value & DECODES
        elif event.offset == fact.reset and event.value & FLR:
            flr = off = True
    if astray:
        yield f"{astray} accesses reached a device that was being reset or switched off"
    if fact.reset is not None and not (flr if fact.reset else times):
        yield "the device was not reset" if fact.reset else "the device was not switched off"


def _bytes(fact: Trace, base: int, seen: Sequence[Access]) -> Iterator[str]:
    """Each byte exactly once, nothing elsewhere, and with a seed the right content."""
    start = base + fact.offset
    counts: Counter[int] = Counter()
    content = bytearray(fact.size)
    for access in seen:
        for at, byte in enumerate(access.data, access.address - start):
            counts[at] += 1
            if 0 <= at < fact.size:
                content[at] = byte
    missing = [at for at in range(fact.size) if not counts[at]]
    double = [at for at in range(fact.size) if counts[at] > 1]
    outside = [at for at in counts if not 0 <= at < fact.size]
    for places, words in ((missing, "never"), (double, "more than once")):
        if places:
            first = places[0] + fact.offset
            yield f"{len(places)} bytes reached the device {words}, from {first:#x}"
    if outside:
        yield f"{len(outside)} bytes elsewhere, from {outside[0] + fact.offset:#x}"
    if fact.seed is not None and not missing and content != pattern(fact.seed, fact.size):
        yield "the bytes are not those that were written"


def observe_trace(
    suite: str, facts: Sequence[Trace], lines: Iterable[str] | None, region: str, bdf: str
) -> list[Observation]:
    """Three observations a `trace` line: `.count` and `.widths` (DONE), and the verdict `.device`.

    Without a trace (`lines` None) there is the verdict alone, SKIP.
    """
    if lines is None:
        reason = "the machine's device is not one whose accesses QEMU carries out"
        return [_verdict(suite, fact, Status.SKIP, reason) for fact in facts]
    found = brackets(events(lines, region, bdf), facts)
    made = []
    for fact in facts:
        bracket = found.get(fact.marker)
        if bracket is None:
            made.append(_verdict(suite, fact, Status.MISS, "the trace has no marker of this test"))
            continue
        path = f"{suite}.{fact.test}"
        count = Observation(path=f"{path}.count", status=Status.DONE, value=len(bracket.inside))
        count.unit = "accesses"
        width = Observation(path=f"{path}.widths", status=Status.DONE)
        width.value = widths(bracket.inside) or "none"
        wrong = damage(fact, bracket)
        status = Status.FAIL if wrong else Status.PASS
        verdict = _verdict(suite, fact, status, "; ".join(wrong[:TOLD]))
        if fact.last is not None or fact.reset is not None:
            verdict.detail["limit"] = IN_ORDER
        made += [count, width, verdict]
    return made


def _verdict(suite: str, fact: Trace, status: Status, reason: str) -> Observation:
    made = Observation(path=f"{suite}.{fact.test}.device", status=status)
    if reason:
        made.detail["reason"] = reason
    return made


def trace_observations(
    suite: str, lines: Sequence[str], path: Path, region: str, bdf: str
) -> list[Observation]:
    """Return what the trace at `path` says to the `trace` lines of a guest; [] when it wrote none.

    `region` is the memory region that QEMU traces, "" on a machine without a trace.
    """
    if not any("trace" in line for line in lines):  # parsing takes its time, few suites have any
        return []
    facts = [fact for fact in parse_lines(lines).facts if isinstance(fact, Trace)]
    if not facts:
        return []
    if not region:
        return observe_trace(suite, facts, None, region, bdf)
    with path.open(encoding="utf-8", errors="replace") as text:
        return observe_trace(suite, facts, text, region, bdf)
