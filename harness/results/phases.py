# SPDX-License-Identifier: GPL-2.0-only
"""The phases of a cell, by their names in records and in the progress."""

from __future__ import annotations

from enum import StrEnum


class PhaseName(StrEnum):
    """The step that a cell is taking."""

    BUILD = "build"
    USER_LAND = "user land"
    SUITE = "suite"
    BOOT_AND_PROBE = "boot and probe"
    START_L1 = "start L1"
    BOOT_L1 = "boot L1"
    RESTORE_L1 = "restore L1"
    START_L2 = "start L2"
    PROBE = "probe"
    END_L1 = "end L1"
    JUDGE = "judge"


# Phases that a warm store makes free: they count neither for a cell's limit nor for its timing.
BUILDING = (PhaseName.BUILD, PhaseName.USER_LAND, PhaseName.SUITE)
