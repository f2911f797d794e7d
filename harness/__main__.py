# SPDX-License-Identifier: GPL-2.0-only
"""`python -m harness`: the command s2eval where its script is not on PATH."""

from __future__ import annotations

from harness.cli.main import main

if __name__ == "__main__":
    main()
