# SPDX-License-Identifier: GPL-2.0-only
"""Results of a suite: the lines of one guest, and how the guests of a cell ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.hosts.machines.machine import Machine
from harness.results.failure_kinds import FailureKind
from harness.results.readings import CensusRecord
from harness.results.records import Failure, Observation
from harness.suites.suite import Suite

FACT = "# s2eval: "
END = f"{FACT}end"
RESULTS_LIMIT = 16 * 2**20  # characters of results; a suite that prints more is stopped


def suite_limit(suite: Suite, machine: Machine) -> tuple[float, str]:
    """Return the seconds that a suite may take on a machine, and where a user can change them."""
    seconds = suite.limit * machine.limits.slowdown
    return seconds, f"limit in the suite.toml of {suite.name}, times {machine.key('slowdown')}"


@dataclass
class SuiteRun:
    """The results of the guest `where` (`lines` of KTAP), and `failure` when it ended early.

    `log` is the file with the lines, in the cell's folder.
    """

    where: str
    log: str
    lines: list[str] = field(default_factory=list)
    failure: Failure | None = None
    ended: bool = False
    size: int = 0

    def take(self, line: str) -> bool:
        """Keep a line, but for the empty ones that init sends after the end to drain the port.

        Return False, with `failure` set, when the suite has printed more than RESULTS_LIMIT.
        """
        self.size += len(line) + 1
        if self.size > RESULTS_LIMIT:
            self.failure = Failure(
                kind=FailureKind.FLOOD,
                summary=f"the suite said more than {RESULTS_LIMIT >> 20} MiB",
                where=self.where,
                log=self.log,
            )
            return False
        if not self.ended or line.strip():
            self.lines.append(line)
        self.ended = self.ended or line == END
        return True


@dataclass
class SuitePass:
    """One guest of a cell: its results, and the BAR's memory as the host saw it at the end.

    `bar` is None for a device whose memory the host cannot see.
    """

    run: SuiteRun
    bar: bytes | None


@dataclass
class PostChecks:
    """The host under test after a suite that may have harmed it.

    `answers`: the host runs a command. `log` is the failure that the host's log shows, None when
    all is well. `device`: a new guest got the device afterwards, None when no guest followed.
    `has_guests`: the suite ran in guests that get the device, not on the host itself.
    """

    answers: bool
    log: Failure | None
    device: bool | None
    has_guests: bool = True


@dataclass
class SuiteOutcome:
    """All guests of a cell, in their order; `traced` is from QEMU's trace of the device.

    `quiet` is the longest time without a line from them (s), by phase. `census` is all of stage 2
    at the last audit that was read, None where nothing can give it.
    """

    passes: list[SuitePass] = field(default_factory=list)
    checks: PostChecks | None = None
    traced: list[Observation] = field(default_factory=list)
    census: CensusRecord | None = None
    quiet: dict[str, float] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """Return the result lines of all guests."""
        return [line for suite_pass in self.passes for line in suite_pass.run.lines]
