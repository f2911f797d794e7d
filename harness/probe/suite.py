# SPDX-License-Identifier: GPL-2.0-only
"""Suites: guest-tests/NAME/suite.toml and what is built from the folder."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from harness import home
from harness.names import parse, read_toml, unknown


class Suite(BaseModel):
    """A guest test: its sources, what runs in the guest, and what it needs to be judged.

    `script` is the guest's /suite (docs/guest-protocol.md). `needs` maps a pattern of tests, e.g.
    `*.unaligned_*`, to names of fidelity limits: such a test is SKIP where the emulator cannot
    show what it looks for. `promises` says what a mapping is asked to be, e.g. `Normal-NC` for
    `ioremap_wc`: the audit compares that with what both stages together give.
    """

    model_config = ConfigDict(extra="forbid")
    name: str
    folder: Path
    description: str
    modules: list[str] = Field(default_factory=list)
    script: str
    needs: dict[str, list[str]] = Field(default_factory=dict)
    promises: dict[str, str] = Field(default_factory=dict)
    limit: float = Field(default=60, gt=0)  # seconds

    @functools.cached_property
    def source_hash(self) -> str:
        """sha256 over the names and bytes of the folder's files."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            digest.update(str(path.relative_to(self.folder)).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


def list_suites() -> list[str]:
    return sorted(p.parent.name for p in home.SUITES.glob("*/suite.toml"))


def load_suite(name: str) -> Suite:
    """The suite `name`; UsageError when there is none or its file is wrong."""
    path = home.SUITES / name / "suite.toml"
    if not path.is_file():
        raise unknown("suite", name, list_suites())
    return parse(Suite, path, {**read_toml(path), "name": name, "folder": path.parent})
