# SPDX-License-Identifier: GPL-2.0-only
"""What `s2eval patch --json` prints (docs/patch.md): the verdict and all it rests on."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.evaluate.patch.verdict.census import CensusSummary
from harness.evaluate.patch.verdict.figures import FigureRecord
from harness.evaluate.patch.verdict.lines import PatchReach
from harness.evaluate.patch.verdict.verdict import VerdictChange
from harness.evaluate.patch.verdict.word import Verdict
from harness.results.records import Cell, KernelRecord, Status

SCHEMA = "s2eval-patch-1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Side(_Part):
    """One of the two kernels with its cells, as in run.json; no cells when nothing was booted."""

    name: str
    kernel: KernelRecord | None = None
    cells: list[Cell] = Field(default_factory=list)


class SeriesRecord(_Part):
    """The series as it was taken in; `folder` has its patches in the form of `git am`."""

    name: str
    subjects: list[str]
    folder: str
    base_commit: str = ""


class StepRecord(_Part):
    """One kernel of `--each`: the base with the first `count` patches, against the one before."""

    count: int
    title: str
    verdict: Verdict
    same: bool = False
    error: str = ""
    changes: list[VerdictChange] = Field(default_factory=list)


class StyleRemark(_Part):
    """A finding of checkpatch or sparse about what the series adds; no part of the verdict."""

    tool: Literal["checkpatch", "sparse"]
    place: str
    text: str


class VerdictDocument(_Part):
    """The whole. `open` is what could not be decided, a line each.

    `reach` is None where it is not known which lines ran; a note says why.
    """

    schema_: Literal["s2eval-patch-1"] = Field(default="s2eval-patch-1", alias="schema")
    verdict: Verdict
    status: Status
    exit_code: int
    headline: str
    open: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    series: SeriesRecord | None = None
    base: Side
    patched: Side
    same_image: bool = False
    reach: PatchReach | None = None
    changes: list[VerdictChange] = Field(default_factory=list)
    census: list[CensusSummary] = Field(default_factory=list)
    unchanged: int = 0
    figures: list[FigureRecord] = Field(default_factory=list)
    size: dict[str, tuple[int, int]] = Field(default_factory=dict)
    style: list[StyleRemark] = Field(default_factory=list)
    steps: list[StepRecord] = Field(default_factory=list)
    reproduce: list[str] = Field(default_factory=list)
    run: str = ""
    seconds: float = 0.0

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
