# SPDX-License-Identifier: GPL-2.0-only
"""Variants of the stand-in's file for s2eval, each with one thing that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

from tests.lab.machine import StandIn


def variant(standin: StandIn, folder: Path, name: str, **values: str) -> Path:
    """Return a copy of the host's file as `folder`/NAME.toml, with keys replaced or added.

    A key is TABLE_KEY, or KEY of no table; values are TOML. Raise AssertionError for a key whose
    table is not in the file.
    """
    text = standin.host_file.read_text()
    for key, value in values.items():
        table, _, inner = key.rpartition("_")
        line = f"{inner} = {value}"
        text, found = re.subn(rf"(?m)^{inner} = .*$", line.replace("\\", "\\\\"), text)
        if found:
            continue
        if not table:
            text = f"{line}\n{text}"
        elif f"[{table}]" in text:
            text = text.replace(f"[{table}]\n", f"[{table}]\n{line}\n")
        else:
            text += f"[{table}]\n{line}\n"
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path
