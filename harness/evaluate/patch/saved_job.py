# SPDX-License-Identifier: GPL-2.0-only
"""job.json in the folder of a run of `s2eval patch`: all that it needs to be taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer

from harness.base.errors import UsageError
from harness.evaluate.engine.new_run import JOB
from harness.evaluate.patch.request import Matrix, PatchJob, step_of
from harness.evaluate.plan.elsewhere import kernel_named_in
from harness.evaluate.plan.plan import Plan
from harness.kernel.intake.kept import PatchSeries
from harness.kernel.spec import KernelSpec


class SavedStep(BaseModel):
    """A kernel of the job, without its cells."""

    model_config = ConfigDict(extra="forbid")

    count: int
    title: str
    kernel: KernelSpec

    @field_serializer("kernel")
    def _given(self, kernel: KernelSpec) -> dict[str, Any]:
        """A source has either of two forms, and is told apart by what was given."""
        return kernel.model_dump(mode="json", exclude_unset=True)


class SavedJob(BaseModel):
    """`folder` is where relative names begin; the patches are in the cache."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: Literal["s2eval-job-1"] = Field(default="s2eval-job-1", alias="schema")
    folder: str
    series: PatchSeries
    steps: list[SavedStep]
    matrix: Matrix
    tree: Path | None
    notes: tuple[str, ...]
    plan: Plan

    @classmethod
    def of(cls, job: PatchJob, plan: Plan) -> SavedJob:
        """Return what is to be saved of a job and the plan that its cells follow."""
        steps = [SavedStep(count=s.count, title=s.title, kernel=s.kernel) for s in job.steps]
        return cls(
            folder=str(Path.cwd()),
            series=job.series,
            steps=steps,
            matrix=job.matrix,
            tree=job.tree,
            notes=job.notes,
            plan=plan,
        )

    def job(self) -> PatchJob:
        """Return the job. UsageError when its patches are gone, or names that it rests on."""
        for patch in self.series.patches:
            if not patch.is_file():
                raise UsageError(f"{patch}: gone from the cache: test the series anew")
        steps = [
            step_of(kernel_named_in(self.folder, s.kernel), s.count, s.title, self.matrix)
            for s in self.steps
        ]
        return PatchJob(self.series, tuple(steps), self.matrix, self.tree, self.notes)


def load_job(folder: Path) -> SavedJob:
    """Return the job of a run; UsageError when it has none that can be read."""
    try:
        return SavedJob.model_validate_json((folder / JOB).read_bytes())
    except (OSError, ValidationError):
        raise UsageError(f"{folder / JOB}: no series to go on with: test it anew") from None
