# SPDX-License-Identifier: GPL-2.0-only
"""Which patches can make no other kernel, so that nothing is booted before that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evaluate.patch.source.reach import may_change


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An O= folder in which mm/slub.c is compiled, and kvm's pgtable.c for nVHE only."""
    for name in ("mm/.slub.o.cmd", "arch/arm64/kvm/hyp/nvhe/.switch.nvhe.o.cmd"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def diff(path: str, *lines: str) -> str:
    body = "\n".join(lines)
    return (
        f"why\n---\ndiff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n{body}\n"
    )


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("mm/slub.c", True),
        ("mm/slab.c", False),
        ("arch/arm64/kvm/hyp/nvhe/switch.c", True),
        ("arch/x86/mm/init.c", False),
        ("Documentation/mm/slub.rst", False),
        ("MAINTAINERS", False),
        ("tools/perf/perf.c", False),
        ("include/linux/mm.h", True),
        ("mm/Kconfig", True),
        ("Makefile", True),
        ("never/seen/before.c", True),
    ],
)
def test_files(path: str, read: bool, out: Path) -> None:
    assert may_change([diff(path, "-int a;", "+int b;")], out) is read


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("-\t/* one */", "+\t/* two */"), False),
        (("- * inside a comment", "+ * inside another"), False),
        (("-int a; // one", "+int a;"), False),
        (("-int  a;", "+int a;"), False),
        (("-int a;", "+int b;"), True),
        (("+#define X 1",), True),
        (("-\t*pointer = 1;", "+\t*pointer = 2;"), True),
        (("-/* one */ int a;", "+/* one */ int b;"), True),
    ],
)
def test_comments(lines: tuple[str, ...], code: bool, out: Path) -> None:
    assert may_change([diff("mm/slub.c", " int context;", *lines)], out) is code


def test_one_of_many_is_enough(out: Path) -> None:
    texts = diff("MAINTAINERS", "+x") + diff("mm/slub.c", "+int x;")
    assert may_change([diff("CREDITS", "+y"), texts], out)
    assert not may_change([diff("CREDITS", "+y"), diff("MAINTAINERS", "+x")], out)
