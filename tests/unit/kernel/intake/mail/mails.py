# SPDX-License-Identifier: GPL-2.0-only
"""Mails for tests, of the two patches of the samples' thread."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.base.errors import UsageError
from harness.base.paths import ROOT
from harness.kernel.intake import intake
from harness.kernel.intake.kept import PatchSeries

Apply = Callable[[PatchSeries], Any]
SAMPLES = ROOT / "tests/data/field/samples"
THREAD = gzip.decompress((SAMPLES / "thread.mbox.gz").read_bytes()).decode()
FIRST = THREAD[: THREAD.index("From mboxrd", 1)].partition("\n")[2]
HEADERS, _, BODY = FIRST.partition("\n\n")
DIFF = BODY[BODY.index("diff --git") : BODY.index("-- \n")]
ONE, TWO = "line 10 changed", "line 25 changed"


def mail(subject: str = "[PATCH] KVM: one", body: str = BODY, **more: str) -> str:
    """A mail of a mailbox."""
    lines = [f"{key.replace('_', '-')}: {value}" for key, value in more.items()]
    head = "\n".join(["From: D <d@localhost>", f"Subject: {subject}", *lines])
    return f"From mboxrd@z Thu Jan  1 00:00:00 1970\n{head}\n\n{body}\n"


SECOND = THREAD[THREAD.index("From mboxrd", 1) :].partition("\n")[2]
BODY_TWO = SECOND.partition("\n\n")[2]


def write(folder: Path, text: str | bytes, name: str = "x.mbx") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def refused(given: str) -> str:
    with pytest.raises(UsageError) as error:
        intake.take(given, tree=None)
    assert str(error.value).isprintable()
    return str(error.value)
