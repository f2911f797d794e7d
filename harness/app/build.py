# SPDX-License-Identifier: GPL-2.0-only
"""`s2eval build`: kernels into the store."""

from __future__ import annotations

import json
from collections.abc import Iterator

from harness.evaluate.events import PhaseBegan, notes
from harness.kernel.build import build, resolve
from harness.kernel.series import readable
from harness.report.terminal.progress import shown_progress
from harness.results.phases import PhaseName


def build_kernels(
    names: list[str], *, update: bool = False, as_json: bool = False, quiet: bool = False
) -> Iterator[str]:
    """Build each kernel and yield what to print: a line each, or one JSON array at the end.

    Raises UsageError for an unknown name before anything is built.
    """
    specs = [readable(resolve(name)) for name in names]
    records = []
    with shown_progress(quiet=quiet) as progress:
        for spec in specs:
            progress(PhaseBegan(spec.name, PhaseName.BUILD))
            done = build(spec, progress=notes(progress), update=update)
            records.append({**done.record.model_dump(), "image": str(done.image)})
            if not as_json:
                how = "stored" if done.record.cached else "built"
                yield f"{spec.name}: {how} {done.record.version}: {done.image}"
    if as_json:
        yield json.dumps(records, indent=2)
