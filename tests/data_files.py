# SPDX-License-Identifier: GPL-2.0-only
"""Where the recorded data of the tests is."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"
