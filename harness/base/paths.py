# SPDX-License-Identifier: GPL-2.0-only
"""Where things are: the project's own data files and the cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from harness.base.locks import hold

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels"
MACHINES = ROOT / "qemu-configs"
SUITES = ROOT / "guest-tests"
PLANS = ROOT / "plans"


def cache_dir(*parts: str) -> Path:
    """A folder in the cache, made when missing.

    `S2EVAL_CACHE` moves the cache; the default is `$XDG_CACHE_HOME/s2eval`. Nobody cleans it as
    long as this process lives.
    """
    base = os.environ.get("S2EVAL_CACHE") or platformdirs.user_cache_dir("s2eval")
    folder = Path(base, *parts).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    hold(Path(base).absolute())
    return folder


def results_dir() -> Path:
    """Where runs leave their records; `S2EVAL_RESULTS` moves it."""
    return Path(os.environ.get("S2EVAL_RESULTS") or ROOT / "results")
