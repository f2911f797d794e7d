# SPDX-License-Identifier: GPL-2.0-only
"""A run in the formats of other tools (docs/results.md, "Other formats").

A format is a module here with a function `render(source)`; JSON is the record as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.records import Run

FORMATS = ("ktap", "junit", "kcidb", "markdown", "json")
ORIGIN = "s2eval"


@dataclass(frozen=True)
class Source:
    """A run, the folder its logs are in, and the name of the CI system that exports it."""

    run: Run
    folder: Path | None = None
    origin: str = ORIGIN


def export(source: Source, name: str) -> str:
    """Return the run in format `name`, one of FORMATS; raise UsageError for a bad origin."""
    if name == "json":
        from harness.base.json_text import json_text  # noqa: PLC0415 - not for FORMATS

        return json_text(source.run, indent=2, by_alias=True) + "\n"
    return str(import_module(f"{__name__}.{name}").render(source))
