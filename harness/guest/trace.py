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

from harness.probe.facts import Trace
from harness.probe.ktap import parse_lines
from harness.probe.pattern import pattern
from harness.results.records import Observation, Status

# QEMU system/trace-events and hw/pci/trace-events.
EVENTS = ("memory_region_ops_read", "memory_region_ops_write", "pci_cfg_write")
_ACCESS = re.compile(
    r"memory_region_ops_(?P<kind>read|write) .*addr (?P<address>0x[0-9a-f]+)"
    r" value (?P<value>0x[0-9a-f]+) size (?P<size>\d+) name '(?P<region>[^']*)'"
)
END = 1 << 16  # the marker after an accessor is that before it, plus this bit
TOLD = 5  # findings that a reason names


def trace_options(path: Path) -> list[str]:
    """QEMU's options: the trace goes to `path`, whatever else QEMU logs too."""
    return ["-D", str(path), *(word for event in EVENTS for word in ("-trace", event))]


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
        return self.value.to_bytes(8, "little")[: self.size]


def accesses(lines: Iterable[str], region: str) -> Iterator[Access]:
    """The accesses to the memory region `region` in a trace; other lines are passed over."""
    wanted = f"name '{region}'"
    for line in lines:
        if wanted not in line:
            continue
        if found := _ACCESS.search(line):
            yield Access(
                found["kind"] == "write",
                int(found["address"], 16),
                int(found["value"], 16),
                int(found["size"]),
                region,
            )


@dataclass
class Bracket:
    """The accesses between two markers, and those `late` ones before the next bracket.

    `base` is the address of the BAR, as the marker's own address tells. Not `closed`: the guest
    died in between, or the second marker never came.
    """

    base: int
    inside: list[Access] = field(default_factory=list)
    late: list[Access] = field(default_factory=list)
    closed: bool = False


def brackets(seen: Iterable[Access], facts: Sequence[Trace]) -> dict[int, Bracket]:
    """The brackets of `facts`, by marker; one that never began is not there."""
    offsets = {fact.marker: fact.at for fact in facts}
    found: dict[int, Bracket] = {}
    current: Bracket | None = None
    for access in seen:
        marker = access.value & ~END
        known = access.write and access.size == 4 and marker in offsets
        if known and access.value == marker:
            current = found[marker] = Bracket(access.address - offsets[marker])
        elif known and current is not None and current is found.get(marker):
            current.closed = True
        elif current is not None:
            (current.late if current.closed else current.inside).append(access)
    return found


def widths(seen: Sequence[Access]) -> str:
    """`4` for one access of 4 bytes, `8x8` for eight of 8, `1x2+8x1` for mixed ones."""
    counts = Counter(access.size for access in seen)
    if len(seen) == 1:
        return str(seen[0].size)
    return "+".join(f"{count}x{size}" for size, count in sorted(counts.items(), reverse=True))


def damage(fact: Trace, bracket: Bracket) -> list[str]:
    """What is wrong with what the device saw of one accessor; none: it is as it must be."""
    if not bracket.closed:
        return ["the accessor never came to its end"]
    found = []
    mine = [a for a in bracket.inside if a.write == (fact.kind == "write")]
    if odd := len(bracket.inside) - len(mine):
        found.append(f"{odd} accesses are not {fact.kind}s")
    if late := [a for a in bracket.late if a.write and _within(fact, bracket.base, a)]:
        found.append(f"{len(late)} stores came after what must come after them")
    if len(mine) > fact.most:
        found.append(f"{len(mine)} accesses ({widths(mine)}) instead of at most {fact.most}")
    found += _bytes(fact, bracket.base, mine)
    if fact.last is not None and (not mine or mine[-1].address != bracket.base + fact.last):
        found.append(f"the access at {fact.last:#x} was not the last one")
    return found


def _within(fact: Trace, base: int, access: Access) -> bool:
    start = base + fact.offset
    return access.address < start + fact.size and start < access.address + access.size


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
    suite: str, facts: Sequence[Trace], lines: Iterable[str] | None, region: str
) -> list[Observation]:
    """Three observations a `trace` line: `.count` and `.widths` (DONE), and the verdict `.device`.

    Without a trace (`lines` None) there is the verdict alone, SKIP.
    """
    if lines is None:
        reason = "the machine's device is not one whose accesses QEMU carries out"
        return [_verdict(suite, fact, Status.SKIP, reason) for fact in facts]
    found = brackets(accesses(lines, region), facts)
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
        made += [count, width, _verdict(suite, fact, status, "; ".join(wrong[:TOLD]))]
    return made


def _verdict(suite: str, fact: Trace, status: Status, reason: str) -> Observation:
    made = Observation(path=f"{suite}.{fact.test}.device", status=status)
    if reason:
        made.detail["reason"] = reason
    return made


def trace_observations(
    suite: str, lines: Iterable[str], path: Path, region: str
) -> list[Observation]:
    """What the trace at `path` says to the `trace` lines of a guest; [] when it wrote none."""
    facts = [fact for fact in parse_lines(lines).facts if isinstance(fact, Trace)]
    if not facts:
        return []
    if not region:
        return observe_trace(suite, facts, None, region)
    with path.open(encoding="utf-8", errors="replace") as text:
        return observe_trace(suite, facts, text, region)
