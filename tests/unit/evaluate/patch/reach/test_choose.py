# SPDX-License-Identifier: GPL-2.0-only
"""The functions that a diff touches, and the places that are chosen for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.base.errors import UsageError
from harness.base.paths import PROJECT
from harness.evaluate.patch.reach.choose import Place, cheapest, choose, touched
from tests.unit.evaluate.patch.reach.test_functions import a_build, a_record, here

__all__ = ["here"]

DIFF = """\
--- a/kernel/a.c
+++ b/kernel/a.c
@@ -10,7 +10,7 @@ static int outer(struct kvm *kvm,
 TABint one;
-TABtwo();
+TABthree();
 TABreturn 0;
 }
@@ -20,2 +20,3 @@ static int before(void)
 }
+#define OUTSIDE(x) (x)
@@ -40,3 +40,9 @@ unchanged(void)
 }
+
+static void added(void)
+{
+TABouter(NULL);
+}
+
 int next(void)
 {
""".replace("TAB", "\t")


def all_known(_machine: str, _suite: str) -> bool:
    return True


def test_functions_are_those_of_the_hunks_and_those_that_begin_in_them() -> None:
    assert touched(DIFF) == {"outer": "kernel/a.c", "added": "kernel/a.c"}


def test_a_declaration_or_another_language_is_no_function() -> None:
    text = "+++ b/include/a.h\n@@ -1,2 +1,3 @@\n+int declared(int one);\n+#define MACRO(x) (x)\n"
    assert touched(text) == {}
    assert touched(DIFF.replace("a.c", "a.S")) == {}


def test_functions_of_a_series_of_the_project() -> None:
    series = PROJECT / "kernels/patches/stage2-normal-nc"
    text = "".join(path.read_text() for path in sorted(series.glob("*.patch")))
    assert touched(text) == {"stage2_set_prot_attr": "arch/arm64/kvm/hyp/pgtable.c"}


def test_the_most_functions_a_second_are_taken_and_nothing_twice() -> None:
    quick, slow, whole = (Place("m", name) for name in ("quick", "slow", "whole"))
    reached = {quick: {"a", "b"}, slow: {"c"}, whole: {"a", "b", "c"}}
    assert cheapest(reached, {quick: 2.0, slow: 9.0, whole: 30.0}) == (quick, slow)
    # What was taken first is needless when what comes later has it all.
    assert cheapest(reached, {quick: 2.0, slow: 99.0, whole: 30.0}) == (whole,)
    assert cheapest({quick: set()}, {quick: 1.0}) == ()


def test_what_was_chosen_is_told(here: Path) -> None:
    a_build(here, "k")
    run = a_record(here, "20260101-000000-patch", 0x10)
    patch = here / "a.patch"
    patch.write_text(DIFF)
    chosen = choose([patch], all_known)
    (cell,) = run.cells
    assert chosen.places == (Place(cell.machine.name, cell.suite.name),)
    assert chosen.told() == (
        f"--suite auto: {cell.suite.name} on {cell.machine.name}: 1 of 2 functions of the series; "
        "no record reaches added"
    )
    with pytest.raises(UsageError, match="no record of the last runs reaches outer, added"):
        choose([patch], lambda machine, suite: False)


def test_what_cannot_be_chosen_is_one_line(here: Path) -> None:
    patch = here / "a.patch"
    patch.write_text(DIFF)
    with pytest.raises(UsageError, match="none of the last 20 runs has a record"):
        choose([patch], all_known)
    patch.write_text("+++ b/Makefile\n@@ -1 +1 @@\n-a\n+b\n")
    with pytest.raises(UsageError, match="touches no function"):
        choose([patch], all_known)
