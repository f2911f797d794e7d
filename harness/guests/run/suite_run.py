# SPDX-License-Identifier: GPL-2.0-only
"""What a suite said in one guest, and what became of the guests of a cell."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.results.failure_kinds import FailureKind
from harness.results.records import Failure, Observation

FACT = "# s2eval: "
END = f"{FACT}end"
RESULTS_LIMIT = 16 * 2**20  # characters of results; a suite that says more is stopped


@dataclass
class SuiteRun:
    """What the guest `where` reported (`lines` of KTAP), and why it ended early, if it did.

    `log` is the file with the lines, in the cell's folder.
    """

    where: str
    log: str
    lines: list[str] = field(default_factory=list)
    failure: Failure | None = None
    ended: bool = False
    size: int = 0

    def take(self, line: str) -> bool:
        """Keep a line; the empty ones that drain the port after the end say nothing.

        Return False when the suite has said more than RESULTS_LIMIT.
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
    """One guest of a cell: what it reported, and the host's side of the BAR when it was over.

    `bar` is None for a device whose memory the host cannot see.
    """

    run: SuiteRun
    bar: bytes | None


@dataclass
class PostChecks:
    """The host under test after a suite that may have hurt it.

    `log` is what the host's log says, None when all is well. `device` is whether the device was
    given to a new guest afterwards, None when nobody tried.
    """

    answers: bool
    log: Failure | None
    device: bool | None


@dataclass
class SuiteOutcome:
    """All guests of a cell, in their order; `traced` is from QEMU's trace of the device."""

    passes: list[SuitePass] = field(default_factory=list)
    checks: PostChecks | None = None
    traced: list[Observation] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """Return what all guests reported."""
        return [line for one in self.passes for line in one.run.lines]
