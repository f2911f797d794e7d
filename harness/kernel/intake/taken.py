# SPDX-License-Identifier: GPL-2.0-only
"""What the readers of mails and commits hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.kernel.applying.commit_range import CommitRange


@dataclass(frozen=True)
class Patch:
    """One patch. `subject` is its title, `text` the whole of it as `git am` takes it.

    `source` says where it came from, for messages.
    """

    subject: str
    text: str
    source: str


@dataclass
class Taken:
    """A series in order, before it is kept. `start` is where a range begins, `base_commit` what
    the patches say they are based on, `commits` what they were made of, if of commits."""

    patches: Sequence[Patch]
    base_commit: str = ""
    start: str = ""
    notes: list[str] = field(default_factory=list)
    commits: CommitRange | None = None
