# SPDX-License-Identifier: GPL-2.0-only
"""What the readers of files, archives and commits hand on."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.kernel.intake.mails import Mail


@dataclass
class Taken:
    """What a series consists of, in order, before it is checked and kept."""

    mails: list[Mail]
    base_commit: str = ""
    start: str = ""
    notes: list[str] = field(default_factory=list)
